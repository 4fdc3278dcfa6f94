"""What limiting adds to one request: in memory, what the library's own memory would, and with a Redis.

.venv/bin/python -m bench.limits; with redis-server on PATH the last part too.
"""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import uvloop
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)

from app.limiting.buckets import Buckets, MemoryBuckets
from app.limiting.policy import REQUEST, Policy
from app.limiting.shared import SharedBuckets
from app.limiting.store import Store
from app.observer import NOBODY
from bench.figures import Cost, Figure, table, timed
from bench.subjects.processes import end, free_port

ROUNDS = 15
REQUESTS = 2000  # in a round
KEYS = 20_000
_GOAL = 10

_POLICY = Policy("user", 100_000, 1)
_RATE = parse("1000000/minute")
_STRATEGIES = [FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter]

_Ask = Callable[[str], Awaitable[object]]


async def measure() -> list[Figure]:
    """Measure what is in memory, and with a Redis where there is one."""
    figures = [
        Figure("a request, in memory", "us", _cpu(await _rounds(_ours(MemoryBuckets(_POLICY)))), _GOAL)
    ]
    for strategy in _STRATEGIES:
        name = strategy.__name__.removesuffix("RateLimiter")
        figures.append(Figure(f"limits in memory, {name}", "us", _cpu(await _rounds(_theirs(strategy)))))
    crowded = _theirs(FixedWindowRateLimiter)
    for number in range(KEYS):
        await crowded(f"user-{number}")
    cost = _cpu(await _rounds(crowded, requests=20))
    figures.append(Figure(f"limits in memory, FixedWindow, {KEYS:,} users", "us", cost))
    return figures + (await _with_redis() if shutil.which("redis-server") else [])


def _ours(buckets: Buckets) -> _Ask:
    """Take a price, and write what the answer says of it: all that a request pays."""

    async def ask(key: str) -> None:
        (await buckets.take(key, REQUEST)).headers()

    return ask


def _theirs(strategy: type) -> _Ask:
    """Hit, and ask for what an answer has to say."""
    limiter = strategy(MemoryStorage())

    async def ask(key: str) -> None:
        await limiter.hit(_RATE, key)
        await limiter.get_window_stats(_RATE, key)

    return ask


async def _rounds(ask: _Ask, requests: int = REQUESTS) -> list[Cost]:
    """Return what a request takes; the event loop turns now and then, as it does when it serves."""
    rounds = []
    for _ in range(ROUNDS):
        cost = Cost()
        with timed(cost):
            for number in range(requests):
                await ask(f"user-{number % 100}")
                if number % 20 == 0:
                    await asyncio.sleep(0)
        rounds.append(Cost(cost.cpu / requests, cost.wall / requests))
    return rounds


def _cpu(rounds: list[Cost]) -> list[float]:
    return [cost.cpu for cost in rounds]


async def _with_redis() -> list[Figure]:
    with ExitStack() as stack:
        folder, port = stack.enter_context(TemporaryDirectory(prefix="bench-")), free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        program = shutil.which("redis-server") or ""
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603
        stack.callback(end, process)
        store = Store(f"redis://127.0.0.1:{port}/0", NOBODY)
        while await store.charge("user:warm", 1, 2, 0) is None:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.05)
        rounds = await _rounds(_ours(SharedBuckets(_POLICY, store)), requests=500)
        await store.close()
    clock = [cost.wall for cost in rounds]
    return [
        Figure("a request, with Redis", "us", _cpu(rounds)),
        Figure("a request, with Redis, on the clock", "us", clock),
    ]


def main() -> None:
    print(table(uvloop.run(measure())))


if __name__ == "__main__":
    main()
