"""Connections go from hand to hand, and none is lost on the way."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.errors import Overloaded
from app.pool import Pool
from app.slots import Slots

SIZE = 2
SLEEP = "SELECT pg_sleep($1)"
WHO = "SELECT pg_backend_pid()"


def slots() -> Slots:
    return Slots(SIZE, 100, 30)


@pytest.fixture
async def raw(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with asyncpg.create_pool(
        database_url, min_size=0, max_size=SIZE, max_inactive_connection_lifetime=0.2
    ) as pool:
        yield pool


@pytest.fixture
async def pool(raw: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[Pool]:
    pool = Pool(raw, slots())
    yield pool
    await pool.close()


async def fetch(pool: Pool, sql: str, arguments: list[object]) -> list[asyncpg.Record]:
    return await pool.fetch(await pool.take(), None, sql, arguments)


async def works_at_full_size(pool: Pool) -> bool:
    """Whether so many statements run at the same time, on connections of their own."""
    barrier = "SELECT pg_backend_pid() FROM pg_sleep(0.1)"
    async with asyncio.timeout(10):
        rows = await asyncio.gather(*(fetch(pool, barrier, []) for _ in range(SIZE)))
    return len({row[0]["pg_backend_pid"] for row in rows}) == SIZE


async def test_a_connection_is_used_again_at_once(pool, raw):
    seen = {(await fetch(pool, WHO, []))[0]["pg_backend_pid"] for _ in range(20)}
    assert len(seen) == 1
    assert raw.get_idle_size() == 0


async def test_who_waits_is_served_in_the_order_of_coming(pool):
    served: list[int] = []

    async def ask(number: int) -> None:
        await fetch(pool, SLEEP, [0.001])
        served.append(number)

    others = [await pool.take() for _ in range(SIZE - 1)]  # one is left to wait for
    await asyncio.gather(*(ask(number) for number in range(20)))
    for connection in others:
        pool.pass_on(connection, None)
    assert served == [*range(20)]


async def test_callers_who_leave_while_they_wait_take_nothing_with_them(pool):
    """Whenever they leave: while they wait, or in the very moment that a connection is passed to them."""
    for turns in range(6):
        working = [asyncio.create_task(fetch(pool, SLEEP, [0.02])) for _ in range(SIZE)]
        waiting = [asyncio.create_task(fetch(pool, WHO, [])) for _ in range(5)]
        await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*working, *waiting, return_exceptions=True)
        assert await works_at_full_size(pool)


async def test_one_who_leaves_as_a_connection_comes_passes_it_to_the_next(pool):
    connections = [await pool.take() for _ in range(SIZE)]
    leaving, staying = (asyncio.create_task(fetch(pool, WHO, [])) for _ in range(2))
    await asyncio.sleep(0)
    pool.pass_on(connections[0], None)
    leaving.cancel()
    async with asyncio.timeout(5):
        assert await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
    pool.pass_on(connections[1], None)
    assert await works_at_full_size(pool)


async def test_a_failed_statement_leaves_its_place_to_the_next(pool):
    for _ in range(3 * SIZE):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await fetch(pool, "SELECT 1 / 0", [])
    assert await works_at_full_size(pool)


async def test_what_nobody_wants_goes_back_and_is_closed_when_idle(pool, raw):
    assert await works_at_full_size(pool)
    assert raw.get_size() == SIZE
    async with asyncio.timeout(10):
        while raw.get_size():  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.05)
    assert await works_at_full_size(pool)


async def test_a_connection_that_cannot_be_opened_leaves_its_place():
    async with asyncpg.create_pool("postgresql://u:p@127.0.0.1:1/d", min_size=0, max_size=1) as raw:
        pool = Pool(raw, Slots(1, 100, 30))
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(fetch(pool, WHO, []) for _ in range(4)), return_exceptions=True)
        assert [isinstance(outcome, OSError) for outcome in outcomes] == [True] * 4


async def test_callers_who_are_refused_or_time_out_take_nothing_with_them(raw):
    """The queue is full, the wait is over, and statements are given up, all at the same time."""
    pool = Pool(raw, Slots(SIZE, 3, 0.1))

    async def ask(number: int) -> str:
        slow = number % 4 == 0
        try:
            async with asyncio.timeout(0.2 if slow else 5):
                connection = await pool.take(f"user-{number}", patient=False)
                await pool.fetch(connection, f"user-{number}", SLEEP, [30 if slow else 0.02])
        except (Overloaded, TimeoutError) as error:
            return type(error).__name__
        return "served"

    outcomes = set[str]()
    for _ in range(3):
        outcomes |= set(await asyncio.gather(*(ask(number) for number in range(20))))
        async with asyncio.timeout(10):  # a statement that was given up is cancelled first
            while pool.slots.room < SIZE + 3:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.01)
        assert await works_at_full_size(pool)
    assert outcomes == {"Overloaded", "TimeoutError", "served"}
    await pool.close()


async def test_a_connection_that_cannot_be_opened_gives_the_user_back_his_share():
    async with asyncpg.create_pool("postgresql://u:p@127.0.0.1:1/d", min_size=0, max_size=1) as raw:
        pool = Pool(raw, Slots(1, 0, 30))
        for _ in range(3):
            with pytest.raises(OSError, match=r"refused|Connect"):
                await pool.take("alice", patient=False)
        assert pool.slots.room == 1
