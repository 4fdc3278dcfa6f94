"""What idle listeners cost a process of `tasks-api serve`, and how soon they hear of a change."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from app.auth.tokens import sign
from app.config import BACKEND, Settings
from app.database import Database
from app.embedded import embedded_postgres
from app.migrations import migrate
from app.queries.live import REVISIONS_OF_LISTENERS
from app.queries.tasks import UserTasks
from bench.credentials import SECRET, UNLIMITED
from bench.figures import Figure, table

LISTENERS = 5000
IDLE_SECONDS = 60
CHANGES = 40
_AT_ONCE = 50  # connections that are opened at the same time
_KILOBYTES, _CPU_SECONDS, _DELAY_MILLISECONDS = 70, 6, 1100

_TICKS = os.sysconf("SC_CLK_TCK")


class _Listener:
    """One open stream on a bare socket: a whole HTTP client would be most of what is measured."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.token = sign(user_id, SECRET, seconds=3600)
        self.pings = 0

    async def open(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._writer.write(
            f"GET /tasks/events HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the request failed: {head.decode()}")
        await self.event()

    async def event(self) -> bytes:
        """Wait for an event; count the comments before it."""
        while True:
            size = int(await self._reader.readline(), 16)
            chunk = await self._reader.readexactly(size + 2)
            if not chunk.startswith(b":"):
                return chunk
            self.pings += 1

    async def left(self) -> None:
        """Wait for the end of the connection."""
        await self._reader.read()
        self._writer.close()


@dataclass(frozen=True)
class _Process:
    """The measured process, as Linux sees it."""

    pid: int

    @property
    def kilobytes(self) -> float:
        """Memory that it has and shares with nobody."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def measure() -> list[Figure]:
    """Measure everything on an embedded PostgreSQL that is gone afterwards; in a minute and a half."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server inherits it
    with TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as url:
        migrate(url)
        return uvloop.run(_figures(url, folder))


def main() -> None:
    print(table(measure()))


async def _figures(url: str, folder: str) -> list[Figure]:
    database = Database(url, Settings(database_queue_wait=30))
    listeners = [_Listener(f"user-{number:05}-of-the-load-of-listeners") for number in range(LISTENERS)]
    await asyncio.gather(*(UserTasks(database, one.user_id).add(text="x") for one in listeners[:100]))
    for start in range(100, LISTENERS, 100):
        await asyncio.gather(
            *(UserTasks(database, one.user_id).add(text="x") for one in listeners[start : start + 100])
        )
    async with _server(url, folder) as (process, port):
        return [
            *await _opened(process, port, listeners),
            *await _idle(process, listeners),
            await _poll(database, listeners),
            await _heard_from_elsewhere(database, listeners),
            await _heard_from_here(port, listeners),
            *await _ended(process, listeners),
        ]


@asynccontextmanager
async def _server(url: str, folder: str) -> AsyncIterator[tuple[_Process, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, "PORT": str(port), "DATA_DIR": folder}
    own |= {"WORKERS": "1", "ENVIRONMENT": "production", "LOG_LEVEL": "warning"}
    own |= {"RATE_LIMIT": "off", "RATE_LIMIT_ADDRESS": "off"}
    server = subprocess.Popen(  # noqa: ASYNC220, S603 - it returns at once; the project's own command
        [Path(sys.executable).with_name("tasks-api"), "serve"],
        cwd=BACKEND,
        env=os.environ | UNLIMITED | own | {"PYTHONPATH": str(BACKEND)},
    )
    try:
        for _ in range(5):  # what is done only once: imports, the pool, the statements
            first = _Listener("first")
            while True:
                try:
                    await first.open(port)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            first._writer.close()  # noqa: SLF001 - its own module
        yield _Process(server.pid), port
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait)


async def _opened(process: _Process, port: int, listeners: list[_Listener]) -> list[Figure]:
    kilobytes, cpu, gate = process.kilobytes, process.cpu_seconds, asyncio.Semaphore(_AT_ONCE)

    async def open_one(listener: _Listener) -> None:
        async with gate:
            await listener.open(port)

    await asyncio.gather(*(open_one(listener) for listener in listeners))
    return [
        Figure("memory of the process without listeners", "MB", [kilobytes / 1024]),
        Figure(
            f"memory of one of {len(listeners):,} listeners",
            "KB",
            [(process.kilobytes - kilobytes) / len(listeners)],
            _KILOBYTES,
        ),
        Figure("to open a stream", "µs cpu", [(process.cpu_seconds - cpu) / len(listeners) * 1e6]),
    ]


async def _idle(process: _Process, listeners: list[_Listener]) -> list[Figure]:
    """Let everybody read comments for a while."""
    reading = [asyncio.create_task(listener.event()) for listener in listeners]
    cpu, started = process.cpu_seconds, time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    spent = (process.cpu_seconds - cpu) * 60 / (time.perf_counter() - started)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    pings = [float(listener.pings) for listener in listeners]
    return [
        Figure(f"{len(listeners):,} idle listeners for a minute", "s cpu", [spent], _CPU_SECONDS),
        Figure(f"comments for each in {IDLE_SECONDS} s", "", pings),
    ]


async def _poll(database: Database, listeners: list[_Listener]) -> Figure:
    users = [listener.user_id for listener in listeners]
    rounds = []
    for _ in range(20):
        started = time.perf_counter()
        await database.fetch(REVISIONS_OF_LISTENERS, users=users)
        rounds.append((time.perf_counter() - started) * 1000)
    return Figure(f"asking for the revisions of {len(users):,} users", "ms", rounds)


async def _heard_from_elsewhere(database: Database, listeners: list[_Listener]) -> Figure:
    """Write from this process, at moments that have nothing to do with the poll."""
    delays = []
    for number, listener in enumerate(listeners[:CHANGES]):
        await asyncio.sleep(number * 0.618 % 1)
        await UserTasks(database, listener.user_id).add(text="x")
        started = time.perf_counter()
        await listener.event()
        delays.append((time.perf_counter() - started) * 1000)
    return Figure(
        "from a write in another process to its event", "ms", delays, _DELAY_MILLISECONDS, always=True
    )


async def _heard_from_here(port: int, listeners: list[_Listener]) -> Figure:
    """Write through the process that the listeners are connected to; the whole request counts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    delays = []
    for listener in listeners[:CHANGES]:
        body = b'{"text": "x"}'
        head = (
            f"POST /tasks HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {listener.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        writer.write(head.encode() + body)
        await listener.event()
        delays.append((time.perf_counter() - started) * 1000)
        await reader.read(65_536)
    writer.close()
    return Figure("from sending a write to this process to its event", "ms", delays)


async def _ended(process: _Process, listeners: list[_Listener]) -> list[Figure]:
    started = time.perf_counter()
    os.kill(process.pid, signal.SIGTERM)
    events = await asyncio.gather(*(listener.event() for listener in listeners), return_exceptions=True)
    last = (time.perf_counter() - started) * 1000
    told = sum(isinstance(event, bytes) and b"SHUTDOWN" in event for event in events)
    await asyncio.gather(*(listener.left() for listener in listeners), return_exceptions=True)
    return [
        Figure("listeners who are not told of the end", "", [len(listeners) - told], 0, always=True),
        Figure("from SIGTERM until the last of them is told", "ms", [last]),
    ]


if __name__ == "__main__":
    main()
