"""Who may use the database when more want to than can: how many wait, who is next, who is told to go."""

import asyncio

import pytest

from app.errors import Overloaded
from app.pace import KNOWN_SECONDS
from app.slots import Slots
from tests.instant import instantly, now

LONG = 30
Served = list[str | None]


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def waits(slots: Slots, user: str | None, served: Served, *, patient: bool = False):
    async def ask() -> None:
        await slots.take(user, patient=patient)
        served.append(user)

    return asyncio.create_task(ask())


async def took(slots: Slots, user: str | None) -> bool:
    """Whether a slot, or a place in the queue, was to be had without waiting for either."""
    task = waits(slots, user, [])
    await settled()
    return not (task.done() and isinstance(task.exception(), Overloaded))


async def test_as_many_as_there_are_slots_and_places_and_the_next_is_refused_at_once():
    slots = Slots(2, 3, LONG)
    assert slots.room == 5
    assert [await took(slots, f"user-{number}") for number in range(7)] == [True] * 5 + [False] * 2
    assert slots.room == 0


@instantly
async def test_who_waits_in_vain_is_refused_when_his_time_is_up_and_leaves_his_place():
    slots = Slots(1, 1, 0.05, clock=now)
    await slots.take("alice")
    with pytest.raises(Overloaded, match="Retry-After") as refusal:
        await slots.take("bob")
    assert refusal.value.reason == "no connection came free in time"
    assert refusal.value.headers["Retry-After"] in {"1", "2", "3"}
    slots.give_back("alice")
    await slots.take("bob")
    assert slots.room == 1


async def test_those_who_come_at_once_are_told_different_times():
    assert {Overloaded().headers["Retry-After"] for _ in range(200)} == {"1", "2", "3"}


async def test_one_after_the_other_is_called_in_the_order_of_coming():
    slots, served = Slots(1, 20, LONG), Served()
    await slots.take(None)
    tasks = [waits(slots, f"user-{number}", served) for number in range(20)]
    for number in range(20):
        await settled()
        slots.give_back(f"user-{number - 1}" if number else None)
    await asyncio.gather(*tasks)
    assert served == [f"user-{number}" for number in range(20)]


@pytest.mark.parametrize(("size", "most"), [(1, 1), (2, 1), (3, 2), (10, 5)])
async def test_one_user_takes_no_more_slots_than_he_leaves(size, most):
    slots, served = Slots(size, 20, LONG), Served()
    tasks = [waits(slots, "greedy", served) for _ in range(size)]
    await settled()
    assert len(served) == most
    others = [waits(slots, f"user-{number}", served) for number in range(size - most)]
    await settled()
    assert all(task.done() for task in others)
    for task in tasks:
        task.cancel()


async def test_several_users_leave_as_much_as_one_of_them_has():
    slots, served = Slots(10, 100, LONG), Served()
    tasks = [waits(slots, user, served) for _ in range(10) for user in ("ann", "ben", "cid")]
    await settled()
    held = {user: served.count(user) for user in ("ann", "ben", "cid")}
    assert max(held.values()) <= 3
    assert 2 <= 10 - sum(held.values()) <= 3
    for task in tasks:
        task.cancel()


async def test_one_user_takes_no_more_places_than_he_leaves():
    slots = Slots(1, 10, LONG)
    await slots.take(None)
    assert [await took(slots, "greedy") for _ in range(7)] == [True] * 5 + [False] * 2
    assert [await took(slots, f"user-{number}") for number in range(6)] == [True] * 5 + [False]


async def test_that_he_would_be_refused_can_be_known_before():
    slots = Slots(1, 10, LONG)
    assert not slots.queued
    await slots.take(None)
    told = [(slots.refuses("greedy"), await took(slots, "greedy")) for _ in range(7)]
    assert told == [(False, True)] * 5 + [(True, False)] * 2
    assert slots.queued
    assert not slots.refuses("other")


async def test_who_finds_a_slot_is_not_refused_though_the_queue_is_full_of_who_may_have_no_more():
    slots = Slots(2, 1, LONG)
    await slots.take("greedy")
    assert await took(slots, "greedy")
    assert slots.refuses("greedy")
    assert not slots.refuses("other")
    assert await took(slots, "other")


