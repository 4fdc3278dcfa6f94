"""How long it takes to replace a dead worker, and to end with a request that hangs, each against its goal.

.venv/bin/python -m bench.ending
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from app.auth.tokens import sign
from app.embedded import url
from bench.credentials import SECRET
from bench.figures import Figure, table
from bench.processes import workers
from tests.servers import START_SECONDS, Commands, Service, wait_for

ROUNDS = 3
_GRACE = 2
_REPLACED_SECONDS = 5
_UP = "Application startup complete."
_LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@contextmanager
def served(count: int, folder: Path) -> Iterator[Service]:
    """Serve with its own database, by so many workers."""
    settings = {"better_auth_secret": SECRET, "shutdown_grace": _GRACE, "database_timeout": 60}
    commands = Commands(folder / "checkout", covered=False)
    with commands.start("tasks-api", "serve", data_dir=folder / "data", workers=count, **settings) as service:
        yield service.started(workers=count)


def replaced(service: Service, *, hanging: bool) -> float:
    """Kill a worker, and return the seconds until another has started in its place."""
    first, second = workers(service.process.pid)
    started = service.output.count(_UP)
    if hanging:
        os.kill(first, signal.SIGSTOP)
        time.sleep(1)  # it is asked, and does not answer
    began = time.perf_counter()
    os.kill(second, signal.SIGKILL)
    if not wait_for(lambda: service.output.count(_UP) > started, START_SECONDS * 2):
        raise RuntimeError("nobody replaced the worker")
    seconds = time.perf_counter() - began
    if hanging:
        os.kill(first, signal.SIGCONT)
    return seconds


async def ended(service: Service, data_dir: Path) -> float:
    """Have a request wait for a lock, and return how much longer than the grace the end takes."""
    connection = await asyncpg.connect(url(data_dir))
    watcher = await asyncpg.connect(url(data_dir))  # within a transaction pg_stat_activity stays as it was
    await connection.execute("BEGIN; LOCK TABLE tasks, task_lists")
    with socket.create_connection(("127.0.0.1", service.port)) as caller:
        credential = sign("alice", SECRET, seconds=60)
        caller.sendall(
            f"GET /tasks HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {credential}\r\n\r\n".encode()
        )
        while not await watcher.fetchval(_LOCKED):  # noqa: ASYNC110 - another process waits
            await asyncio.sleep(0.01)
        began = time.perf_counter()
        service.process.terminate()
        while service.process.poll() is None:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - began
    connection.terminate()
    watcher.terminate()
    return seconds - _GRACE


def measure() -> list[Figure]:
    """Measure all, round by round."""
    replacing, beside, ending = list[float](), list[float](), dict[int, list[float]]({1: [], 2: []})
    for _ in range(ROUNDS):
        for count, seconds in ending.items():
            with TemporaryDirectory(prefix="bench-") as name:
                folder = Path(name)
                (folder / "checkout").mkdir()
                with served(count, folder) as service:
                    if count > 1:
                        replacing.append(replaced(service, hanging=False))
                        beside.append(replaced(service, hanging=True))
                    seconds.append(asyncio.run(ended(service, folder / "data")))
    return [
        Figure("killed worker: until another serves", "s", replacing, _REPLACED_SECONDS),
        Figure("the same while the other worker hangs", "s", beside, _REPLACED_SECONDS),
        Figure("end with a request that hangs, 1 worker: beyond the grace", "s", ending[1], 1),
        Figure("end with a request that hangs, 2 workers: beyond the grace", "s", ending[2], 1),
    ]


if __name__ == "__main__":
    figures = measure()
    print(table(figures))
    sys.exit(not all(figure.met for figure in figures))
