"""The way to PostgreSQL, on a good day and on every bad one: stopped, frozen, killed, full, locked, slow."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import httpx2 as httpx
import pytest
from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    column,
    func,
    literal_column,
    select,
    table,
)

from app.config import BACKEND, Settings
from app.database import Database
from app.database_errors import DRIVER_ERRORS
from app.database_errors import is_unavailable as says_unavailable
from app.embedded import embedded_postgres
from app.errors import Unavailable
from app.main import create_app
from app.migrations import migrate, newest_revision
from app.statement import Statement
from bench.wire import Wire
from tests.conftest import FAST, SECRET, ClientFor, administer, named
from tests.test_tasks import make

ECHO = Statement(select(bindparam("value", type_=Integer).label("value")))
SLEEP = Statement(
    select(func.pg_sleep(bindparam("seconds", type_=Float)), func.pg_backend_pid().label("pid"))
)
PREPARED = Statement(select(func.count().label("count")).select_from(table("pg_prepared_statements")))
FAILING = Statement(select(literal_column("1") / bindparam("divisor", type_=Integer)))
RAISING = Statement(select(func.raise_state(bindparam("state", type_=String))))
RAISE = """
    CREATE FUNCTION raise_state(state text) RETURNS int LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = state; END $$
"""
KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"

Connections = Callable[[str], Awaitable[list[asyncpg.Record]]]

#: What the issue promises of a database that is gone; the default DATABASE_TIMEOUT lies below.
PROMISED = 5


class Postgres:
    """A server of these tests' own, to be stopped, started and frozen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.url = ""

    def start(self) -> None:
        self.url = self._running.enter_context(embedded_postgres(self._folder, FAST))

    def stop(self) -> None:
        self._running.close()

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Stop the clock of the server and of all that it has started."""
        backends = await administer(
            self.url, "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        postmaster = (self._folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]
        processes = [int(postmaster), *(row["pid"] for row in backends)]
        try:
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            async with asyncio.timeout(3 * PROMISED):  # who waits for ever has failed
                yield
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    postgres = Postgres(tmp_path_factory.mktemp("own"))
    postgres.start()
    migrate(postgres.url)
    yield postgres
    postgres.stop()


@pytest.fixture
def connections(database_url: str) -> Connections:
    """What the server sees of the connections that go by a name."""
    return lambda name: sessions(database_url, name)


async def sessions(url: str, name: str) -> list[asyncpg.Record]:
    return await administer(url, "SELECT * FROM pg_stat_activity WHERE application_name = $1", name)


@asynccontextmanager
async def opened(url: str, **settings: object) -> AsyncIterator[Database]:
    database = Database(url, Settings.model_validate(settings))
    yield database
    await database.close()


@pytest.fixture
def service(client_for: ClientFor):
    """Open the app on a database of one's choice, and a signed-in client of it."""

    @asynccontextmanager
    async def open_service(url: str, **settings: object) -> AsyncIterator[tuple[Database, httpx.AsyncClient]]:
        app = create_app(
            Settings.model_validate({"database_url": url, "better_auth_secret": SECRET} | settings)
        )
        async with client_for(f"alice-{uuid.uuid4()}", app) as client:
            yield app.state.database, client
        await app.state.database.close()

    return open_service


