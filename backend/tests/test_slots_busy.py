"""While this process is what is waited for, few are at work; what hangs in the database is none of them."""

import asyncio

import pytest

from app.slots import Slots
from app.throttle import Throttle
from tests.instant import instantly, now
from tests.test_slots import LONG, Served, waits

_STATEMENT_SECONDS = 0.01


class Busy:
    """A thread that has something to do for a share of its time."""

    def __init__(self, share: float = 1) -> None:
        self.share = share
        self._at = now()
        self._busy = 0.0

    def busy_seconds(self) -> float:
        self._busy += (now() - self._at) * self.share
        self._at = now()
        return self._busy


def slots_of(busy: Busy) -> Slots:
    return Slots(10, 1000, LONG, Throttle(10, now, busy.busy_seconds), now)


class Load:
    """Users of which each has one statement, that takes a while."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._at_work = 0
        self.seen: list[int] = []  #: how many were at work when one began

    async def one(self, user: str) -> None:
        await self._slots.take(user)
        self._at_work += 1
        self.seen.append(self._at_work)
        await asyncio.sleep(_STATEMENT_SECONDS)
        self._at_work -= 1
        self._slots.give_back(user)

    async def all_of(self, count: int) -> None:
        await asyncio.gather(*(self.one(f"user-{number}") for number in range(count)))


@pytest.mark.parametrize(("share", "last"), [(1, 2), (0.5, 10)])
@instantly
async def test_few_are_at_work_at_the_same_time_while_the_processor_is_short(share, last):
    slots = slots_of(Busy(share))
    load = Load(slots)
    await load.all_of(400)
    assert load.seen[:10] == [*range(1, 11)]
    assert max(load.seen[-50:]) == last
    await asyncio.sleep(0.1)
    assert slots.room == 1010, "and when nobody waits, all are open again"


@instantly
async def test_it_is_looked_again_when_they_come_again():
    slots = slots_of(Busy())
    for _ in range(2):
        load = Load(slots)
        await load.all_of(400)
        assert max(load.seen[-50:]) == 2
        await asyncio.sleep(0.1)


@instantly
async def test_what_hangs_in_the_database_keeps_nobody_from_being_served():
    """Not by five statements of one user, who could take more; and nobody else has to come to find it out."""
    slots, served = slots_of(Busy()), Served()
    for _ in range(5):
        await slots.take("greedy")
    load = Load(slots)
    loading = asyncio.create_task(load.all_of(300))
    await asyncio.sleep(0.7)
    assert max(load.seen[-20:]) == 2
    assert slots.room == 1000 - (300 - len(load.seen))
    async with asyncio.timeout(0.5):
        await waits(slots, "victim", served)
        await waits(slots, None, served, patient=True)
    await loading
    async with asyncio.timeout(0.5):
        for number in range(3):  # as many as are left of ten
            await waits(slots, f"stuck-{number}", served)


@instantly
async def test_nobody_waits_in_an_idle_process_for_two_that_hang():
    busy, served = Busy(), Served()
    slots = slots_of(busy)
    await Load(slots).all_of(350)
    for user in ("one", "two"):
        await slots.take(user)
    busy.share = 0
    waiting = [waits(slots, user, served, patient=user is None) for user in ("victim", None)]
    async with asyncio.timeout(0.1):
        await asyncio.gather(*waiting)


@instantly
async def test_the_slots_that_hung_count_again_when_they_are_given_back():
    slots = slots_of(Busy())
    for user in ("a", "b", "c"):
        await slots.take(user)
    load = Load(slots)
    loading = asyncio.create_task(load.all_of(500))
    await asyncio.sleep(0.7)
    for user in ("a", "b", "c"):
        slots.give_back(user)
    await asyncio.sleep(0.1)
    before = len(load.seen)
    assert before < 450
    await loading
    assert max(load.seen[before:]) == 2
