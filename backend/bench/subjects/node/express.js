// Express with Drizzle on node-postgres, as their documentation teaches: a schema, prepared statements, a
// validator for what comes in, jsonwebtoken for the token.
import { and, asc, desc, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { boolean, index, integer, pgTable, timestamp, uuid, varchar } from "drizzle-orm/pg-core";
import express from "express";
import jsonwebtoken from "jsonwebtoken";
import { randomUUID } from "node:crypto";
import pg from "pg";
import { z } from "zod";

const moment = (name) => timestamp(name, { withTimezone: true });

const tasks = pgTable(
  "tasks",
  {
    id: uuid("id").primaryKey(),
    user_id: varchar("user_id", { length: 255 }).notNull(),
    text: varchar("text", { length: 500 }).notNull(),
    completed: boolean("completed").notNull().default(false),
    order: integer("order").notNull().default(0),
    created_at: moment("created_at").notNull().defaultNow(),
    updated_at: moment("updated_at").notNull().defaultNow(),
    completed_at: moment("completed_at"),
  },
  (table) => [index("tasks_user_id").on(table.user_id)],
);

const db = drizzle({ client: new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 }) });
const userId = sql.placeholder("userId");
const own = and(eq(tasks.id, sql.placeholder("id")), eq(tasks.user_id, userId));
const list = db.select().from(tasks).where(eq(tasks.user_id, userId))
  .orderBy(asc(tasks.order), desc(tasks.created_at)).prepare("list");
const get = db.select().from(tasks).where(own).prepare("get");
const create = db.insert(tasks)
  .values({ id: sql.placeholder("id"), user_id: userId, text: sql.placeholder("text") }).returning().prepare("create");
const remove = db.delete(tasks).where(own).returning({ id: tasks.id }).prepare("remove");

const text = z.string().min(1).max(500);
const TaskCreate = z.object({ text });
const TaskPatch = z.object({ text: text.optional(), completed: z.boolean().optional() });
const Id = z.uuid();

const app = express();
app.disable("x-powered-by");
app.set("etag", false); // it would hash every answer
app.use(express.json());

const valid = (schema) => (request, response, next) => {
  const read = schema.safeParse(request.body);
  if (!read.success) return response.status(422).json({ message: "Invalid body", issues: read.error.issues });
  request.body = read.data;
  next();
};

const signedIn = (request, response, next) => {
  const token = request.get("authorization")?.match(/^Bearer (.+)$/)?.[1] ?? "";
  try {
    request.userId = jsonwebtoken.verify(token, process.env.BETTER_AUTH_SECRET, { algorithms: ["HS256"] }).sub;
  } catch {
    return response.status(401).json({ message: "Invalid token" });
  }
  next();
};

const found = (response, task) => (task ? response.json(task) : response.status(404).json({ message: "Task not found" }));

app.get("/health", async (_request, response) => {
  await db.execute(sql`SELECT 1`);
  response.json({ status: "healthy", database: "connected", version: "1.0.0" });
});

const router = express.Router();
router.use(signedIn);
router.param("id", (_request, response, next, id) => {
  if (!Id.safeParse(id).success) return response.status(422).json({ message: "Invalid id" });
  next();
});

router.get("/", async (request, response) => {
  const rows = await list.execute({ userId: request.userId });
  response.json({ tasks: rows, count: rows.length });
});

router.post("/", valid(TaskCreate), async (request, response) => {
  const [task] = await create.execute({ id: randomUUID(), userId: request.userId, text: request.body.text });
  response.status(201).json(task);
});

router.get("/:id", async (request, response) => {
  const [task] = await get.execute({ id: request.params.id, userId: request.userId });
  found(response, task);
});

router.patch("/:id", valid(TaskPatch), async (request, response) => {
  const { completed } = request.body;
  const completed_at = completed === undefined ? undefined
    : sql`CASE WHEN ${completed} = ${tasks.completed} THEN ${tasks.completed_at} WHEN ${completed} THEN now() END`;
  const [task] = await db.update(tasks).set({ ...request.body, completed_at, updated_at: sql`now()` })
    .where(and(eq(tasks.id, request.params.id), eq(tasks.user_id, request.userId))).returning();
  found(response, task);
});

router.delete("/:id", async (request, response) => {
  const [gone] = await remove.execute({ id: request.params.id, userId: request.userId });
  response.status(gone ? 204 : 404).end();
});

app.use("/tasks", router);
app.listen(Number(process.argv[2]), "127.0.0.1");
