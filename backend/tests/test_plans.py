"""Which plans PostgreSQL keeps: what is asked for all the time is not planned anew each time."""

from typing import Any

import asyncpg
import pytest

from app.queries.change_statements import CHANGES
from app.queries.reading_statements import PARTS
from app.queries.task_statements import LIST
from app.statement import Statement
from tests.conftest import MakeDatabase, administer

#: Most users have a few tasks and one has thousands: then the average user, whom a kept plan is made for, has
#: more than a typical one, and looks dearer.
FILL = """
INSERT INTO tasks (user_id, id, text, completed, "order", created_at, updated_at, revision)
SELECT user_id, gen_random_uuid(), 'x', false, 0, now(), now(), number
FROM (SELECT 'user-' || number AS user_id, CASE number WHEN 0 THEN 3000 ELSE 5 END AS many
      FROM generate_series(0, 300) AS number) AS users, generate_series(1, many) AS number
"""
KEPT = "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1"
_PART = dict.fromkeys(["completed", "q", "updated_since", "last_key", "last_id"]) | {
    "known": [],
    "wanted": True,
    "counted": False,
    "most": 20,
}
ASKED: dict[str, tuple[Statement, dict[str, Any]]] = {
    "list": (LIST, {"known": [], "wanted": True}),
    "changes": (CHANGES, {"since": 1, "limit": 500}),
    **{f"part by {sort}": (part, _PART) for sort, part in PARTS.items()},
}


@pytest.fixture(scope="module")
async def filled(make_database: MakeDatabase) -> str:
    url = await make_database()
    await administer(url, FILL)
    await administer(url, "ANALYZE tasks")
    return url


@pytest.mark.parametrize("name", ASKED)
async def test_what_reads_a_list_is_not_planned_anew_each_time(filled, name):
    statement, values = ASKED[name]
    connection = await asyncpg.connect(filled)
    try:
        for number in range(1, 11):
            await connection.fetch(
                statement.sql, *statement.arguments(values | {"user_id": f"user-{number}"})
            )
        assert await connection.fetchval(KEPT, statement.sql) == 5  # PostgreSQL tries the first five alone
    finally:
        await connection.close()
