"""How a process that serves ends: it says so, serves on for a pause, and only then has its server stop."""

import asyncio
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], None]

_logger = logging.getLogger("app")

STOPS = (signal.SIGTERM, signal.SIGINT)

#: What a supervisor sends its workers to end their pause; on Windows there is nothing like it.
HURRY: signal.Signals | None = getattr(signal, "SIGUSR1", None)

#: What closing may take in any case, of what is allowed beyond the grace.
_CLOSING_SECONDS = 0.5


class Draining:
    """Whether this process is about to end, and the way there.

    Who sends it requests has to learn of the end before connections are refused: so for `pause` seconds after
    SIGTERM or SIGINT only `began` is true, and all else goes on. Then the server stops, and what is open has
    `grace` seconds to end.

    A second signal ends the pause. Not so in a worker process: systemd and terminals signal the whole group,
    so it gets the first one twice, once from its supervisor, which sends HURRY for the second.
    """

    def __init__(self, pause: float, grace: float) -> None:
        self.began = False
        self._pause, self._grace = pause, grace
        self._stopped: float | None = None

    def seconds_left(self) -> float:
        """Return how long closing what is held may take."""
        gone = 0 if self._stopped is None else time.monotonic() - self._stopped
        return max(self._grace - gone, _CLOSING_SECONDS)

    @contextmanager
    def before_signals(self, prepare: Callable[[], None]) -> Iterator[None]:
        """Stand before whoever handles SIGTERM and SIGINT now: pause, call `prepare`, pass the signal on.

        A server that stops waits for open answers first and tells the application afterwards: too late for
        answers that only end when they are told to. Elsewhere than in the main thread it does nothing.
        """
        self.began, self._stopped = False, None
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in STOPS}

        def stop(number: int, frame: FrameType | None) -> None:
            self.began = True
            if self._stopped is None:
                self._stopped = time.monotonic()
                prepare()
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        handle = self._handler(stop)
        ours = [number for number, handler in before.items() if callable(handler)]
        for number in ours:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number in ours:
                if signal.getsignal(number) is handle:
                    signal.signal(number, before[number])

    def _pause_begins(
        self, loop: asyncio.AbstractEventLoop, stop: Callable[[int], None], number: int
    ) -> None:
        if self._stopped is not None:  # a second signal was quicker
            return
        _logger.info("draining: /health/ready is 503; this process serves on for %g s", self._pause)
        loop.call_later(self._pause, stop, number)

    def _handler(self, stop: Handler) -> Handler:
        loop = asyncio.get_running_loop() if self._pause else None
        is_worker = multiprocessing.parent_process() is not None

        def stop_once(number: int) -> None:
            if self._stopped is None:
                stop(number, None)

        def handle(number: int, frame: FrameType | None) -> None:
            if loop is None or self._stopped is not None:
                stop(number, frame)
            elif not self.began:
                self.began = True
                # Of all that a loop does, only this may be asked for in the middle of anything.
                loop.call_soon_threadsafe(self._pause_begins, loop, stop_once, number)
            elif not is_worker:
                stop(number, frame)

        if is_worker and HURRY is not None:
            signal.signal(HURRY, lambda *_: stop_once(signal.SIGTERM))
        return handle
