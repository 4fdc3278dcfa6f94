// Real Better Auth for the tests: any number of instances in one process, each on a loopback port of its own.
//
//   node server.mjs '{"main": {"database": "postgresql://…", "secret": "…", "jwt": {…}}}'
//
// prints {"main": {"url": "http://127.0.0.1:40321", "api": "http://127.0.0.1:40321/api/auth"}} when all of them
// answer, and ends when its standard input does.
// What an instance may say:
//   database  URL of a PostgreSQL database; Better Auth's own migrations make the tables in it
//   secret    BETTER_AUTH_SECRET
//   path      what baseURL has after the origin, "/app" say; nothing unless given
//   jwt       options of the jwt() plugin, as Better Auth's documentation has them
//   bearer    options of the bearer() plugin
//   …         every other option of betterAuth() that JSON can express, "session" or "advanced" say

import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { betterAuth } from "better-auth";
import { toNodeHandler } from "better-auth/node";
import { bearer, jwt } from "better-auth/plugins";
import pg from "pg";

async function start({ database, path = "", jwt: jwtOptions, bearer: bearerOptions, ...options }) {
  // The origin is in every token (iss and aud), so the port has to be known before Better Auth is built.
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}`;

  // Few connections: instances and the service under test share one PostgreSQL.
  const pool = new pg.Pool({ connectionString: database, max: 2 });
  // A test may end connections: the pool opens others, but an error that nobody handles would end us all.
  pool.on("error", () => {});

  const sent = {}; // the last verification token of each address
  const auth = betterAuth({
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    logger: { level: "error" },
    emailAndPassword: { enabled: true },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: async ({ user, token }) => {
        sent[user.email] = token;
      },
    },
    ...options,
    database: pool,
    baseURL: url + path,
    plugins: [jwt(jwtOptions), bearer(bearerOptions)],
  });
  const context = await auth.$context;
  await context.runMigrations();

  const betterAuthAnswers = toNodeHandler(auth);
  const testsOnly = routesForTests(auth, pool, sent);
  server.on("request", (request, response) => {
    const route = testsOnly[`${request.method} ${request.url}`];
    return route ? answer(route, request, response) : betterAuthAnswers(request, response);
  });
  return { url, api: context.baseURL.replace(/\/+$/, "") };
}

/** What no Better Auth in the world offers: ways for a test to see and cause what it can't from outside. */
function routesForTests(auth, pool, sent) {
  return {
    // {email} → {token} that the verification e-mail would have carried
    "POST /__tests/verification-token": ({ email }) => ({ token: sent[email] }),

    // Expires the signing keys, as rotationInterval does: the next token gets a new one, and the old ones
    // stay published for gracePeriod.
    "POST /__tests/rotate": async () => {
      const { rows } = await pool.query(
        `UPDATE jwks SET "expiresAt" = now() - interval '1 second'
         WHERE "expiresAt" IS NULL OR "expiresAt" > now() RETURNING id`,
      );
      return { expired: rows.map(({ id }) => id) };
    },

    // {payload, overrideOptions?} → {token}: signs any claims with the current key
    "POST /__tests/sign": (body) => auth.api.signJWT({ body }),
  };
}

async function answer(route, request, response) {
  try {
    const result = await route(await json(request));
    response.setHeader("content-type", "application/json").end(JSON.stringify(result));
  } catch (error) {
    response.writeHead(500).end(String(error?.stack ?? error));
  }
}

// The pipe to the tests closes however they end, so this process never outlives them.
process.stdin.resume().on("close", () => process.exit());

const instances = Object.entries(JSON.parse(process.argv[2]));
const started = await Promise.all(instances.map(async ([name, options]) => [name, await start(options)]));
console.log(JSON.stringify(Object.fromEntries(started)));
