"""How many statements may be at work, by how busy the process is."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import throttle as throttling
from app.throttle import Throttle, busy_seconds


class Processor:
    """Time as it passes for a thread, and how long it has been busy."""

    def __init__(self) -> None:
        self.now = self.busy = 1000.0

    def passes(self, seconds: float, *, share: float) -> None:
        self.now += seconds
        self.busy += seconds * share


@pytest.fixture
def processor() -> Processor:
    return Processor()


def throttle_of(processor: Processor, slots: int) -> Throttle:
    return Throttle(slots, lambda: processor.now, lambda: processor.busy)


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


# How busy a thread is


@pytest.fixture
def shared_processor() -> Iterator[None]:
    """One processor, for this thread and for one that never rests."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    spins = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    try:
        with subprocess.Popen(spins, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            yield
            other.kill()
    finally:
        os.sched_setaffinity(0, allowed)


def spun(seconds: float) -> tuple[float, float]:
    """Shares of a time without rest: in which this thread was busy, and in which it had the processor."""
    began, busy, had = time.monotonic(), busy_seconds(), time.thread_time()
    while time.monotonic() < began + seconds:
        pass
    passed = time.monotonic() - began
    return (busy_seconds() - busy) / passed, (time.thread_time() - had) / passed


def test_who_waits_for_the_processor_is_as_busy_as_who_has_it(shared_processor):
    with ThreadPoolExecutor(1) as threads:
        busy, had = threads.submit(spun, 0.4).result()
    assert had < 0.8
    assert busy > 0.9


def test_nobody_is_busier_than_all_of_the_time():
    busy, _ = spun(0.2)
    assert 0.9 < busy < 1.1


def test_who_rests_is_not_busy_though_others_are():
    with ThreadPoolExecutor(1) as threads:
        threads.submit(spun, 0.3)
        busy, began = busy_seconds(), time.monotonic()
        time.sleep(0.3)
        assert busy_seconds() - busy < (time.monotonic() - began) / 2


@pytest.mark.parametrize("told", [None, "", "0 x 0"])
def test_where_nobody_tells_who_waited_it_is_the_time_on_the_processor(monkeypatch, tmp_path, told):
    scheduled = tmp_path / "schedstat"
    if told is not None:
        scheduled.write_text(told)
    monkeypatch.setattr(throttling, "_SCHEDULED", scheduled)
    had = time.thread_time()
    assert had <= busy_seconds() <= time.thread_time()
