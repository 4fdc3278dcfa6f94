"""New connections are shared among workers, so that each holds about as many as the others."""

import asyncio
import copy
import errno
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from app.balancing import Listener, Seats
from bench.processes import connections, workers
from tests.conftest import SECRET
from tests.servers import START_SECONDS, Commands, wait_for


class Worker(asyncio.Protocol):
    """What a worker process has, in this one: a seat at the same table, and a listener on the same socket."""

    def __init__(self, listener: socket.socket, table: Seats) -> None:
        self.seats = copy.copy(table)
        self.socket = listener.dup()  # an event loop watches a file descriptor once
        self.listener = Listener(asyncio.get_running_loop(), lambda: self, self.socket, self.seats)
        self.accepted = 0

    def close(self) -> None:
        self.listener.close()
        self.socket.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.accepted += 1
        transport.close()


@pytest.fixture
async def shared() -> AsyncIterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


async def connect(shared: socket.socket, *some: Worker, times: int = 1) -> None:
    """Connect, and wait until somebody has accepted."""
    for _ in range(times):
        before = sum(worker.accepted for worker in some)
        _, writer = await asyncio.open_connection(*shared.getsockname())
        async with asyncio.timeout(5):
            while sum(worker.accepted for worker in some) == before:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0)
        writer.close()


async def test_a_worker_that_holds_more_leaves_what_comes_to_the_other(shared):
    table = Seats()
    for turn in (0, 1):  # whoever the event loop asks first
        pair = [Worker(shared, table) for _ in range(2)]
        pair[turn].seats.hold(30)
        await connect(shared, *pair, times=20)
        assert pair[turn].accepted + pair[1 - turn].accepted == 20
        assert pair[1 - turn].accepted >= 15  # a busy machine makes some wait for too long
        for worker in pair:
            worker.close()


async def test_a_connection_that_nobody_else_takes_is_taken_by_whoever_holds_more(shared):
    table = Seats()
    copy.copy(table).take()  # a worker that hangs
    busy = Worker(shared, table)
    busy.seats.hold(1000)
    await connect(shared, busy, times=3)
    assert busy.accepted == 3
    busy.close()


async def test_all_that_wait_are_taken_at_once(shared):
    """A busy worker looks only once in many milliseconds."""
    with ExitStack() as stack:
        worker = Worker(shared, Seats())
        stack.callback(worker.close)
        for _ in range(20):
            stack.enter_context(socket.create_connection(shared.getsockname()))
        for _ in range(6):  # turns of the event loop
            await asyncio.sleep(0)
        assert worker.accepted == 20


async def test_a_worker_that_has_left_is_not_waited_for(shared):
    seats, other = Seats(), Seats()
    seats, other = copy.copy(seats), copy.copy(seats)
    seats.take()
    other.take()
    seats.hold(3)
    assert seats.surplus() == 3
    other.hold(1)
    assert seats.surplus() == 2
    other.leave()
    assert seats.surplus() == 0


def test_the_seat_of_a_process_that_ended_is_taken_again():
    seats = Seats()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pids, held = seats._pids, seats._held  # noqa: SLF001 - nobody else can write down a process that has ended
    pids[0], held[0] = ended.pid, 7
    pids[5], held[5] = ended.pid, 0  # where a worker sat while all were replaced, and was killed then
    seats.take()
    seats.hold(3)
    assert list(pids[:6]) == [os.getpid(), 0, 0, 0, 0, 0]
    assert held[0] == 3
    assert seats.surplus() == 0  # it waits for nobody who is gone


class _Exhausted(socket.socket):
    """A listening socket of a process that may open no more files."""

    asked = 0

    def dup(self) -> Self:
        return self

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        raise OSError(errno.EMFILE, "Too many open files")


async def test_a_worker_without_free_file_descriptors_waits_and_says_so(caplog):
    with _Exhausted() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        worker = Worker(listener, Seats())
        _, writer = await asyncio.open_connection(*listener.getsockname())
        for _ in range(50):
            await asyncio.sleep(0)
        assert listener.asked == 1
        assert [record.getMessage() for record in caplog.records if record.name == "app"] == [
            "Can't accept connections: Too many open files"
        ]
        worker.close()
        writer.close()


@pytest.mark.slow
@pytest.mark.parametrize("talking", [True, False])
def test_two_workers_hold_as_many_connections_each_also_after_one_was_replaced(
    tmp_path: Path, database_url: str, *, talking: bool
):
    options = {"database_url": database_url, "better_auth_secret": SECRET, "workers": 2}
    commands = Commands(tmp_path, covered=False)
    with commands.start("tasks-api", "serve", data_dir=tmp_path / "data", **options) as service:
        service.started(workers=2)
        assert_even(service.process.pid, service.port, talking=talking)
        os.kill(workers(service.process.pid)[0], signal.SIGKILL)
        again = "Application startup complete."
        assert wait_for(lambda: service.output.count(again) == 3, START_SECONDS), service.output
        assert_even(service.process.pid, service.port, talking=talking)


def assert_even(pid: int, port: int, *, talking: bool) -> None:
    """With 100 connections each holds 50, within a tenth of it."""
    with ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            if talking:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        held: Counter[int] = Counter()

        def all_are_held() -> bool:
            held.clear()
            held.update({worker: connections(worker, port) for worker in workers(pid)})
            return held.total() == 100

        assert wait_for(all_are_held, START_SECONDS), held
        assert max(held.values()) <= 55, held
