"""The hot paths as requests, and the tasks that they find."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from app.auth.tokens import sign
from tests.memory_wire import Answer, Server

SECRET = "the-secret-that-front-end-and-api-share"
_FORGED = sign("reader", "a-secret-that-nobody-has-ever-shared", seconds=3600)
_TOKENS = {user: sign(user, SECRET, seconds=3600) for user in ("twenty", "thousand", "writer")}

_LISTS = "INSERT INTO task_lists (user_id, revision) VALUES ($1, $2)"
_TASKS = """
    INSERT INTO tasks (user_id, id, text, completed, "order", created_at, updated_at, revision)
    SELECT $1, md5(n::text)::uuid, 'Buy milk ' || n, n % 3 = 0, n % 7, now(), now(), n
    FROM generate_series(1, $2) n
"""
_USERS, _TASKS_EACH = 2000, 10

_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid != pg_backend_pid() AND backend_type = 'client backend'
"""
_TOUCHED = """
    SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0))::int8 AS blocks,
        sum(seq_tup_read + coalesce(idx_tup_fetch, 0) + n_tup_ins + n_tup_upd + n_tup_del)::int8 AS rows
    FROM pg_statio_user_tables JOIN pg_stat_user_tables USING (relid)
"""


async def fill(database_url: str) -> None:
    """Give three users their lists among many others, so that the planner wants the indexes."""
    others = {f"other {number}": _TASKS_EACH for number in range(_USERS)}
    connection = await asyncpg.connect(database_url)
    try:
        for table in ("tasks", "task_lists"):  # nothing of the database's own comes in between
            await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        users = [*({"twenty": 20, "thousand": 1000, "writer": 100} | others).items()]
        await connection.executemany(_LISTS, users)
        await connection.executemany(_TASKS, users)
        await connection.execute("VACUUM ANALYZE tasks, task_lists")
    finally:
        await connection.close()


async def touched(database_url: str) -> asyncpg.Record:
    """Return the blocks and rows of our tables that were touched so far, when nobody is connected any more.

    A connection has told all that it did when it is gone.
    """
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(20):
            while await connection.fetchval(_OTHERS):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.005)
        (touched,) = await connection.fetch(_TOUCHED)
        return touched
    finally:
        await connection.close()


def request(method: str, path: str, token: str = "", body: object = None, **headers: str) -> bytes:
    """Write a request with what a browser's page sends."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = {"Host": "api.test", "User-Agent": "hot path", "Accept": "*/*", "Origin": "http://localhost:3000"}
    if token:
        lines["Authorization"] = f"Bearer {token}"
    if content:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


@dataclass(frozen=True)
class Paths:
    """The hot paths on one server: each makes a request that can be sent once."""

    server: Server
    task_id: str
    etag: str

    @classmethod
    async def of(cls, server: Server) -> "Paths":
        """Look up what the requests have to name."""
        listed = await expect(200, server, request("GET", "/tasks", _TOKENS["thousand"]))
        of_writer = await expect(200, server, request("GET", "/tasks", _TOKENS["writer"]))
        etag = next(value for name, value in listed.headers.items() if name.lower() == "etag")
        return cls(server, json.loads(of_writer.body)["tasks"][0]["id"], etag)

    def by_name(self) -> dict[str, Callable[[], Awaitable[bytes]]]:
        path, writer = f"/tasks/{self.task_id}", _TOKENS["writer"]
        fixed = {
            "list of 20": (200, request("GET", "/tasks", _TOKENS["twenty"])),
            "list of 1,000": (200, request("GET", "/tasks", _TOKENS["thousand"])),
            "list unchanged": (304, request("GET", "/tasks", _TOKENS["thousand"], If_None_Match=self.etag)),
            "get": (200, request("GET", path, writer)),
            "create": (201, request("POST", "/tasks", writer, {"text": "Buy milk and eggs"})),
            "patch": (200, request("PATCH", path, writer, {"completed": True})),
            "refused": (401, request("GET", "/tasks", _FORGED)),
            "health/live": (200, request("GET", "/health/live")),
        }
        made = {name: self._once_tried(*expected) for name, expected in fixed.items()}
        return made | {"delete": self._deletion}

    def _once_tried(self, status: int, made: bytes) -> Callable[[], Awaitable[bytes]]:
        async def make() -> bytes:
            await expect(status, self.server, made)
            return made

        return make

    async def _deletion(self) -> bytes:
        """Create what is to be deleted: nothing is deleted twice."""
        made = await expect(201, self.server, request("POST", "/tasks", _TOKENS["writer"], {"text": "x"}))
        return request("DELETE", f"/tasks/{json.loads(made.body)['id']}", _TOKENS["writer"])


async def expect(status: int, server: Server, made: bytes) -> Answer:
    answer = await server.send(made)
    if answer.status != status:
        raise RuntimeError(f"{status} was expected, but: {answer}")
    return answer
