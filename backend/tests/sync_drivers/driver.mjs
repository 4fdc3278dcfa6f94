// A device for the tests: runs examples/*.ts, as compiled into a folder, on commands from standard input.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [folder, url, file] = process.argv.slice(2);
const { Api } = await import(`${folder}/api.js`);
const { listen } = await import(`${folder}/listen.js`);
const { newId } = await import(`${folder}/tasks.js`);
const { TaskSync } = await import(`${folder}/sync.js`);

let token = "";
let next = "";
let ending = new AbortController();
const conflicts = [];
const device = new TaskSync(new Api(url, async (anew) => (anew && next ? (token = next) : token)), {
  save(state) {
    writeFileSync(`${file}.new`, JSON.stringify(state));
    renameSync(`${file}.new`, file);
  },
  onConflict(operation, error) {
    conflicts.push([error.status, operation, device.state.known[operation.id] ?? null]);
  },
});
try {
  device.state = JSON.parse(readFileSync(file, "utf8"));
} catch {
  // it is new
}

const commands = {
  token: (given, then = "") => { [token, next] = [given, then]; },
  add: (operation) => device.add(operation),
  sync: () => device.sync(),
  listen: () => listen(device, ending.signal),
  stop: () => { ending.abort(); ending = new AbortController(); },
  tasks: () => [...device.tasks.values()],
  state: () => device.state,
  new_id: () => newId(),
  conflicts: () => conflicts,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [number, name, ...given] = JSON.parse(line);
  const answer = (kind, value) => process.stdout.write(`${JSON.stringify([number, kind, value ?? null])}\n`);
  Promise.resolve()
    .then(() => commands[name](...given))
    .then((result) => answer("result", result))
    .catch((error) => answer("error", [error.status ?? null, error.retryAfter ?? null, String(error.stack)]));
}
process.exit(0);
