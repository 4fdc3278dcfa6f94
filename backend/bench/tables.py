"""What a run of writes needs in a subject's database, and leaves there."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from uuid_utils.compat import uuid7

from bench.data import WRITERS, Row

_HAS_REVISIONS = (
    "SELECT 1 FROM information_schema.columns WHERE (table_name, column_name) = ('tasks', 'revision')"
)
_COUNTERS = """
INSERT INTO task_lists (user_id, revision) SELECT unnest($1::text[]), 1 ON CONFLICT DO NOTHING
"""


def doomed_tasks(database_url: str, count: int) -> list[Row]:
    """Give the writers tasks that may be deleted, by turns."""
    tasks = [_doomed(WRITERS[number % len(WRITERS)], datetime.now(UTC)) for number in range(count)]
    asyncio.run(_insert(database_url, tasks))
    return tasks


def _doomed(user_id: str, now: datetime) -> Row:
    return Row(
        id=uuid7(),
        user_id=user_id,
        text="Throw this away",
        completed=False,
        order=0,
        created_at=now,
        updated_at=now,
        completed_at=None,
    )


def tidy(database_url: str) -> None:
    """Take away what the writers have, so that each run meets a table of the same size.

    Cleaning up here, outside the measured time, leaves nothing for autovacuum to do in it.
    """
    asyncio.run(_tidy(database_url))


async def _insert(database_url: str, tasks: Sequence[Row]) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        columns, records = [*Row._fields], list[tuple[Any, ...]](tasks)
        if await connection.fetchval(_HAS_REVISIONS):
            columns, records = [*columns, "revision"], [(*task, 1) for task in tasks]
            await connection.execute(_COUNTERS, WRITERS)
        await connection.copy_records_to_table("tasks", columns=columns, records=records)
    finally:
        await connection.close()


async def _tidy(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DELETE FROM tasks WHERE user_id = ANY($1)", WRITERS)
        await connection.execute("VACUUM ANALYZE tasks")
    finally:
        await connection.close()
