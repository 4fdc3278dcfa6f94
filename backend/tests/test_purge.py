"""The purge: what is due goes, of everybody, in batches, side by side; nothing else does."""

import asyncio
import itertools
import logging
import os
import pty
import re
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2 as httpx
import pytest
from fastapi import FastAPI

from app.config import Settings
from app.database import Database
from app.embedded import embedded_postgres
from app.main import close, create_app, lifespan
from app.purging import KEY_RETENTION_DAYS, Rhythm, prepared, purged_daily
from app.queries.purge import DUE_COUNT, DUE_USERS, Purge, Purged
from tests.conftest import FAST, SECRET, ClientFor, MakeDatabase, administer, until_waiting
from tests.servers import BIN, Commands, processes_of
from tests.test_cli import NOWHERE, refusal
from tests.test_tasks import make
from tests.test_trash import DELETE, RESTORE, held, in_trash, trashed

AGE = "UPDATE tasks SET deleted_at = $2 WHERE user_id = $1 AND deleted_at IS NOT NULL AND text LIKE $3"
ADD_TASK = """
    INSERT INTO tasks (user_id, id, text, created_at, updated_at, deleted_at, revision)
    VALUES ($1, $2, 'x', $3, $3, $3, $4)
"""
ADD_LIST = "INSERT INTO task_lists (user_id, revision) VALUES ($1, $2)"
ADD_KEY = """
    INSERT INTO idempotency_keys (user_id, key, fingerprint, revision, answer, created_at)
    VALUES ($1, $2, '', 1, '[]', $3)
"""


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


