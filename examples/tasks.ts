// Tasks as a client has them. tasks.py is the same in Python.
export type Task = { id: string; text: string; completed: boolean; order: number; revision?: number };
/** One of /tasks/batch: create, patch, delete or restore. */
export type Operation = Partial<Task> & { op: string; id: string; if_match?: number };

/** An id of one's own, of version 7: among equals in `order` the newest task stands first. */
export function newId(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return crypto.randomUUID().replace(/^.{13}-4/, `${time.slice(0, 8)}-${time.slice(8)}-7`);
}

/** The tasks in their order, as the user left them: what the server told, and on it what waits to be sent. */
export function shown(known: Record<string, Task>, queue: Operation[]): Map<string, Task> {
  const all = { ...known }, gone = new Set<string>();
  for (const { op, id, if_match, ...fields } of queue) {
    if (op === "create" || all[id]) all[id] = { text: "", completed: false, order: 0, ...all[id], ...fields, id };
    if (op === "delete") gone.add(id); else gone.delete(id);
  }
  const there = Object.values(all).filter((task) => !gone.has(task.id));
  return new Map(there.sort((a, b) => a.order - b.order || (a.id < b.id ? 1 : -1)).map((task) => [task.id, task]));
}

/** What is known once the server has told something; null is a deleted task. */
export function told(known: Record<string, Task>, news: Record<string, Task | null>): Record<string, Task> {
  const all = Object.entries({ ...known, ...news });
  return Object.fromEntries(all.filter((entry): entry is [string, Task] => entry[1] !== null));
}

/** The body of a batch. On one task only the first operation names a revision: the others build on what it makes. */
export function batched(operations: Operation[]): { operations: Operation[] } {
  const first = new Map([...operations].reverse().map((each) => [each.id, each]));
  const unnamed = (each: Operation) => ({ ...each, if_match: undefined });
  return { operations: operations.map((each) => (first.get(each.id) === each ? each : unnamed(each))) };
}
