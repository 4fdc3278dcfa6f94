"""What row-level security would cost as a second wall, and where it would not stand.

.venv/bin/python -m bench.rls
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import psycopg

from app.config import Settings
from app.database import Database
from app.migrations import migrate
from app.queries.task_statements import GET
from app.queries.tasks import UserTasks
from bench.cpu import cpu_seconds
from bench.rls_holes import in_one_statement, pooled
from bench.served import database_server
from bench.subjects.databases import recreate, url_of
from bench.subjects.processes import tree
from bench.wire import Wire

_NAME = "bench_rls"
_ROUNDS, _STATEMENTS = 9, 500
_ME, _OTHER, _TASKS = "user-one", "user-two", 20

#: A role of its own: the owner and superusers walk around every policy, unless they are forced.
_SET_UP = """
    CREATE ROLE api LOGIN;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO api;
    CREATE POLICY own ON tasks USING (user_id = current_setting('app.user_id', true));
    CREATE ROLE "user-one";
    GRANT "user-one" TO api;
    GRANT SELECT ON tasks TO "user-one";
    CREATE FUNCTION own_task(me text, wanted uuid) RETURNS SETOF tasks LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('app.user_id', me, true);
        RETURN QUERY SELECT * FROM tasks WHERE user_id = me AND id = wanted AND deleted_at IS NULL;
    END $$;
