// How the API is asked: one request, and a stream that lasts. api.py is the same in Python.
const PATIENCE = 30_000; // ms for a request
const SILENCE = 60_000; // ms without a sign of life on a stream, which has one every 15 s

/** A refusal; or no answer of the API at all, which is status 0. */
export class ApiError extends Error {
  status = 0;
  retryAfter = 0; // seconds
  details: string[] = [];
  /** Whether it passes by itself: then the same request can be sent again, later. */
  get passes(): boolean { return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500; }
  /** Which operation of a batch was refused. */
  get place(): number | null {
    const found = this.passes ? null : /^operations\[(\d+)\]/.exec(this.details[0] ?? "");
    return found && Number(found[1]);
  }
}
const whole = (_: string, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value); // half emoji
const offline = (cause: unknown): never => { throw new ApiError("The API does not answer", { cause }); };

export class Api {
  url: string;
  token: (anew: boolean) => Promise<string>; // anew: the one from before is over
  constructor(url: string, token: (anew: boolean) => Promise<string>) { this.url = url; this.token = token; }

  async ask(path: string, body?: object, key?: string): Promise<any> {
    const post = body && { method: "POST", body: JSON.stringify(body, whole), headers: { "Idempotency-Key": key! } };
    const response = await this.#send(path, { ...post, signal: AbortSignal.timeout(PATIENCE) });
    return response.json().catch(offline);
  }

  /** The events after a revision, by fetch: EventSource can't send a token. */
  async *events(revision: number | null, signal: AbortSignal): AsyncGenerator<{ revision?: number; reason?: string }> {
    const over = new AbortController(), end = () => over.abort();
    let alarm = setTimeout(end, SILENCE);
    try {
      const init = { headers: { "Last-Event-ID": `${revision}` }, signal: AbortSignal.any([signal, over.signal]) };
      const reader = (await this.#send("/tasks/events", init)).body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", part; !(part = await reader.read().catch(offline)).done; ) {
        clearTimeout(alarm);
        alarm = setTimeout(end, SILENCE);
        const lines = (text + part.value).split("\n");
        text = lines.pop()!;
        for (const line of lines) if (line.startsWith("data:")) yield JSON.parse(line.slice(5));
      }
    } finally {
      clearTimeout(alarm);
      end();
    }
  }

  async #send(path: string, init: RequestInit, anew = false): Promise<Response> {
    const token = await this.token(anew).catch(offline);
    const headers = { ...init.headers, Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const response = await fetch(this.url + path, { ...init, headers }).catch(offline);
    if (response.ok) return response;
    if (response.status === 401 && !anew) return this.#send(path, init, true);
    const retryAfter = Number(response.headers.get("Retry-After")) || 0;
    const { message, details = [] } = await response.json().catch(offline);
    throw Object.assign(new ApiError(message), { status: response.status, retryAfter, details });
  }
}
