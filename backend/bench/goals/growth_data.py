"""Tasks by the million, made in the database: users by turns, as they come in time."""

import asyncio
from collections.abc import Sequence

import asyncpg

from app.migrations import migrate
from bench.subjects import Subject
from bench.subjects.databases import recreate

#: The n-th task of all. Users come by turns: a user's tasks lie far apart. An id begins with its time.
_TASKS = """
INSERT INTO tasks (user_id, id, text, completed, "order", created_at, updated_at, completed_at, revision)
SELECT 'user-' || user_number, id::uuid, 'Buy milk and two loaves of bread, no. ' || number, number % 3 = 0,
       number / 2, made, made, CASE WHEN number % 3 = 0 THEN made END, number
  FROM generate_series(0, $1::bigint * $2::bigint - 1) AS at,
       LATERAL (SELECT $3::bigint + at % $1::bigint AS user_number, at / $1::bigint + 1 AS number,
                       timestamptz '2026-01-01' + at * interval '1 second' AS made,
                       lpad(to_hex(at), 12, '0') || '7000' || lpad(to_hex(at * 7919), 16, '8') AS id)
"""
_LISTS = """
INSERT INTO task_lists (user_id, revision)
SELECT 'user-' || at, $2::bigint FROM generate_series($3::bigint, $3::bigint + $1::bigint - 1) AS at
"""
#: Only reads are measured: nothing of it has to survive, or to be written twice.
_BEFORE = ("SET maintenance_work_mem = '1GB'", "ALTER TABLE tasks SET UNLOGGED")
#: A key is built at once over many rows in a fraction of the time that it takes row by row.
_NO_KEY = "ALTER TABLE tasks DROP CONSTRAINT tasks_pkey"
_KEY = "ALTER TABLE tasks ADD CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id)"
_FIRST = "SELECT user_id, id FROM tasks WHERE user_id = ANY($1) AND revision = 1"


def prepare(subject: Subject, server_url: str, users: Sequence[tuple[int, int, int]]) -> None:
    """Make a database of ours with so many users, so many tasks for each, numbered from a first one."""
    recreate(server_url, f"bench_{subject.name}")
    url = subject.database(server_url)
    migrate(url)
    asyncio.run(_fill(url, users))


async def _fill(url: str, users: Sequence[tuple[int, int, int]]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in (*_BEFORE, _NO_KEY):
            await connection.execute(statement)
        for group in users:
            await connection.execute(_TASKS, *group)
            await connection.execute(_LISTS, *group)
        for statement in (_KEY, "VACUUM ANALYZE"):
            await connection.execute(statement)
    finally:
        await connection.close()


def first_tasks(url: str, users: Sequence[str]) -> dict[str, str]:
    """Return the id of each user's first task."""
    return asyncio.run(_first_tasks(url, users))


async def _first_tasks(url: str, users: Sequence[str]) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        return {row["user_id"]: str(row["id"]) for row in await connection.fetch(_FIRST, users)}
    finally:
        await connection.close()
