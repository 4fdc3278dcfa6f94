"""What a thousand slow clients do to one that works: `tasks-api serve`, and the same app on plain uvicorn.

Half of them send a line of a head each second, half a byte of a body; whoever is closed comes back, so that
there are always a thousand. They are a process of their own: who measures should not have their work too.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import httpx2 as httpx

from app.auth.tokens import sign
from app.config import BACKEND
from app.embedded import embedded_postgres
from app.migrations import migrate
from bench.cpu import cpu_seconds
from bench.credentials import SECRET, UNLIMITED
from bench.figures import Figure, table
from bench.processes import resident_megabytes
from bench.subjects.processes import free_port

SOCKETS = 1000
ROUNDS = 5
SECONDS = 12  # of each measurement: longer than any of them may live
_EVERY = 0.025  # seconds from one request of whoever works to the next
_HEAD = 50_000_000  # bytes
_RATIO, _CLOSED, _MEGABYTES = 2, 10, 20
_AT_ONCE = 50  # connections that are opened at the same time

_SERVERS = {
    "serve": ("tasks-api", "serve"),
    "uvicorn": ("uvicorn", "app.main:app", "--no-access-log", "--port", "{port}"),
}


@dataclass
class _Found:
    """What was measured of one server."""

    alone: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    lived: list[float] = field(default_factory=list)
    open_still: list[float] = field(default_factory=list)
    grown: list[float] = field(default_factory=list)

    def figures(self, name: str, *, goals: bool) -> list[Figure]:
        ratios = [after / before for before, after in zip(self.alone, self.together, strict=True)]
        return [
            Figure(f"{name}: p99 of a client that works", "ms", self.alone),
            Figure(f"{name}: the same, beside {SOCKETS:,} slow ones", "ms", self.together),
            Figure(f"{name}: how many times as long", "", ratios, _RATIO if goals else None),
            Figure(f"{name}: CPU time that the slow ones take, in a second", "ms", self.busy),
            Figure(f"{name}: a slow one lived, at most", "s", self.lived, _CLOSED if goals else None),
            Figure(f"{name}: slow ones that were never closed", "", self.open_still, 0 if goals else None),
            Figure(f"{name}: memory for 50 MB of head", "MB", self.grown, _MEGABYTES if goals else None),
        ]


def measure() -> list[Figure]:
    """Measure both in every round, one after the other; in five minutes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the processes inherit it
    found = {name: _Found() for name in _SERVERS}
    with TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as url:
        migrate(url)
        for _ in range(ROUNDS):
            for name in _SERVERS:
                with _server(name, url, folder) as (pid, port):
                    _round(found[name], pid, port)
    return [*found["serve"].figures("serve", goals=True), *found["uvicorn"].figures("uvicorn", goals=False)]


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(_slow_ones(int(sys.argv[1]), sys.argv[2]))))
    else:
        print(table(measure()))


def _round(found: _Found, pid: int, port: int) -> None:
    _p99(port, 1)
    started = cpu_seconds([pid])
    found.alone.append(_p99(port, SECONDS))
    alone = cpu_seconds([pid]) - started
    attack = subprocess.Popen(  # noqa: S603 - this very module
        [sys.executable, "-m", "bench.slow_clients", str(port), _token("slow")], stdout=subprocess.PIPE
    )
    time.sleep(2)  # until all are there
    started = cpu_seconds([pid])
    found.together.append(_p99(port, SECONDS))
    found.busy.append((cpu_seconds([pid]) - started - alone) / SECONDS * 1000)
    lived = json.loads(attack.communicate()[0])
    found.lived.append(max(lived))
    found.open_still.append(sum(seconds > SECONDS for seconds in lived))
    before = resident_megabytes(pid)
    found.grown.append(asyncio.run(_endless_head(pid, port)) - before)


def _token(user_id: str) -> str:
    return sign(user_id, SECRET, seconds=3600)


def _p99(port: int, seconds: float) -> float:
    """Read a list at an even pace on one connection; return milliseconds."""
    headers = {"Authorization": f"Bearer {_token('works')}"}
    took = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        due = time.perf_counter()
        end = due + seconds
        while due < end:
            time.sleep(max(due - time.perf_counter(), 0))
            client.get("/tasks").raise_for_status()
            took.append((time.perf_counter() - due) * 1000)
            due += _EVERY
    return quantiles(took, n=100)[-1]


async def _slow_ones(port: int, token: str) -> list[float]:
    """Return how long each connection lived, in seconds; those that were open at the end a little longer."""
    lived: list[float] = []
    gate = asyncio.Semaphore(_AT_ONCE)
    end = time.monotonic() + SECONDS + 4
    await asyncio.gather(
        *(_slow_one(port, number % 2 * token, gate, end, lived) for number in range(SOCKETS))
    )
    return lived


async def _slow_one(port: int, token: str, gate: asyncio.Semaphore, end: float, lived: list[float]) -> None:
    """Be slow with a body, or with a head without a token."""
    body = f"POST /tasks HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {token}\r\nContent-Length: 999\r\n\r\n"
    head, drop = (body, b" ") if token else ("GET /tasks HTTP/1.1\r\n", b"A: b\r\n")
    while time.monotonic() < end - 1:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
        writer.write(head.encode())
        ended = asyncio.create_task(reader.read())
        while not ended.done() and time.monotonic() < end:
            await asyncio.wait({ended}, timeout=1)
            if not ended.done():
                writer.write(drop)
        lived.append(time.monotonic() - began)
        ended.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await ended
        writer.transport.abort()


async def _endless_head(pid: int, port: int) -> float:
    """Send it, and return how much memory the server has then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nA: ")
    for _ in range(_HEAD // 100_000):
        writer.write(b"x" * 100_000)
        await writer.drain()
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await reader.read(1)
    megabytes = resident_megabytes(pid)
    writer.transport.abort()
    return megabytes


@contextmanager
def _server(name: str, url: str, folder: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    own = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, "PORT": str(port), "DATA_DIR": folder}
    own |= {"WORKERS": "1", "ENVIRONMENT": "production", "LOG_LEVEL": "warning"}
    command, *arguments = (argument.format(port=port) for argument in _SERVERS[name])
    server = subprocess.Popen(  # noqa: S603 - the project's own commands
        [Path(sys.executable).with_name(command), *arguments],
        cwd=BACKEND,
        env=os.environ | UNLIMITED | own | {"PYTHONPATH": str(BACKEND)},
    )
    try:
        while True:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/health/live")
                break
            time.sleep(0.1)
        yield server.pid, port
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