async def timed(answer: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return await answer, time.monotonic() - started


def is_unavailable(answer: httpx.Response) -> bool:
    said = (answer.status_code, answer.json()["error"])
    return said == (503, "SERVICE_UNAVAILABLE") and int(answer.headers["Retry-After"]) > 0


async def until_it_works(client: httpx.AsyncClient) -> float:
    """Ask until the answer is good; how long that took."""
    started = time.monotonic()
    while (await client.get("/tasks")).status_code != 200:
        assert time.monotonic() - started < PROMISED
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def works_at_full_size(database: Database, size: int) -> bool:
    """Whether as many statements run side by side as the pool has places: none was lost."""
    rows = await asyncio.gather(*(database.fetch_one(SLEEP, seconds=0.2) for _ in range(size)))
    return len({row["pid"] for row in rows if row}) == size


# Statements


def test_arguments_stand_in_the_order_of_the_placeholders():
    statement = Statement(
        select(bindparam("b", type_=Integer), bindparam("a", type_=Integer), literal_column("1"))
    )
    assert statement.arguments({"a": 1, "b": 2}) == [2, 1]


def test_a_constant_of_the_statement_needs_no_argument():
    statement = Statement(select(column("a")).where(column("a") == 5, column("b") == bindparam("b")))
    assert statement.arguments({"b": 6}) == [5, 6]


def test_a_missing_value_is_an_error_and_not_a_null():
    with pytest.raises(KeyError, match="value"):
        ECHO.arguments({})


def test_a_python_default_that_nobody_would_run_is_refused():
    things = Table("t", MetaData(), Column("a", Integer), Column("made", Integer, default=lambda: 1))
    with pytest.raises(TypeError, match="default"):
        Statement(things.insert().values(a=bindparam("a")))
    assert Statement(things.insert().values(a=bindparam("a"), made=bindparam("made")))


# The pool


async def test_statements_that_run_at_once_get_their_own_answers(database_url, connections):
    name = str(uuid.uuid4())
    async with opened(f"{database_url}&application_name={name}", database_pool_size=4) as database:
        rows = await asyncio.gather(*(database.fetch(ECHO, value=number) for number in range(200)))
        assert [row["value"] for (row,) in rows] == list(range(200))
        assert 1 <= len(await connections(name)) <= 4


async def test_nothing_is_opened_before_the_first_statement(database_url, connections):
    name = str(uuid.uuid4())
    async with opened(f"{database_url}&application_name={name}") as database:
        assert await connections(name) == []
        await database.fetch(ECHO, value=1)
        assert len(await connections(name)) == 1
    assert await until_gone(connections, name)


async def until_gone(connections: Connections, name: str) -> bool:
    """A server needs a moment to see that somebody has left."""
    deadline = time.monotonic() + 2
    while found := await connections(name):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)
    return True


async def test_after_a_close_the_next_statement_opens_again(database_url):
    database = Database(database_url, Settings())
    for number in range(2):
        assert await database.fetch(ECHO, value=number)
        await database.close()
        await database.close()


async def test_no_statement_leaves_a_transaction_open_or_is_followed_by_another(database_url, connections):
    name = str(uuid.uuid4())
    async with opened(f"{database_url}&application_name={name}", database_pool_size=1) as database:
        for statement, values in [(ECHO, {"value": 1}), (FAILING, {"divisor": 0})]:
            with suppress(asyncpg.DivisionByZeroError):
                await database.fetch(statement, **values)
            (session,) = await connections(name)
            assert (session["state"], session["xact_start"]) == ("idle", None)
            assert session["query"] == statement.sql


async def test_an_error_of_ours_is_not_the_databases_absence(database_url):
    async with opened(database_url) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.fetch(FAILING, divisor=0)
        with pytest.raises(asyncpg.DataError):
            await database.fetch(ECHO, value="one")


@pytest.mark.parametrize(
    ("settings", "suffix", "kept"),
    [
        ({}, "", True),
        ({}, "&pgbouncer=true", False),
        ({"database_prepared_statements": "on"}, "&pgbouncer=true", True),
        ({"database_prepared_statements": "off"}, "", False),
    ],
)
async def test_statements_stay_prepared_except_behind_a_pooler(database_url, settings, suffix, kept):
    async with opened(database_url + suffix, database_pool_size=1, **settings) as database:
        await database.fetch(ECHO, value=1)
        row = await database.fetch_one(PREPARED)
        assert row is not None
        assert (row["count"] > 0) is kept


@pytest.mark.parametrize(("prepared", "round_trips"), [("auto", 2), ("on", 1)])
async def test_behind_a_pooler_a_statement_is_two_round_trips(
    database_url, tmp_path_factory, prepared, round_trips
):
    """It is described before it runs; still in one transaction, so on one server connection."""
    address, upstream = database_url.split("?host=")
    folder = tmp_path_factory.mktemp("w")
    url = f"{address}?host={folder}&pgbouncer=true"
    settings = {"database_pool_size": 1, "database_prepared_statements": prepared}
    with Wire(folder, Path(upstream)) as wire:
        async with opened(url, **settings) as database:
            await database.fetch(ECHO, value=1)
            before = wire.round_trips
            await database.fetch(ECHO, value=2)
            assert wire.round_trips - before == round_trips


async def test_the_schemas_revision_is_known(database_url, make_database):
    async with opened(database_url) as database:
        assert await database.schema_revision() == newest_revision()
    async with opened(await make_database(empty=True)) as database:
        assert await database.schema_revision() is None


async def test_callers_who_leave_take_no_connection_with_them(database_url):
    async with opened(database_url, database_pool_size=2) as database:
        for _ in range(5):
            leaving = [asyncio.create_task(database.fetch(SLEEP, seconds=30)) for _ in range(4)]
            await asyncio.sleep(0.02)
            for task in leaving:
                task.cancel()
            await asyncio.wait(leaving)
        assert await works_at_full_size(database, 2)


