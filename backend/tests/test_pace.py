"""How fast those who wait are called, as far as it is known."""

import pytest

from app.pace import KNOWN_SECONDS, Pace
from tests.signing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    """A pace of half a second, after very many calls."""
    pace = Pace(clock)
    pace.begin()
    for _ in range(200):
        clock.now += 0.5
        pace.call()
    return pace


def test_it_is_the_time_between_two_calls_and_the_newer_count_for_more(pace, clock):
    assert pace.seconds(waiting=True) == pytest.approx(0.5, rel=0.01)
    clock.now += 8.5
    pace.call()
    assert pace.seconds(waiting=True) == pytest.approx(1, rel=0.01)


def test_it_stays_known_while_anybody_waits_and_a_second_longer(pace, clock):
    clock.now += KNOWN_SECONDS - 0.01
    assert pace.seconds(waiting=False) == pace.seconds(waiting=True) > 0
    clock.now += 0.01
    assert pace.seconds(waiting=False) == 0
    assert pace.seconds(waiting=True) == pytest.approx(0.5, rel=0.01)


def test_the_time_in_which_nobody_waited_is_none_of_it(pace, clock):
    clock.now += 0.5
    pace.begin()
    clock.now += 0.5
    pace.call()
    assert pace.seconds(waiting=True) == pytest.approx(0.5, rel=0.01)


def test_it_begins_anew_when_it_is_not_known_any_more(pace, clock):
    clock.now += KNOWN_SECONDS
    pace.begin()
    assert pace.seconds(waiting=True) == 0