"""
_ON = "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY; ALTER TABLE tasks FORCE ROW LEVEL SECURITY"
_OFF = "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY"
_BY_ROLE = "ALTER POLICY own ON tasks USING (user_id = current_user)"
_BY_SETTING = "ALTER POLICY own ON tasks USING (user_id = current_setting('app.user_id', true))"
_SET = "SELECT set_config('app.user_id', $1, true)"
_SET_FOR_LONG = "SELECT set_config('app.user_id', $1, false)"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Way: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass
class Measured:
    """What one statement took, in the median of all rounds."""

    round_trips: float
    wall: float  #: µs
    server: float  #: µs of CPU time of PostgreSQL


async def ways(
    connection: Connection, other: "psycopg.AsyncConnection[Any]", task: UUID
) -> Mapping[str, tuple[str, Way]]:
    """Return the ways to read one task, each with what the table has to be like."""
    arguments = GET.arguments({"user_id": _ME, "id": task})
    for_psycopg = GET.sql.replace("$1::VARCHAR", "%s").replace("$2::UUID", "%s")

    async def plain() -> object:
        return await connection.fetch(GET.sql, *arguments)

    async def in_a_transaction() -> object:
        async with connection.transaction():
            await connection.fetch(_SET, _ME)
            return await connection.fetch(GET.sql, *arguments)

    async def set_before() -> object:
        await connection.fetch(_SET_FOR_LONG, _ME)
        return await connection.fetch(GET.sql, *arguments)

    async def in_a_function() -> object:
        return await connection.fetch("SELECT * FROM own_task($1, $2)", _ME, task)

    async def as_a_role() -> object:
        await connection.execute('SET ROLE "user-one"')
        rows = await connection.fetch(GET.sql, *arguments)
        await connection.execute("RESET ROLE")
        return rows

    async def psycopg_plain() -> object:
        return await (await other.execute(for_psycopg, arguments, prepare=True)).fetchall()

    async def pipelined() -> object:
        async with other.pipeline():  # without a Sync between them they are one transaction
            await other.execute("SELECT set_config('app.user_id', %s, true)", [_ME], prepare=True)
            found = await other.execute(for_psycopg, arguments, prepare=True)
        return await found.fetchall()

    return {
        "asyncpg: as it is": (_OFF, plain),
        "asyncpg: BEGIN, set_config, statement, COMMIT": (_ON, in_a_transaction),
        "asyncpg: set_config for the session, statement": (_ON, set_before),
        "asyncpg: a function that sets and reads": (_ON, in_a_function),
        "asyncpg: SET ROLE, statement, RESET ROLE": (f"{_ON}; {_BY_ROLE}", as_a_role),
        "psycopg: as it is": (f"{_OFF}; {_BY_SETTING}", psycopg_plain),
        "psycopg: set_config and statement, pipelined": (_ON, pipelined),
    }


async def measure(url: str, postmaster: int) -> Mapping[str, Measured]:
    """Read a task in each way, by turns."""
    admin = await asyncpg.connect(url)
    task = await filled(admin, url)
    found: dict[str, list[Measured]] = {}
    address, upstream = url.replace("postgres@", "api@").split("?host=")
    with TemporaryDirectory() as folder, Wire(Path(folder), Path(upstream.replace("%2F", "/"))) as wire:
        async with both(f"{address}?host={upstream}") as direct, both(f"{address}?host={folder}") as counted:
            counting = await ways(*counted, task)
            for _ in range(_ROUNDS):
                for name, (table, way) in (await ways(*direct, task)).items():
                    await admin.execute(table)
                    trips = await _round_trips(wire, counting[name][1])
                    found.setdefault(name, []).append(await _timed(way, trips, postmaster))
    await admin.execute(f"{_OFF}; {_BY_SETTING}")
    await admin.close()
    return {name: _median(rounds) for name, rounds in found.items()}


async def filled(admin: Connection, url: str) -> UUID:
    """Give two users tasks; return one of the first."""
    await admin.execute(_SET_UP)
    database = Database(url, Settings(_env_file=None, database_url=url))
    for _ in range(_TASKS):
        for user in (_ME, _OTHER):
            await UserTasks(database, user).add(text="Buy milk")
    await database.close()
    await admin.execute("ANALYZE")
    first: UUID = await admin.fetchval("SELECT id FROM tasks WHERE user_id = $1 LIMIT 1", _ME)
    return first


@asynccontextmanager
async def both(url: str) -> AsyncIterator[tuple[Connection, "psycopg.AsyncConnection[Any]"]]:
    """Connect with both drivers."""
    connection = await asyncpg.connect(url)
    try:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
            yield connection, other
    finally:
        await connection.close()


async def _round_trips(wire: Wire, way: Way) -> float:
    for _ in range(10):
        await way()  # what is prepared is prepared
    before = wire.round_trips
    if not await way():
        raise LookupError("the task is not seen")
    return wire.round_trips - before


async def _timed(way: Way, trips: float, postmaster: int) -> Measured:
    for _ in range(10):
        await way()
    server, wall = cpu_seconds(tree(postmaster)), time.perf_counter()
    for _ in range(_STATEMENTS):
        await way()
    wall = time.perf_counter() - wall
    return Measured(
        trips, wall / _STATEMENTS * 1e6, (cpu_seconds(tree(postmaster)) - server) / _STATEMENTS * 1e6
    )


def _median(rounds: list[Measured]) -> Measured:
    of = {name: statistics.median(getattr(one, name) for one in rounds) for name in Measured.__annotations__}
    return Measured(**of)


async def where_it_does_not_stand(url: str) -> Mapping[str, str]:
    """Say whose tasks are seen where the setting and the statement go together in other ways."""
    admin = await asyncpg.connect(url)
    await admin.execute(_ON)
    found = await in_one_statement(url.replace("postgres@", "api@"), _ME, _OTHER)
    found |= await pooled(url)
    await admin.close()
    return found


def main() -> None:
    with database_server() as (server, postmaster):
        recreate(server, _NAME)
        url = url_of(server, _NAME)
        migrate(url)
        measured = asyncio.run(measure(url, postmaster))
        print(f"{'one task by its id':<50}{'round trips':>12}{'µs':>8}{'µs of PostgreSQL':>18}")
        for name, one in measured.items():
            print(f"{name:<50}{one.round_trips:>12.0f}{one.wall:>8.0f}{one.server:>18.0f}")
        print(f"\nAsked for the {_TASKS} tasks of {_ME}, who saw what")
        for name, seen in asyncio.run(where_it_does_not_stand(url)).items():
            print(f"{name:<60}{seen}")


if __name__ == "__main__":
    main()