LOOPS = """
import asyncio, sys, uvloop
from sqlalchemy import Integer, bindparam, select
from app.config import Settings
from app.database import Database
from app.statement import Statement

echo = Statement(select(bindparam("value", type_=Integer).label("value")))
database = Database(sys.argv[1], Settings(database_pool_size=3))

async def use():
    rows = await asyncio.gather(*(database.fetch(echo, value=number) for number in range(9)))
    assert [row["value"] for (row,) in rows] == list(range(9))
    await database.answers_within(5)
    print("used", flush=True)

for factory in (None, uvloop.new_event_loop, None):
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(use())
    print("left", flush=True)
    sys.stdin.readline()
"""


def test_the_pool_lives_and_ends_with_whichever_loop_asks(database_url):
    """In a process of its own, where every warning is an error, and nobody closes anything."""
    name = str(uuid.uuid4())
    loops = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", LOOPS, f"{database_url}&application_name={name}"],
        cwd=BACKEND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with loops:
        assert loops.stdin
        assert loops.stdout
        assert loops.stderr
        try:
            for _ in range(3):
                said = [loops.stdout.readline(), loops.stdout.readline()]
                assert said == ["used\n", "left\n"], loops.stderr.read()
                assert asyncio.run(until_gone(lambda name: sessions(database_url, name), name))
                loops.stdin.write("\n")
                loops.stdin.flush()
            assert loops.stderr.read() == ""
            assert loops.wait(10) == 0
        finally:
            loops.kill()


def test_loops_in_several_threads_share_one_database(database_url):
    database = Database(database_url, Settings(database_pool_size=2))
    found: list[int] = []

    async def use() -> None:
        for number in range(20):
            found.extend(row["value"] for row in await database.fetch(ECHO, value=number))

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([*range(20)] * 3)


# Bad days


async def test_a_stopped_database_is_503_until_it_returns(postgres, service):
    async with service(postgres.url) as (_, client):
        await make(client)
        postgres.stop()
        try:
            for _ in range(3):
                answer, seconds = await timed(client.get("/tasks"))
                assert is_unavailable(answer)
                assert seconds < PROMISED
            assert (await client.get("/health")).json()["database"] == "disconnected"
        finally:
            postgres.start()
        assert await until_it_works(client) < PROMISED
        assert len((await client.get("/tasks")).json()["tasks"]) == 1
        assert (await client.get("/health")).json()["database"] == "connected"


async def test_a_frozen_database_is_503_in_time_and_nothing_is_lost(postgres, service):
    """With the default DATABASE_TIMEOUT, on connections that are open and on those that would be."""
    async with service(postgres.url, database_pool_size=3) as (database, client):
        await make(client)
        assert await works_at_full_size(database, 3)
        async with postgres.frozen():
            health, seconds = await timed(client.get("/health"))
            assert health.json()["database"] == "disconnected"
            assert seconds < 1
            answers = await asyncio.gather(*(timed(client.get("/tasks")) for _ in range(8)))
            # Those for whom no connection is left are told so before the others are given up.
            assert {answer.status_code for answer, _ in answers} == {503}
            assert {answer.json()["error"] for answer, _ in answers} == {"SERVICE_UNAVAILABLE", "OVERLOADED"}
            assert max(seconds for _, seconds in answers) < PROMISED
        assert await until_it_works(client) < PROMISED
        assert await works_at_full_size(database, 3)
        assert (await client.get("/health")).json()["database"] == "connected"


async def test_a_database_that_is_frozen_before_the_first_request_is_503_too(postgres, service):
    async with service(postgres.url, database_timeout=0.5) as (_, client):
        async with postgres.frozen():
            answer, seconds = await timed(client.get("/tasks"))
            assert is_unavailable(answer)
            assert seconds < PROMISED
        assert await until_it_works(client) < PROMISED


async def test_a_service_that_ends_does_not_wait_for_a_frozen_database(postgres):
    database = Database(postgres.url, Settings(database_timeout=0.3, database_pool_size=2))
    assert await works_at_full_size(database, 2)
    async with postgres.frozen():
        with pytest.raises(Unavailable):
            await database.fetch(ECHO, value=1)
        started = time.monotonic()
        await database.close()
        assert time.monotonic() - started < PROMISED


