// Tasks offline: a copy, a queue, and the way back. docs/sync.md explains it; sync.py is the same in Python.
import { type Api, ApiError } from "./api.ts";
import { batched, type Operation, shown, type Task, told } from "./tasks.ts";

type Batch = { key: string; size: number }; // so many from the front of the queue, which go out with this key
export type State = { known: Record<string, Task>; revision: number | null; queue: Operation[]; batch: Batch | null };
/** The app keeps the state where it outlives the page, and hears of what was refused. */
export type App = { save(state: State): unknown; onConflict(operation: Operation, error: ApiError): unknown };

export class TaskSync {
  state: State = { known: {}, revision: null, queue: [], batch: null };
  #turn = Promise.resolve();
  api: Api;
  app: App;
  constructor(api: Api, app: App) { this.api = api; this.app = app; }

  get tasks(): Map<string, Task> { return shown(this.state.known, this.state.queue); }

  /** Queue an operation, offline or not; it is kept when this resolves. */
  async add(operation: Operation): Promise<void> {
    this.state.queue.push(operation);
    await this.app.save(this.state);
  }

  /** Send, then fetch, one call after the other. If it fails, nothing is lost: call it again. */
  sync(): Promise<void> {
    return (this.#turn = this.#turn.catch(() => {}).then(() => this.#push()).then(() => this.#pull()));
  }

  async #push(): Promise<void> {
    const { api, app, state } = this;
    while (state.queue.length > 0) {
      state.batch ??= { key: crypto.randomUUID(), size: Math.min(state.queue.length, 100) };
      await app.save(state); // before it goes out, so that it can go out again as it was
      const sent = state.queue.slice(0, state.batch.size);
      try {
        const { results, revision } = await api.ask("/tasks/batch", batched(sent), state.batch.key);
        state.queue.splice(0, sent.length);
        const made = Object.fromEntries(sent.map(({ id }, place) => [id, results[place]]));
        if (revision > (state.revision ?? 0)) state.known = told(state.known, made); // else it was fetched since
        for (const each of state.queue) if (each.if_match && made[each.id]) each.if_match = made[each.id].revision;
      } catch (error) {
        if (!(error instanceof ApiError) || error.place === null) throw error;
        await this.#pull(); // onConflict finds in `known` what the others made of the task
        await app.onConflict(sent[error.place]!, error);
        state.queue.splice(error.place, 1);
      }
      state.batch = null;
      await app.save(state);
    }
  }

  async #pull(): Promise<void> {
    const { api, app, state } = this;
    for (let more = true; more; await app.save(state)) {
      const since = state.revision === null ? "" : `?since=${state.revision}`;
      try {
        const page = await api.ask(`/tasks/changes${since}`);
        const changed = page.tasks.map((task: Task) => [task.id, task]);
        const deleted = page.deleted.map((id: string) => [id, null]);
        state.known = told(since ? state.known : {}, Object.fromEntries([...changed, ...deleted]));
        [state.revision, more] = [page.revision, page.has_more];
      } catch (error) {
        if (!since || !(error instanceof ApiError) || ![400, 410].includes(error.status)) throw error;
        state.revision = null; // nobody knows any more what happened since: from the start
      }
    }
  }
}
