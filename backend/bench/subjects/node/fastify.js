// Fastify with node-postgres and @fastify/jwt, as their documentation teaches: JSON schemas for what comes
// in and for what goes out, a pool, a hook that verifies the token. Statements have names, so that the
// driver prepares them once per connection.
import jwt from "@fastify/jwt";
import postgres from "@fastify/postgres";
import Fastify from "fastify";
import { randomUUID } from "node:crypto";

const text = { type: "string", minLength: 1, maxLength: 500 };
const task = {
  type: "object",
  properties: {
    id: { type: "string" },
    user_id: { type: "string" },
    text: { type: "string" },
    completed: { type: "boolean" },
    order: { type: "integer" },
    created_at: { type: "string", format: "date-time" },
    updated_at: { type: "string", format: "date-time" },
    completed_at: { type: "string", format: "date-time", nullable: true },
  },
};
const list = { type: "object", properties: { tasks: { type: "array", items: task }, count: { type: "integer" } } };
const params = { type: "object", properties: { id: { type: "string", format: "uuid" } } };
const health = {
  type: "object",
  properties: { status: { type: "string" }, database: { type: "string" }, version: { type: "string" } },
};

const COLUMNS = 'id, user_id, text, completed, "order", created_at, updated_at, completed_at';
const LIST = { name: "list", text: `SELECT ${COLUMNS} FROM tasks WHERE user_id = $1 ORDER BY "order", created_at DESC` };
const GET = { name: "get", text: `SELECT ${COLUMNS} FROM tasks WHERE id = $1 AND user_id = $2` };
const CREATE = { name: "create", text: `INSERT INTO tasks (id, user_id, text) VALUES ($1, $2, $3) RETURNING ${COLUMNS}` };
const PATCH = {
  name: "patch",
  text: `UPDATE tasks SET text = coalesce($3, text), completed = coalesce($4, completed), updated_at = now(),
         completed_at = CASE WHEN $4 IS NULL OR $4 = completed THEN completed_at WHEN $4 THEN now() END
         WHERE id = $1 AND user_id = $2 RETURNING ${COLUMNS}`,
};
const DELETE = { name: "delete", text: "DELETE FROM tasks WHERE id = $1 AND user_id = $2" };

const app = Fastify({ logger: { level: "warn" }, schemaErrorFormatter, ajv: { customOptions: { coerceTypes: false } } });

function schemaErrorFormatter(errors) {
  return Object.assign(new Error(errors[0].message), { statusCode: 422 });
}

app.register(postgres, { connectionString: process.env.DATABASE_URL, max: 10 });
app.register(jwt, { secret: process.env.BETTER_AUTH_SECRET, verify: { algorithms: ["HS256"] } });

app.get("/health", { schema: { response: { 200: health } } }, async () => {
  await app.pg.query({ name: "health", text: "SELECT 1" });
  return { status: "healthy", database: "connected", version: "1.0.0" };
});

app.register(async (tasks) => {
  tasks.addHook("onRequest", (request) => request.jwtVerify());

  tasks.get("/", { schema: { response: { 200: list } } }, async (request) => {
    const { rows } = await app.pg.query({ ...LIST, values: [request.user.sub] });
    return { tasks: rows, count: rows.length };
  });

  const created = { body: { type: "object", required: ["text"], properties: { text } }, response: { 201: task } };
  tasks.post("/", { schema: created }, async (request, reply) => {
    const { rows } = await app.pg.query({ ...CREATE, values: [randomUUID(), request.user.sub, request.body.text] });
    return reply.code(201).send(rows[0]);
  });

  tasks.get("/:id", { schema: { params, response: { 200: task } } }, async (request, reply) => {
    const { rows } = await app.pg.query({ ...GET, values: [request.params.id, request.user.sub] });
    return rows[0] ?? reply.code(404).send({ message: "Task not found" });
  });

  const changed = { type: "object", properties: { text, completed: { type: "boolean" } } };
  tasks.patch("/:id", { schema: { params, body: changed, response: { 200: task } } }, async (request, reply) => {
    const { text, completed } = request.body;
    const values = [request.params.id, request.user.sub, text, completed];
    const { rows } = await app.pg.query({ ...PATCH, values });
    return rows[0] ?? reply.code(404).send({ message: "Task not found" });
  });

  tasks.delete("/:id", { schema: { params } }, async (request, reply) => {
    const { rowCount } = await app.pg.query({ ...DELETE, values: [request.params.id, request.user.sub] });
    return rowCount ? reply.code(204).send() : reply.code(404).send({ message: "Task not found" });
  });
}, { prefix: "/tasks" });

await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
