"""The circuit breaker, by a clock of its own, and before a database that is not there."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator

import asyncpg
import pytest

from app.breaker import Breaker
from app.config import Settings
from app.database import Database
from app.errors import Unavailable
from app.main import close, create_app
from tests.conftest import SECRET
from tests.servers import UNLIMITED
from tests.signing import Clock
from tests.test_database import ECHO, FAILING, SLEEP, opened

FAILURES = 5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened_breaker(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.admit()
        breaker.lost_contact()
    return breaker


def admits(breaker: Breaker) -> bool:
    try:
        breaker.admit()
    except Unavailable as refused:
        return int(refused.headers["Retry-After"]) not in range(1, 4)
    return True


def test_it_opens_after_five_failures_in_a_row(clock):
    breaker = Breaker(clock)
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.lost_contact()
        assert admits(breaker)
        breaker.made_contact()
    for _ in range(FAILURES):
        breaker.lost_contact()
    assert not admits(breaker)


def test_open_it_lets_one_caller_at_a_time_try(clock, opened_breaker):
    for _ in range(3):
        assert not admits(opened_breaker)
        clock.now += 1.3
        assert [admits(opened_breaker) for _ in range(10)] == [True] + [False] * 9
        opened_breaker.lost_contact()


def test_one_who_tries_and_never_says_keeps_the_others_out_for_a_while_only(clock, opened_breaker):
    clock.now += 1.3
    assert admits(opened_breaker)
    clock.now += 2.9
    assert not admits(opened_breaker)
    clock.now += 0.2
    assert admits(opened_breaker)


def test_a_failure_of_who_came_before_does_not_keep_it_open_for_longer(clock, opened_breaker):
    for _ in range(12):
        clock.now += 0.1
        opened_breaker.lost_contact()
    clock.now += 0.1
    assert admits(opened_breaker)


def test_one_answer_closes_it(clock, opened_breaker):
    clock.now += 1.3
    assert admits(opened_breaker)
    opened_breaker.made_contact()
    assert [admits(opened_breaker) for _ in range(10)] == [True] * 10
    for _ in range(FAILURES - 1):
        opened_breaker.lost_contact()
    assert admits(opened_breaker)


def test_it_says_so_once_when_it_opens_and_once_when_it_closes(clock, caplog):
    breaker = Breaker(clock)
    for _ in range(3 * FAILURES):
        breaker.lost_contact()
    breaker.made_contact()
    breaker.made_contact()
    assert [record.message.split(" ")[-2:] for record in caplog.records] == [
        ["it", "does."],
        ["answers", "again."],
    ]


# Before a database


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes calls and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent


async def test_before_a_server_that_is_silent_only_the_first_wait(silent):
    url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d"
    database = Database(url, Settings(database_timeout=1.1, database_pool_size=FAILURES))
    asked = (database.fetch(ECHO, value=1) for _ in range(FAILURES))
    first = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(error) for error in first} == {Unavailable}
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Unavailable):
            await database.fetch(ECHO, value=1)
    assert time.monotonic() - began < 0.5
    await database.close()


async def test_who_is_not_asked_for_costs_the_log_one_line_with_the_reason(silent, client_for, caplog):
    url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d"
    app = create_app(Settings(database_url=url, better_auth_secret=SECRET, database_timeout=1.1, **UNLIMITED))
    async with client_for("alice", app) as client:
        for _ in range(FAILURES):
            app.state.database._breaker.lost_contact()  # noqa: SLF001 - five who wait at once, but sooner
        with caplog.at_level(logging.INFO):
            caplog.clear()
            assert (await client.get("/tasks")).status_code == 503
    ours = [record for record in caplog.records if record.name.startswith("app")]
    lines = [(record.name, getattr(record, "reason", None)) for record in ours]
    assert lines == [("app.requests", "the database does not answer; it was not asked")]
    await close(app)


async def test_the_health_check_asks_whatever_the_breaker_says_and_closes_it(database_url):
    async with opened(database_url) as database:
        for _ in range(FAILURES):
            database._breaker.lost_contact()  # noqa: SLF001
        with pytest.raises(Unavailable):
            await database.fetch(ECHO, value=1)
        assert await database.answers_within(5)
        assert await database.fetch(ECHO, value=1)


async def test_what_the_server_says_of_statements_never_opens_it(database_url):
    async with opened(database_url, database_timeout=30) as database:
        for _ in range(3 * FAILURES):
            with pytest.raises(asyncpg.DivisionByZeroError):
                await database.fetch(FAILING, divisor=0)
        assert await database.fetch(ECHO, value=1)


async def test_statements_that_take_too_long_never_open_it(database_url):
    """As long as the server answers that it has cancelled them."""
    async with opened(database_url, database_timeout=0.5) as database:
        asked = (database.fetch(SLEEP, seconds=30) for _ in range(2 * FAILURES))
        assert {type(error) for error in await asyncio.gather(*asked, return_exceptions=True)} == {
            Unavailable
        }
        assert database._breaker.closed  # noqa: SLF001 - the next statement might find the pool still busy
