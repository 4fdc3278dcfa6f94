"""What a hundred callers meet when the database does not answer: with the circuit breaker, and without it."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import httpx2 as httpx
import uvicorn

from app import breaker
from app.auth.tokens import sign
from app.config import BACKEND, get_settings
from app.embedded import embedded_postgres
from app.main import create_app
from app.migrations import migrate
from bench.credentials import SECRET, UNLIMITED
from bench.figures import Figure, table
from tests.faulty_wire import FaultyWire, faulty_wire, to_unix
from tests.servers import free_port

CALLERS = 100
_PAUSE = 1  # of a caller, after an answer
_STEADY_SECONDS = 2
_FAULT_SECONDS = 9
_SETTLED_SECONDS = 5.5  # from when on answers count as those of an open breaker
_AT_ONCE_MILLISECONDS, _RECOVERED_SECONDS, _ANSWER_SECONDS = 50, 5, 3


@dataclass
class _Seen:
    """What became of the requests: when each ended, its status, and its seconds."""

    answers: list[tuple[float, int, float]] = field(default_factory=list)

    def between(self, begin: float, end: float) -> list[float]:
        """Return the milliseconds of those that ended then."""
        return [1000 * seconds for at, _, seconds in self.answers if begin <= at < end]


def measure() -> list[Figure]:
    """Measure a server that is silent and one that refuses, each with and without; in a minute and a half."""
    figures = []
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with embedded_postgres(folder) as url:
            migrate(url)
            for fault in ("silent", "gone"):
                for kind in ("with", "without"):
                    figures += asyncio.run(_measure(url, fault, kind))
    return figures


async def _measure(url: str, fault: str, kind: str) -> list[Figure]:
    seen = _Seen()
    async with faulty_wire(to_unix(f"{url.split('?host=')[1]}/.s.PGSQL.5432")) as wire:
        with _served(f"postgresql://postgres@127.0.0.1:{wire.port}/postgres", kind) as base:
            await _up(base)
            stop = asyncio.Event()
            callers = [asyncio.create_task(_call(base, number, stop, seen)) for number in range(CALLERS)]
            await asyncio.sleep(_STEADY_SECONDS)
            began = time.monotonic()
            await (wire.swallow() if fault == "silent" else wire.refuse())
            await asyncio.sleep(_FAULT_SECONDS)
            healed = time.monotonic()
            await _heal(wire, fault)
            await asyncio.sleep(_RECOVERED_SECONDS)
            stop.set()
            await asyncio.gather(*callers)
    settled = seen.between(began + _SETTLED_SECONDS, healed)
    failed = [at for at, status, _ in seen.answers if status != httpx.codes.OK]
    is_goal = kind == "with"
    who = f"{fault}, {kind} the breaker"
    return [
        Figure(
            f"{who}: the slowest answer", "s", [max(seen.between(began, healed + 5)) / 1000], _ANSWER_SECONDS
        ),
        Figure(f"{who}: median answer", "ms", [median(settled)], _AT_ONCE_MILLISECONDS if is_goal else None),
        Figure(f"{who}: p95 of answers", "ms", [quantiles(settled, n=20)[-1]]),
        Figure(f"{who}: answers a second", "", [len(settled) / (_FAULT_SECONDS - _SETTLED_SECONDS)]),
        Figure(f"{who}: failures after it healed", "s", [max(0, max(failed) - healed)], _RECOVERED_SECONDS),
    ]


async def _heal(wire: FaultyWire, fault: str) -> None:
    if fault == "gone":
        await wire.listen()
    await wire.heal()


async def _call(base: str, number: int, stop: asyncio.Event, seen: _Seen) -> None:
    """Ask again and again, on a bare connection: a whole HTTP client would be most of what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    token = sign(f"caller-{number}", SECRET, seconds=600)
    request = f"GET /tasks HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    while not stop.is_set():
        began = time.monotonic()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(head.lower().partition("content-length: ")[2].split("\r")[0]))
        seen.answers.append((time.monotonic(), int(head.split(" ")[1]), time.monotonic() - began))
        await asyncio.sleep(_PAUSE)
    writer.close()


@contextlib.contextmanager
def _served(url: str, kind: str) -> Iterator[str]:
    """One worker, in a process of its own."""
    port = free_port()
    settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, "PORT": str(port), "LOG_LEVEL": "error"}
    process = subprocess.Popen(  # noqa: S603 - this very module
        [sys.executable, "-m", "bench.faults", kind], cwd=BACKEND, env=os.environ | UNLIMITED | settings
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def _up(base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health")).is_success:
                    return
            await asyncio.sleep(0.05)


def _serve(kind: str) -> None:
    """Run the service, in a process that was started for it."""
    if kind == "without":
        breaker._FAILURES = sys.maxsize  # noqa: SLF001 - there is no setting for it
    settings = get_settings()
    uvicorn.run(create_app(settings), port=settings.port, log_config=None, access_log=False)


def main() -> None:
    if len(sys.argv) > 1:
        _serve(sys.argv[1])
    else:
        print(table(measure()))


if __name__ == "__main__":
    main()
