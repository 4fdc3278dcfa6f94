// Stay in step with the other devices. listen.py is the same in Python.
import { ApiError } from "./api.ts";
import type { TaskSync } from "./sync.ts";

/** Sync whenever something changed, until the token is over; return why. Rejects with what does not pass, like 401. */
export async function listen(tasks: TaskSync, signal: AbortSignal): Promise<string> {
  for (let wait = 1; ; wait = Math.min(2 * wait, 60)) {
    try {
      await tasks.sync();
      for await (const { revision, reason } of tasks.api.events(tasks.state.revision, signal)) {
        wait = 1;
        if (reason && reason !== "SHUTDOWN") return reason;
        if (revision && revision > tasks.state.revision!) await tasks.sync();
      }
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError) || !error.passes) throw error;
      wait = Math.max(wait, error.retryAfter);
    }
    await new Promise((awake) => setTimeout(awake, wait * (1000 + 500 * Math.random()))); // not all at the same moment
  }
}
