"""How many statements may be at work, by how busy the process is."""

import pytest

from app.throttle import Throttle


class Processor:
    """Time as it passes for a thread, and what it has had of it."""

    def __init__(self) -> None:
        self.now = self.worked = 1000.0

    def passes(self, seconds: float, *, share: float) -> None:
        self.now += seconds
        self.worked += seconds * share


@pytest.fixture
def processor() -> Processor:
    return Processor()


def throttle_of(processor: Processor, slots: int) -> Throttle:
    return Throttle(slots, lambda: processor.now, lambda: processor.worked)


@pytest.fixture
def throttle(processor: Processor) -> Throttle:
    return throttle_of(processor, 10)


def open_after(throttle: Throttle, processor: Processor, share: float, looks: int) -> list[int]:
    found = []
    for _ in range(looks):
        processor.passes(0.05, share=share)
        throttle.look()
        found.append(throttle.open)
    return found


def test_a_busy_process_has_one_fewer_each_time_and_two_at_least(throttle, processor):
    assert open_after(throttle, processor, 0.99, 10) == [9, 8, 7, 6, 5, 4, 3, 2, 2, 2]


def test_a_process_that_waits_for_the_database_gets_half_of_them_back_and_half_again(throttle, processor):
    open_after(throttle, processor, 0.99, 10)
    assert open_after(throttle, processor, 0.5, 5) == [6, 8, 9, 10, 10]


def test_in_between_they_stay_as_they_are(throttle, processor):
    open_after(throttle, processor, 0.99, 3)
    assert open_after(throttle, processor, 0.93, 3) == [7, 7, 7]


def test_when_nobody_waits_any_more_there_are_all(throttle, processor):
    open_after(throttle, processor, 0.99, 10)
    throttle.end()
    assert throttle.open == 10


@pytest.mark.parametrize("slots", [1, 2])
def test_few_are_never_fewer(processor, slots):
    assert open_after(throttle_of(processor, slots), processor, 0.99, 3) == [slots] * 3
