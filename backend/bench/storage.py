"""What a task takes on disk, and what a write takes in the write-ahead log, in a table with a million tasks.

.venv/bin/python -m bench.storage
"""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import asyncpg

from app.config import Settings
from app.database import Database
from app.embedded import embedded_postgres
from app.migrations import migrate
from app.queries.tasks import UserTasks
from bench.subjects.databases import recreate, url_of

_NAME = "bench_storage"

_TASKS, _USERS, _WRITES = 1_000_000, 10_000, 2_000

_LISTS = "INSERT INTO task_lists SELECT md5(u::text), $1 FROM generate_series(1, $2::int) u"
#: As they come: each from another user than the one before, with ids that grow; 38 characters of text.
_FILL = """
    INSERT INTO tasks (user_id, id, text, completed, "order", created_at, updated_at, revision)
    SELECT md5((1 + n * 7919 % $2)::text),
        (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(n::text), 14, 19))::uuid,
        repeat('Buy milk and bread ', 2), false, 0, now(), now(), n
    FROM generate_series(1, $1::bigint) n
"""
_PICKED = "SELECT user_id, id FROM tasks ORDER BY md5(id::text) LIMIT $1"
_SIZES = """
    SELECT pg_table_size('tasks') / $1::float8 + pg_indexes_size('tasks') / $1::float8,
        pg_total_relation_size('task_lists') / $2::float8
"""
_WRITTEN = "SELECT pg_current_wal_insert_lsn() - '0/0'"


async def measure(url: str) -> dict[str, dict[str, float]]:
    """Return bytes per task and user, and bytes of WAL per write, in the report's `capacity`."""
    connection = await asyncpg.connect(url)
    database = Database(url, Settings(_env_file=None, database_url=url))
    try:
        await connection.execute(_LISTS, _TASKS // _USERS, _USERS)
        await connection.execute(_FILL, _TASKS, _USERS)
        await connection.execute("VACUUM ANALYZE")
        task, user = await connection.fetchrow(_SIZES, _TASKS, _USERS) or (0, 0)
        picked = await connection.fetch(_PICKED, _WRITES)
        wal = {}
        for work in ("create", "patch", "delete"):
            wal[work] = await _logged(connection, database, work, [tuple(row) for row in picked])
        return {"storage": {"bytes_per_task": round(task), "bytes_per_user": round(user)}, "wal": wal}
    finally:
        await connection.close()
        await database.close()


async def _logged(
    connection: "asyncpg.Connection[asyncpg.Record]",
    database: Database,
    work: str,
    picked: list[tuple[str, UUID]],
) -> float:
    """Write all over the table after a checkpoint, when each page is logged whole at its first change."""
    await connection.execute("CHECKPOINT")
    before = await connection.fetchval(_WRITTEN)
    for user_id, task_id in picked:
        tasks = UserTasks(database, user_id)
        if work == "create":
            await tasks.add(text="Buy milk and bread")
        elif work == "patch":
            await tasks.change(task_id, completed=True)
        else:
            await tasks.remove(task_id)
    return round(float(await connection.fetchval(_WRITTEN) - before) / len(picked))


def measured_on(server_url: str) -> dict[str, dict[str, float]]:
    """Measure in a database of its own on a server that others use too."""
    recreate(server_url, _NAME)
    url = url_of(server_url, _NAME)
    migrate(url)
    return asyncio.run(measure(url))


def main() -> None:
    with TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as url:
        print(json.dumps(measured_on(url), indent=2))


if __name__ == "__main__":
    main()