async def test_a_connection_that_was_killed_while_idle_is_replaced(postgres, service):
    name = str(uuid.uuid4())
    async with service(f"{postgres.url}&application_name={name}") as (_, client):
        await make(client)
        await administer(postgres.url, KILL, name)
        await asyncio.sleep(0.1)
        for _ in range(3):
            assert (await client.get("/tasks")).status_code == 200


async def test_a_connection_that_is_killed_while_it_works_is_503_once(postgres, service):
    name = str(uuid.uuid4())
    async with service(f"{postgres.url}&application_name={name}") as (_, client):
        task = await make(client)
        async with locked(postgres.url, task["user_id"]):
            waiting = asyncio.create_task(client.patch(f"/tasks/{task['id']}", json={"order": 1}))
            await asyncio.sleep(0.2)
            await administer(postgres.url, KILL, name)
            assert is_unavailable(await waiting)
        assert (await client.get("/tasks")).json()["tasks"] == [task]


@asynccontextmanager
async def locked(url: str, user_id: str) -> AsyncIterator[None]:
    """Hold the row of a user's counter in a transaction of another session."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.fetch("SELECT * FROM task_lists WHERE user_id = $1 FOR UPDATE", user_id)
            yield
    finally:
        await connection.close()


async def test_a_lock_that_another_session_holds_is_503_in_time(database_url, connections, service):
    name = str(uuid.uuid4())
    async with service(f"{database_url}&application_name={name}", database_timeout=1) as (_, client):
        task = await make(client)
        async with locked(database_url, task["user_id"]):
            answer, seconds = await timed(client.patch(f"/tasks/{task['id']}", json={"order": 1}))
            assert is_unavailable(answer)
            assert seconds < PROMISED
            assert (await client.get("/tasks")).json()["tasks"] == [task]
            assert {session["state"] for session in await connections(name)} == {"idle"}
        assert (await client.get("/tasks")).json()["tasks"] == [task]
        assert (await client.patch(f"/tasks/{task['id']}", json={"order": 1})).status_code == 200


def test_what_the_driver_calls_an_internal_error_is_a_connection_that_broke():
    """Between a statement's two parts, prepare and execute; test_crashes.py meets it, as 500 without this."""
    error = asyncpg.InternalClientError("cannot switch to state 12; protocol is in the failed state")
    assert isinstance(error, DRIVER_ERRORS)
    assert says_unavailable(error)


async def test_a_pool_with_every_connection_busy_is_503(database_url, service):
    limits = {"database_pool_size": 2, "database_timeout": 0.2}  # shorter than the wait in the queue
    async with service(database_url, **limits) as (database, client):
        pool = await database._pools.here()  # noqa: SLF001 - nothing of the service holds a connection this long
        busy = [await pool.take() for _ in range(2)]
        answer, seconds = await timed(client.get("/tasks"))
        assert is_unavailable(answer)
        assert seconds < PROMISED
        for connection in busy:
            pool.pass_on(connection, None)
        assert (await client.get("/tasks")).status_code == 200


async def test_a_statement_that_lacks_a_value_takes_no_connection_with_it(database_url):
    async with opened(database_url, database_pool_size=1) as database:
        for _ in range(2):
            with pytest.raises(KeyError):
                await database.fetch(ECHO)
        assert await works_at_full_size(database, 1)


async def test_statements_that_take_too_long_are_503_and_give_their_places_back(database_url):
    async with opened(database_url, database_pool_size=2, database_timeout=0.3) as database:
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(database.fetch(SLEEP, seconds=30) for _ in range(6)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [Unavailable] * 6
        assert await works_at_full_size(database, 2)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@127.0.0.1:1/d",
        "postgresql://u:p@[::1]:1/d",
        "postgresql://u@/d?host=/nowhere",
        "postgresql://u:p@127.0.0.1:1/d?sslmode=require",
    ],
)
async def test_a_database_that_is_not_there_is_503(url, service):
    async with service(url) as (_, client):
        answer, seconds = await timed(client.get("/tasks"))
        assert is_unavailable(answer)
        assert seconds < PROMISED


@pytest.mark.parametrize("wrong", ["user", "database"])
async def test_a_database_that_lets_nobody_in_is_503(wrong, server, service):
    url = server.replace("postgres@", "stranger@") if wrong == "user" else named(server, "nothing")
    async with service(url) as (_, client):
        assert is_unavailable(await client.get("/tasks"))


