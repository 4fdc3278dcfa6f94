"""Who uses the measured systems and which tasks they have: the same rows for every one of them."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from app.auth.tokens import sign
from bench.credentials import SECRET

#: Users with 20 tasks, with 1,000, and with none, for whom tasks are created.
SMALL = [f"user-with-a-short-list-{number:03}" for number in range(200)]
LARGE = [f"user-with-a-long-list-{number:03}" for number in range(10)]
WRITERS = [f"user-who-writes-{number:03}" for number in range(100)]
SMALL_TASKS, LARGE_TASKS = 20, 1000

_TOKEN_SECONDS = 24 * 3600
_FIRST_MADE = datetime(2026, 1, 1, 8, tzinfo=UTC)
_WORDS = ("buy", "milk", "eggs", "bread", "call the bank", "write to aunt Zoë", "fix", "bicycle", "chapter")


class Row(NamedTuple):
    """A task as the plan stores it, in the order of its columns."""

    id: UUID
    user_id: str
    text: str
    completed: bool
    order: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


def token(user_id: str) -> str:
    """Sign a token as a front end with the shared secret would; it outlives the bench."""
    return sign(user_id, SECRET, seconds=_TOKEN_SECONDS)


@cache
def rows() -> tuple[Row, ...]:
    """Make everybody's tasks, once in a process; by turns, as users come, not user after user."""
    chance = random.Random(20)  # noqa: S311 - the same tasks in every run, nothing secret
    users = [*SMALL * SMALL_TASKS, *LARGE * LARGE_TASKS]
    chance.shuffle(users)
    made = _clock(chance)
    seen = dict.fromkeys(users, -1)
    return tuple(_row(user, seen, next(made), chance.random) for user in users)


def rows_of(user_id: str) -> list[Row]:
    """List a user's tasks as the API does: by `order`, and among equals the newest first."""
    own = [row for row in rows() if row.user_id == user_id]
    return sorted(sorted(own, key=lambda row: row.created_at, reverse=True), key=lambda row: row.order)


def _clock(chance: random.Random) -> Iterator[datetime]:
    """Tell different moments, in µs, one after the other."""
    now = _FIRST_MADE
    while True:
        now += timedelta(microseconds=chance.randrange(1_000_000, 1_000_000_000))
        yield now


def _row(user_id: str, seen: dict[str, int], made: datetime, chance: Callable[[], float]) -> Row:
    """Make a user's next task. Two stand at each place of the list; every third is completed."""
    seen[user_id] += 1
    number = seen[user_id]
    changed = made + timedelta(microseconds=int(chance() * 1e9))
    words = (_WORDS[int(chance() * len(_WORDS))] for _ in range(3 + number % 6))
    return Row(
        id=uuid7(nanoseconds=int(made.timestamp() * 1_000_000) * 1000),
        user_id=user_id,
        text=" ".join(words).capitalize(),
        completed=number % 3 == 0,
        order=number // 2,
        created_at=made,
        updated_at=changed,
        completed_at=changed if number % 3 == 0 else None,
    )
