"""The databases of the measured systems: one for each, on one server, with the same rows."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from app.migrations import migrate
from bench.data import Row, rows

#: The table as the plan has it, with the index that its queries want. The column names are those of `Row`.
_PLAN = """
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    user_id varchar(255) NOT NULL,
    text varchar(500) NOT NULL,
    completed boolean NOT NULL DEFAULT false,
    "order" integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
CREATE INDEX tasks_user_id ON tasks (user_id);
"""


def url_of(server_url: str, name: str) -> str:
    """Name another database of the same server."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def recreate(server_url: str, name: str) -> None:
    """Make a database without anything in it, whatever was there."""
    asyncio.run(_execute(server_url, f"DROP DATABASE IF EXISTS {name} (FORCE)", f"CREATE DATABASE {name}"))


def load_plan(url: str) -> None:
    """Make the plan's table and fill it."""
    asyncio.run(_load_plan(url))


def load_ours(url: str) -> None:
    """Bring our own schema up and fill it: a user's tasks have taken the first numbers of their counter."""
    migrate(url)
    asyncio.run(_load_ours(url))


async def _load_plan(url: str) -> None:
    await _execute(url, _PLAN)
    await _copy(url, "tasks", Row._fields, rows())
    await _execute(url, "VACUUM ANALYZE")


async def _load_ours(url: str) -> None:
    lists = Counter[str]()
    tasks = list[tuple[Any, ...]]()
    for row in rows():
        lists[row.user_id] += 1
        tasks.append((*row, lists[row.user_id]))
    await _copy(url, "task_lists", ("user_id", "revision"), [*lists.items()])
    await _copy(url, "tasks", (*Row._fields, "revision"), tasks)
    await _execute(url, "VACUUM ANALYZE")


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _copy(url: str, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table(table, columns=columns, records=records)
    finally:
        await connection.close()