@dataclass
class World:
    """A service with a database of its own: a purge looks at everybody."""

    settings: Settings
    app: FastAPI
    connection: asyncpg.Connection
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return self.settings.database_url

    async def sql(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self.connection.fetch(sql, *arguments)

    async def age(self, user_id: str, days: float, text: str = "%") -> None:
        """Have it be that many days since a user's tasks were deleted."""
        await self.sql(AGE, user_id, ago(days), text)

    async def add_user(self, tombstones: int, keys: int = 0, *, days: float = 31) -> str:
        """Add a user with that many things that are due."""
        user_id = f"user-{next(self.numbers)}"
        await self.sql(ADD_LIST, user_id, tombstones + 1)
        for number in range(tombstones):
            await self.sql(ADD_TASK, user_id, uuid.uuid4(), ago(days), number + 1)
        for number in range(keys):
            await self.sql(ADD_KEY, user_id, str(number), ago(days))
        return user_id

    async def purge(self, batch: int = 1000, progress: Callable[[int], Any] | None = None) -> Purged:
        database = Database(self.url, self.settings)
        try:
            before = {"deleted_before": ago(30), "answered_before": ago(30)}
            return await Purge(database, batch=batch, **before).run(progress)
        finally:
            await database.close()

    async def tombstones(self, user_id: str = "%") -> list[int]:
        sql = "SELECT revision FROM tasks WHERE user_id LIKE $1 AND deleted_at IS NOT NULL ORDER BY revision"
        return [row["revision"] for row in await self.sql(sql, user_id)]

    async def keys(self) -> list[str]:
        return [row["key"] for row in await self.sql("SELECT key FROM idempotency_keys ORDER BY key")]

    async def mark(self, user_id: str) -> int:
        rows = await self.sql("SELECT purged_revision FROM task_lists WHERE user_id = $1", user_id)
        return rows[0]["purged_revision"]


@pytest.fixture(scope="module")
async def own_database(make_database: MakeDatabase) -> str:
    return await make_database()


@pytest.fixture
async def world(own_database: str, settings: Settings) -> AsyncIterator[World]:
    settings = settings.model_copy(update={"database_url": own_database})
    connection = await asyncpg.connect(own_database)
    await connection.execute("TRUNCATE tasks, task_lists, idempotency_keys")
    world = World(settings, create_app(settings), connection)
    yield world
    await close(world.app)
    await connection.close()


@pytest.fixture
async def alice(world: World, client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for("alice", world.app) as client:
        yield client


@pytest.fixture
async def bob(world: World, client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for("bob", world.app) as client:
        yield client


# What goes and what stays


async def test_what_was_deleted_a_month_ago_goes_and_nothing_else(world, alice, bob):
    alive = await make(alice, "alive")
    for client in (alice, bob):
        await trashed(client, "old")
        await trashed(client, "new")
    for user_id in ("alice", "bob"):
        await world.age(user_id, 30.01, "old")
        await world.age(user_id, 29.99, "new")
    async with prepared(world.url, world.settings) as purge:
        assert await purge.count() == 2
        assert await purge.run() == Purged(tasks=2)
    for client in (alice, bob):
        assert await in_trash(client) == ["new"]
    assert (await alice.get(f"/tasks/{alive['id']}")).json() == alive
    assert (await world.mark("alice"), await world.mark("bob")) == (3, 2)


async def test_a_task_goes_when_the_trash_said_so(world, alice):
    for days, left in [(6.99, ["Buy milk"]), (7.01, [])]:
        settings = world.settings.model_copy(update={"trash_retention_days": 7})
        await trashed(alice)
        await world.age("alice", days)
        async with prepared(world.url, settings) as purge:
            await purge.run()
        assert await in_trash(alice) == left


async def test_the_second_time_there_is_nothing(world):
    user_id = await world.add_user(3, 2)
    assert await world.purge() == Purged(3, 2)
    row = await world.sql("SELECT xmin, * FROM task_lists")
    assert await world.purge() == Purged()
    assert await world.sql("SELECT xmin, * FROM task_lists") == row
    assert await world.mark(user_id) == 3


async def test_keys_go_after_their_time_with_tasks_or_without(world):
    assert KEY_RETENTION_DAYS == 30
    await world.add_user(1, 1)
    only_keys = await world.add_user(0, 2)
    await world.sql(ADD_KEY, only_keys, "-young", ago(29))
    async with asyncio.timeout(20):
        assert await world.purge(batch=1) == Purged(1, 3)
    assert await world.keys() == ["-young"]
    assert await world.mark(only_keys) == 0


@pytest.mark.parametrize("days", [1, 3650])
async def test_keys_have_a_time_of_their_own(world, days):
    user_id = await world.add_user(0)
    for age in (29, 31):
        await world.sql(ADD_KEY, user_id, str(age), ago(age))
    settings = world.settings.model_copy(update={"trash_retention_days": days})
    async with prepared(world.url, settings) as purge:
        assert await purge.run() == Purged(keys=1)
    assert await world.keys() == ["29"]


async def test_keys_of_nobody_do_not_keep_it_for_ever(world):
    """A key without a counter is none of ours; the purge leaves it and ends."""
    for number in range(5):
        await world.sql(ADD_KEY, "nobody", str(number), ago(31))
    user_id = await world.add_user(1)
    async with asyncio.timeout(20):
        assert await world.purge(batch=2) == Purged(tasks=1)
    assert await world.tombstones(user_id) == []
    assert len(await world.keys()) == 5


async def test_a_batch_has_the_oldest_deletions_and_moves_the_mark_only_so_far(world):
    user_id = await world.add_user(5)
    seen = []

    async def stop() -> None:
        def progress(removed: int) -> None:
            seen.append(removed)
            if len(seen) == 2:
                raise KeyboardInterrupt

        await world.purge(batch=2, progress=progress)

    with suppress(KeyboardInterrupt):
        await stop()
    assert (await world.tombstones(), await world.mark(user_id)) == ([5], 4)
    assert await world.purge(batch=2, progress=seen.append) == Purged(tasks=1)
    assert (seen, await world.mark(user_id)) == ([2, 2, 1], 5)


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
async def test_however_small_the_batches_all_goes(world, batch):
    users = [await world.add_user(tombstones, keys) for tombstones, keys in [(3, 0), (0, 5), (4, 1)] * 2]
    progress: list[int] = []
    assert await world.purge(batch, progress.append) == Purged(14, 12)
    assert sum(progress) == 26
    assert max(progress) <= 2 * batch
    assert (await world.tombstones(), await world.keys()) == ([], [])
    assert [await world.mark(user_id) for user_id in users] == [3, 0, 4] * 2


async def test_a_mark_is_never_below_a_removed_tombstone_that_was_deleted_by_another_clock(world):
    """The later revision was deleted by the earlier clock: only it is due."""
    user_id = await world.add_user(0)
    for revision, days in [(1, 29), (2, 31)]:
        await world.sql(ADD_TASK, user_id, uuid.uuid4(), ago(days), revision)
    await world.purge()
    assert (await world.tombstones(), await world.mark(user_id)) == ([1], 2)


@pytest.mark.parametrize("statement", [DUE_USERS, DUE_COUNT], ids=["users", "count"])
async def test_what_is_due_is_found_without_reading_what_is_not(world, statement):
    await world.add_user(300, 300, days=1)
    values = {"deleted_before": ago(30), "answered_before": ago(30), "after": "", "limit": 10}
    connection = await asyncpg.connect(world.url)
    await connection.execute("ANALYZE tasks, idempotency_keys")  # or it depends on what was there before
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(f"EXPLAIN {statement.sql}", *statement.arguments(values))
    await connection.close()
    lines = "\n".join(line[0] for line in plan)
    assert "tasks_deleted_at" in lines
    assert "idempotency_keys_created_at" in lines


# At the same time


async def test_what_cannot_be_removed_does_not_keep_it_for_ever(world):
    await world.add_user(3)
    stay = "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    await administer(world.url, stay)
    await administer(
        world.url, "CREATE TRIGGER stay BEFORE DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION stay()"
    )
    try:
        async with asyncio.timeout(20):
            assert await world.purge(batch=2) == Purged()
    finally:
        await administer(world.url, "DROP FUNCTION stay CASCADE")
    assert await world.purge() == Purged(tasks=3)


async def test_side_by_side_each_row_is_removed_once(world):
    for _ in range(6):
        await world.add_user(5, 3)
    purged = await asyncio.gather(*(world.purge(batch=2) for _ in range(6)))
    assert sum(each.tasks for each in purged) == 30
    assert sum(each.keys for each in purged) == 18
    assert (await world.tombstones(), await world.keys()) == ([], [])


async def test_a_purge_among_restores_and_writes_takes_nothing_that_lives(world, alice, bob):
    for _ in range(5):
        tasks = [await trashed(client, str(number)) for client in (alice, bob) for number in range(4)]
        clients = [alice] * 4 + [bob] * 4
        deleted = {
            (row["user_id"], str(row["id"])): row["revision"]
            for row in await world.sql("SELECT * FROM tasks WHERE deleted_at IS NOT NULL")
        }
        for user_id in ("alice", "bob"):
            await world.age(user_id, 31)
        restores = [
            client.post(f"/tasks/{task['id']}/restore")
            for client, task in zip(clients, tasks, strict=True)
            if int(task["text"]) % 2
        ]
        writes = [make(client) for client in (alice, bob) for _ in range(4)]
        purges = [world.purge(batch=2) for _ in range(3)]
        answers, _, _ = await asyncio.gather(
            asyncio.gather(*restores), asyncio.gather(*writes), asyncio.gather(*purges)
        )
        restored = {answer.json()["id"] for answer in answers if answer.status_code == 200}
        assert {answer.status_code for answer in answers} <= {200, 404}
        left = {str(row["id"]) for row in await world.sql("SELECT id FROM tasks")}
        assert restored <= left
        assert await world.tombstones() == []
        for user_id in ("alice", "bob"):
            removed = [
                revision
                for (owner, task_id), revision in deleted.items()
                if owner == user_id and task_id not in left
            ]
            assert max(removed) <= await world.mark(user_id)


async def test_what_was_restored_while_the_purge_waited_stays(world, alice):
    task, again = await trashed(alice), await trashed(alice)
    await world.age("alice", 31)
    async with held(world.url, "alice") as holder:
        purge = asyncio.create_task(world.purge())
        await until_waiting(world.url)
        await holder.execute(RESTORE, "alice", task["id"])
        await holder.execute(RESTORE, "alice", again["id"])
        await holder.execute(DELETE, "alice", again["id"])
    assert await purge == Purged()
    assert (await alice.get(f"/tasks/{task['id']}")).status_code == 200
    assert await world.tombstones() == [7]
    assert await world.purge() == Purged(tasks=1)
    assert await world.mark("alice") == 7


async def test_a_full_batch_that_another_removed_is_not_the_end(world):
    user_id = await world.add_user(5)
    async with held(world.url, user_id) as holder:
        purge = asyncio.create_task(world.purge(batch=2))
        await until_waiting(world.url)
        await holder.execute("DELETE FROM tasks WHERE user_id = $1 AND revision <= 2", user_id)
    assert await purge == Purged(tasks=3)


# tasks-api purge


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"))


def on_a_terminal(commands: Commands, *arguments: str, **settings: object) -> str:
    """Run a command with a terminal for its output, and return all that it wrote there."""
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [BIN / "tasks-api", *arguments],
        env=commands.environment(**settings),
        stdout=terminal,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    ) as process:
        os.close(terminal)
        written = b""
        with suppress(OSError):  # how a terminal ends whose other side was closed
            while read := os.read(ours, 4096):
                written += read
    os.close(ours)
    assert process.returncode == 0, written
    return written.decode()


@pytest.mark.slow
async def test_the_command_purges_and_says_how_much_in_one_line(commands, world):
    await world.add_user(12, 3)
    await world.add_user(2, days=9)
    settings = {"database_url": world.url, "better_auth_secret": SECRET}
    for more, said in [
        ({}, "Removed 12 deleted tasks and 3 idempotency keys.\n"),
        ({}, "Removed 0 deleted tasks and 0 idempotency keys.\n"),
        ({"trash_retention_days": 8}, "Removed 2 deleted tasks and 0 idempotency keys.\n"),
    ]:
        run = commands.run("tasks-api", "purge", **settings, **more)
        assert (run.returncode, run.stdout, run.stderr) == (0, said, "")


@pytest.mark.slow
async def test_on_a_terminal_there_is_a_progress_bar(commands, world):
    await world.add_user(1, 1)
    settings = {"database_url": world.url, "better_auth_secret": SECRET}
    shown = on_a_terminal(commands, "purge", **settings)
    bars = re.findall(r"Purging +\[([#-]+)\] +(\d+)%", shown)
    assert [percent for _, percent in bars] == ["0", "100"]
    assert set(bars[-1][0]) == {"#"}
    assert shown.endswith("\nRemoved 1 deleted task and 1 idempotency key.\r\n")
    assert on_a_terminal(commands, "purge", **settings).count("\n") == 1  # no bar for nothing


@pytest.mark.slow
def test_the_command_brings_the_embedded_database_and_stops_it(commands, tmp_path: Path):
    data_dir = tmp_path / "data"
    for said in ("Removed 0 deleted tasks", "Removed 1 deleted task "):
        run = commands.run("tasks-api", "purge", data_dir=data_dir)
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith(said)
        assert not processes_of(data_dir)
        with embedded_postgres(data_dir, FAST) as url:
            asyncio.run(add_tombstone(url))


async def add_tombstone(url: str) -> None:
    user_id = str(uuid.uuid4())
    await administer(url, ADD_LIST, user_id, 1)
    await administer(url, ADD_TASK, user_id, uuid.uuid4(), ago(31), 1)


@pytest.mark.slow
async def test_the_command_says_in_one_line_what_it_cannot_do(commands, make_database: MakeDatabase):
    line = refusal(commands.run("tasks-api", "purge", database_url=NOWHERE, better_auth_secret=SECRET))
    assert line.startswith("tasks-api: DATABASE_URL: the database can't be reached")
    empty = await make_database(empty=True)
    line = refusal(commands.run("tasks-api", "purge", database_url=empty, better_auth_secret=SECRET))
    assert line.endswith("run: tasks-api migrate")


# serve does it once a day


class Clock:
    """A clock that is set by hand, and tells when it was looked at so many times more."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._looks = 0

    def __call__(self) -> float:
        self._looks += 1
        return time.monotonic() + self.ahead

    async def looked_at(self, times: int = 3) -> None:
        end = self._looks + times
        async with asyncio.timeout(20):
            while self._looks < end:  # noqa: ASYNC110 - it is a function that is called, not an event
                await asyncio.sleep(0.001)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rhythm(clock: Clock, **seconds: float) -> Rhythm:
    return Rhythm(look=0.001, clock=clock, **seconds)


async def use(app: FastAPI, clock: Clock) -> None:
    """Have a request use the database, now by the clock."""
    database = app.state.database
    database.last_used = float("-inf")  # what was set ahead would count as an answer
    assert await database.answers_within(20)
    database.last_used += clock.ahead


async def gone(world: World) -> None:
    async with asyncio.timeout(20):
        while await world.tombstones():  # noqa: ASYNC110 - a row is no event
            await asyncio.sleep(0.01)


async def test_it_purges_some_minutes_after_the_start_and_then_once_a_day(world, clock, caplog):
    caplog.set_level(logging.INFO, "app")
    await world.add_user(1)
    async with purged_daily(world.url, world.settings, world.app.state.database, rhythm(clock)):
        await clock.looked_at(1)
        clock.ahead = 299
        await use(world.app, clock)
        await clock.looked_at()
        assert len(await world.tombstones()) == 1
        clock.ahead = 601
        await use(world.app, clock)
        await gone(world)
        await clock.looked_at()
        await world.add_user(1)
        await clock.looked_at()
        clock.ahead += 24 * 3600 - 10
        await use(world.app, clock)
        await clock.looked_at()
        assert len(await world.tombstones()) == 1
        clock.ahead += 30
        await use(world.app, clock)
        await gone(world)
        await clock.looked_at()
    said = [record.getMessage() for record in caplog.records if record.name == "app"]
    assert said == ["the daily purge removed 1 deleted task and 0 idempotency keys"] * 2


async def test_it_does_not_wake_a_database_that_nobody_uses(world, clock):
    await world.add_user(1)
    database = world.app.state.database
    async with purged_daily(world.url, world.settings, database, rhythm(clock, first=0)):
        await clock.looked_at()  # never used
        clock.ahead = 61
        assert await database.answers_within(20)  # by the clock that was more than a minute ago
        used = database.last_used
        await clock.looked_at()
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tasks-api'"
        assert await world.tombstones() == [1], await world.sql(sql)
        await use(world.app, clock)
        await gone(world)
        await clock.looked_at()
    assert database.last_used > used


async def test_its_own_work_is_no_use_of_the_database(world, clock):
    database = world.app.state.database
    async with purged_daily(world.url, world.settings, database, rhythm(clock, first=0, every=0)):
        await use(world.app, clock)
        used = database.last_used
        await clock.looked_at(20)  # purging each time
        assert database.last_used == used


async def test_a_failure_is_one_line_and_tried_again(world, clock, caplog):
    await world.add_user(1)
    database = world.app.state.database
    await world.sql("ALTER TABLE tasks RENAME TO away")
    async with purged_daily(world.url, world.settings, database, rhythm(clock, first=0)):
        await use(world.app, clock)
        async with asyncio.timeout(20):
            while not caplog.records:  # noqa: ASYNC110 - a line is no event
                await asyncio.sleep(0.001)
        await clock.looked_at()
        await world.sql("ALTER TABLE away RENAME TO tasks")
        (line,) = [record for record in caplog.records if record.name == "app"]
        assert line.levelname == "WARNING"
        assert line.getMessage().startswith(
            "the daily purge failed and is tried again later: UndefinedTableError at "
        )
        assert line.exc_info is None
        clock.ahead = 3601
        await use(world.app, clock)
        await gone(world)


async def test_the_end_does_not_wait_for_a_purge_that_is_under_way(world, clock):
    user_id = await world.add_user(1)
    await use(world.app, clock)
    others = asyncio.all_tasks()
    async with held(world.url, user_id):
        async with (
            asyncio.timeout(20),
            purged_daily(world.url, world.settings, world.app.state.database, rhythm(clock, first=0)),
        ):
            await until_waiting(world.url)
        assert asyncio.all_tasks() <= others
        assert await world.tombstones() == [1]
    assert await world.purge() == Purged(tasks=1)


async def test_the_lifespan_purges(world, clock):
    handlers = list(logging.getLogger().handlers)
    await world.add_user(1)
    world.app.state.purge_rhythm = rhythm(clock, first=0)
    others = asyncio.all_tasks()
    async with asyncio.timeout(20), lifespan(world.app):
        await use(world.app, clock)
        await gone(world)
    logging.getLogger().handlers[:] = handlers
    assert asyncio.all_tasks() <= others


def test_by_default_it_looks_each_minute_and_purges_each_day():
    default = Rhythm()
    assert (default.first, default.look, default.awake, default.every) == (300, 60, 60, 86_400)
    assert default.clock is time.monotonic
