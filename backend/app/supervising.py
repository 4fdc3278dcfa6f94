"""Sees to it that worker processes are replaced when they die, and that all processes end in time."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import cast
from weakref import WeakKeyDictionary

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from app.draining import HURRY, STOPS

_LOOK_SECONDS = 0.1

#: Beyond the grace: what closing and the end of the interpreter may take before they are cut short.
_KILL_SECONDS = 0.6
_EXIT_SECONDS = 0.8

_logger = logging.getLogger("app")


class Supervisor(Multiprocess):
    """uvicorn's, which asks one worker after the other and waits for the answer, here without waiting.

    Of a worker that hangs one can tell only after `timeout_worker_healthcheck` seconds; meanwhile another
    that died would not be missed.
    """

    _asked: WeakKeyDictionary[Process, float]

    def __init__(self, config: Config, sockets: list[socket.socket], end_seconds: float = 10) -> None:
        """Give a worker that is to end so many seconds, then kill it."""
        super().__init__(config, sockets)
        self._end_seconds = end_seconds

    def run(self) -> None:
        """Start the workers, and replace those that end, until a signal comes."""
        self._asked = WeakKeyDictionary()
        super().run()

    def keep_subprocess_alive(self) -> None:
        """Replace all that have died or hang."""
        for index, worker in enumerate(self.processes):
            if worker.process.is_alive() and self._heard_from(worker):
                continue
            worker.kill()
            worker.join()
            if worker.exitcode == STARTUP_FAILURE:  # the next would fail the same way
                _logger.error("worker %s could not start; the others end too", worker.pid)
                self.should_exit.set()
                return
            _logger.error("worker %s ended (%s) and is replaced", worker.pid, worker.exitcode)
            self.processes[index] = Process(self.config, self.sockets)
            self.processes[index].start()

    def restart_all(self) -> None:
        """Replace one worker after the other, each when another serves, as SIGHUP asks for.

        uvicorn waits for ever for one that hangs, and replaces nobody meanwhile.
        """
        for index, worker in enumerate(self.processes):
            successor = Process(self.config, self.sockets)
            successor.start()
            if not successor.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit):
                successor.kill()
                successor.join()
                _logger.error("a new worker did not start; worker %s stays", worker.pid)
                return
            worker.terminate()
            worker.process.join(self._end_seconds)
            if worker.process.is_alive():
                _logger.error("worker %s did not end in time and is killed", worker.pid)
                worker.kill()
            worker.join()
            self.processes[index] = successor

    def _heard_from(self, worker: Process) -> bool:
        """Ask again if the last question was answered; whether it was, or there is still time for it."""
        now = time.monotonic()
        with suppress(OSError, EOFError):  # it has died meanwhile: the next look finds it
            if worker.parent_conn.poll():
                worker.parent_conn.recv()
                self._asked.pop(worker, None)
            if worker not in self._asked:
                self._asked[worker] = now
                worker.parent_conn.send(b"ping")
        return now - self._asked[worker] < self.config.timeout_worker_healthcheck


def end_workers(pause: float, grace: float) -> None:
    """Have the workers end; those that take longer than `pause` and `grace` seconds are killed.

    A signal meanwhile ends their pause.
    """
    workers = multiprocessing.active_children()
    deadline = time.monotonic() + pause + grace + _KILL_SECONDS

    def hurry(_number: int, _frame: FrameType | None) -> None:
        nonlocal deadline
        deadline = min(deadline, time.monotonic() + grace + _KILL_SECONDS)
        for worker in workers:
            if HURRY is not None and worker.is_alive():
                os.kill(cast("int", worker.pid), HURRY)

    for worker in workers:
        worker.terminate()
    for number in STOPS:
        signal.signal(number, hurry)
    while (alive := [worker.sentinel for worker in workers if worker.is_alive()]) and (
        time.monotonic() < deadline
    ):
        multiprocessing.connection.wait(alive, _LOOK_SECONDS)
    for worker in workers:
        if worker.is_alive():
            _logger.error("worker %s did not end in time and is killed", worker.pid)
            worker.kill()


class Deadline:
    """Ends this process when its end takes too long, whatever it is that hangs: even the event loop."""

    def __init__(self, pause: float, grace: float) -> None:
        self._pause, self._grace = pause, grace
        self._at = float("inf")
        self._signalled = threading.Event()

    def begin(self) -> None:
        """Count from the next SIGTERM or SIGINT on; whoever handles it now still does."""
        # Made now: a signal handler may not start a thread, which takes locks that may be held.
        threading.Thread(target=self._watch, daemon=True).start()
        for number in STOPS:
            before = signal.getsignal(number)

            def handle(number: int, frame: FrameType | None, before: object = before) -> None:
                self._signal()
                if callable(before):
                    before(number, frame)

            signal.signal(number, handle)

    def _signal(self) -> None:
        pause = 0 if self._signalled.is_set() else self._pause  # a second signal ends the pause
        self._at = min(self._at, time.monotonic() + pause + self._grace + _EXIT_SECONDS)
        self._signalled.set()

    def _watch(self) -> None:
        self._signalled.wait()
        while time.monotonic() < self._at:
            time.sleep(_LOOK_SECONDS)
        # What hangs may be the log.
        said = threading.Thread(target=_logger.error, args=["the end takes too long; cut short"], daemon=True)
        said.start()
        said.join(_LOOK_SECONDS)
        os._exit(0)