async def test_a_server_that_asks_for_what_the_driver_does_not_know_is_503(service):
    """Kerberos V5, here: the driver calls it an error of its own interface."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"R" + (8).to_bytes(4) + (2).to_bytes(4))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1") as listener:
        port = listener.sockets[0].getsockname()[1]
        async with service(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable") as (_, client):
            assert is_unavailable(await client.get("/tasks"))


STATES = {
    "08006": Unavailable,  # connection failure
    "25006": Unavailable,  # read-only: a standby, or a primary that is being replaced
    "28P01": Unavailable,  # the password was changed
    "3D000": Unavailable,  # no such database
    "40001": Unavailable,  # could not serialize
    "40P01": Unavailable,  # deadlock
    "53100": Unavailable,  # disk full
    "53300": Unavailable,  # too many connections
    "55P03": Unavailable,  # lock not available
    "57014": Unavailable,  # cancelled, by statement_timeout say
    "57P01": Unavailable,  # shutting down
    "57P03": Unavailable,  # starting up
    "42501": Unavailable,  # the role may not use the schema
    "42703": Unavailable,  # a schema that is behind: no such column
    "42P01": Unavailable,  # or no such table
    "22003": asyncpg.PostgresError,  # what follows would be a bug of ours
    "23505": asyncpg.PostgresError,
    "25001": asyncpg.PostgresError,
    "42601": asyncpg.PostgresError,
}


async def test_what_the_server_says_of_itself_is_told_from_what_it_says_of_a_statement(make_database):
    url = await make_database()
    await administer(url, RAISE)
    async with opened(url) as database:
        for state, expected in STATES.items():
            with pytest.raises(expected):
                await database.fetch(RAISING, state=state)


# Health


async def test_simultaneous_health_checks_share_one_connection(database_url, connections):
    name = str(uuid.uuid4())
    async with opened(f"{database_url}&application_name={name}") as database:
        assert all(await asyncio.gather(*(database.answers_within(2) for _ in range(50))))
        assert len(await connections(name)) == 1


async def test_a_full_pool_is_healthy_as_long_as_its_statements_are_answered(database_url):
    """The check waits its turn, for a second here; what is answered meanwhile says as much."""
    nap = Statement(select(func.pg_sleep(0.05)))
    async with opened(database_url, database_pool_size=1) as database:
        queue = [asyncio.create_task(database.fetch(nap)) for _ in range(20)]
        await asyncio.sleep(0)
        assert await database.answers_within(0.5)
        assert not queue[-1].done()
        await asyncio.gather(*queue)


async def test_a_full_pool_whose_statements_are_not_answered_is_not_healthy(database_url):
    nap = Statement(select(func.pg_sleep(1)))
    async with opened(database_url, database_pool_size=1) as database:
        await database.fetch(Statement(select(func.pg_sleep(0))))
        stuck = asyncio.create_task(database.fetch(nap))
        await asyncio.sleep(0)
        assert not await database.answers_within(0.2)
        await stuck


@pytest.fixture
async def slow_url(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> AsyncIterator[str]:
    """The database, behind a socket that takes 0.3 s to connect, like one that is woken up."""
    address, upstream = database_url.split("?host=")
    folder = tmp_path_factory.mktemp("s")

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        there, back = await asyncio.open_unix_connection(f"{upstream}/.s.PGSQL.5432")
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, back))
            group.create_task(_copy(there, writer))

    server = await asyncio.start_unix_server(connect, folder / ".s.PGSQL.5432")
    yield f"{address}?host={folder}"
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def test_a_connection_that_is_slow_to_open_is_not_given_up_for_ever(slow_url, service):
    async with service(slow_url) as (_, client):
        first, seconds = await timed(client.get("/health"))
        assert first.json()["database"] == "disconnected"
        assert seconds < 0.3
        await asyncio.sleep(0.6)
        assert (await client.get("/health")).json()["database"] == "connected"


async def test_loops_that_ask_at_once_have_a_check_each(slow_url):
    """Else one would wait for as long as another is busy with something else."""
    database = Database(slow_url, Settings())

    async def ask_and_be_busy() -> bool:
        check = asyncio.create_task(database.answers_within(5))
        await asyncio.sleep(0.05)
        time.sleep(1.5)  # noqa: ASYNC251 - the loop of this thread stands still
        return await check

    other = asyncio.create_task(asyncio.to_thread(asyncio.run, ask_and_be_busy()))
    await asyncio.sleep(0.2)
    assert await database.answers_within(1)
    assert await other
    await database.close()


def test_an_idle_connection_is_given_up_before_neon_takes_it_away():
    """It suspends after 300 s without queries, and every connection dies with it."""
    database = Database("postgresql://h/d", Settings())
    assert 0 < database._pools.arguments["max_inactive_connection_lifetime"] < 300  # noqa: SLF001 - a figure to hold