async def test_who_has_nothing_yet_is_called_before_who_has_much():
    slots, served = Slots(3, 20, LONG), Served()
    for user in ("greedy", "greedy", "other"):
        await slots.take(user)
    greedy = waits(slots, "greedy", served)
    await settled()
    late = waits(slots, "late", served)
    await settled()
    slots.give_back("other")
    await settled()
    assert served == ["late"]
    slots.give_back("greedy")
    slots.give_back("greedy")
    await asyncio.gather(greedy, late)
    assert served == ["late", "greedy"]


async def test_who_has_as_much_as_he_may_waits_though_a_slot_is_free_until_he_gives_one_back():
    slots, served = Slots(2, 20, LONG), Served()
    await slots.take("greedy")
    task = waits(slots, "greedy", served)
    await settled()
    assert not served
    await slots.take("other")
    slots.give_back("other")
    await settled()
    assert not served
    slots.give_back("greedy")
    await task


@instantly
async def test_the_service_itself_waits_as_long_as_it_takes_with_the_queue_full():
    slots, served = Slots(1, 1, 0.02, clock=now), Served()
    await slots.take("alice")
    patient = [waits(slots, None, served, patient=True) for _ in range(3)]
    assert not await took(slots, "bob")
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in patient)
    for user in ("alice", None, None):
        slots.give_back(user)
        await settled()
    await asyncio.gather(*patient)


async def test_who_leaves_while_waiting_leaves_nothing_behind_and_takes_nothing_along():
    """Whenever he leaves: before he is called, or in the very moment."""
    slots = Slots(2, 20, LONG)
    for turns in range(5):
        await slots.take("a")
        await slots.take("b")
        tasks = [waits(slots, f"user-{number}", []) for number in range(6)]
        await settled()
        slots.give_back("a")
        slots.give_back("b")
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for number, outcome in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if outcome is None:
                slots.give_back(f"user-{number}")
        assert slots.room == 22


@pytest.mark.parametrize("called_first", [True, False])
async def test_a_call_that_comes_as_one_leaves_goes_to_the_next(called_first):
    slots, served = Slots(1, 20, LONG), Served()
    await slots.take("a")
    leaving, staying = waits(slots, "leaving", served), waits(slots, "staying", served)
    await settled()
    if called_first:
        slots.give_back("a")
    leaving.cancel()
    if not called_first:
        slots.give_back("a")
    await staying
    assert served == ["staying"]


@instantly
async def test_at_a_slow_pace_no_more_wait_than_are_called_in_time():
    """Every 60 ms one is served, so those of a hundred places for which there is no hope are not given."""
    slots, served = Slots(1, 100, 0.5, clock=now), Served()
    await slots.take(None)
    tasks = [waits(slots, f"user-{number}", served, patient=True) for number in range(20)]
    await settled()
    holder: str | None = None
    for number in range(20):
        await asyncio.sleep(0.06)
        slots.give_back(holder)
        holder = f"user-{number}"
    await asyncio.gather(*tasks)
    assert 1 <= slots.room <= 9  # 7, or fewer on a busy machine; 12 with all of its patience counted on


@instantly
async def test_at_the_slowest_pace_there_is_a_place_for_each_slot():
    """Every slot is taken by a statement of a second: who comes then may wait for one of the three."""
    slots, served = Slots(3, 100, 0.5, clock=now), Served()
    for _ in range(3):
        await slots.take(None)
    held_up = [waits(slots, f"user-{number}", served, patient=True) for number in range(3)]
    for _ in range(3):
        await asyncio.sleep(1)
        slots.give_back(None)
    await asyncio.gather(*held_up)
    assert slots.room == 3


@instantly
async def test_what_held_up_those_before_is_forgotten_when_it_is_over():
    """A lock of a second, and then a burst of short statements: they may wait, as if it had never been."""
    slots, served = Slots(1, 100, LONG, clock=now), Served()
    await slots.take(None)
    held_up = [waits(slots, None, served) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(1)
        slots.give_back(None)
    await asyncio.gather(*held_up)
    slots.give_back(None)
    slots._patience = 0.25  # noqa: SLF001 - as by default; nobody was to be refused before
    assert slots.room < 100
    await asyncio.sleep(KNOWN_SECONDS)
    assert slots.room == 101
    assert [await took(slots, f"user-{number}") for number in range(101)] == [True] * 101
