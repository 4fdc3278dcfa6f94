"""How many slots are closed, by how busy the process is."""

from collections.abc import Callable

import pytest

from app.throttle import Throttle


class Processor:
    """Time as it passes for a thread, and what it has had of it."""

    def __init__(self) -> None:
        self._now = self._worked = 1000.0

    @property
    def clocks(self) -> tuple[Callable[[], float], Callable[[], float]]:
        return lambda: self._now, lambda: self._worked

    def passes(self, seconds: float, *, working: float) -> None:
        self._now += seconds
        self._worked += working


@pytest.fixture
def processor() -> Processor:
    return Processor()


@pytest.fixture
def throttle(processor: Processor) -> Throttle:
    return Throttle(10, *processor.clocks)


def closed_after(throttle: Throttle, processor: Processor, share: float, looks: int) -> list[int]:
    found = []
    for _ in range(looks):
        processor.passes(0.1, working=0.1 * share)
        throttle.look()
        found.append(throttle.closed)
    return found


def test_a_busy_process_closes_one_after_the_other_and_leaves_two(throttle, processor):
    assert closed_after(throttle, processor, 0.99, 10) == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]


def test_a_process_that_waits_for_the_database_opens_half_of_them_and_half_again(throttle, processor):
    closed_after(throttle, processor, 0.99, 10)
    assert closed_after(throttle, processor, 0.5, 5) == [4, 2, 1, 0, 0]


def test_in_between_they_stay_as_they_are(throttle, processor):
    closed_after(throttle, processor, 0.99, 3)
    assert closed_after(throttle, processor, 0.93, 3) == [3, 3, 3]


def test_it_says_whether_some_were_opened(throttle, processor):
    told = []
    for share in (1, 1, 0.93, 0, 0, 0):
        processor.passes(0.1, working=0.1 * share)
        told.append(throttle.look())
    assert told == [False, False, False, True, True, False]


def test_a_moment_says_nothing(throttle, processor):
    for expected in (0, 0, 0, 1, 1, 1, 1, 2):
        processor.passes(1 / 64, working=1 / 64)
        throttle.look()
        assert throttle.closed == expected


def test_what_happened_while_nobody_waited_is_no_reason(throttle, processor):
    """The last look was long ago; there was much to do, and hardly ever."""
    processor.passes(0.1, working=0.1)
    throttle.look()
    processor.passes(100, working=50)
    throttle.look()
    assert throttle.closed == 0


@pytest.mark.parametrize("slots", [1, 2])
def test_few_stay_open(processor, slots):
    throttle = Throttle(slots, *processor.clocks)
    assert closed_after(throttle, processor, 0.99, 3) == [0, 0, 0]
