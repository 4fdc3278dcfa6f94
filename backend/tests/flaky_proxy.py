"""A way to the service that breaks: each request goes to one of some servers, and connections are cut.

It reads whole messages (HTTP/1.1 with Content-Length, as the service and its clients write them), so a cut
has an exact place. It is also a witness: it knows the answers that no client ever saw.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ATTEMPT = re.compile(rb"\r\nx-attempt: *(\d+)", re.IGNORECASE)
_MOST = 4_000_000

#: Where a connection is cut, and how often of a hundred requests.
CUTS = {
    "before the request": 1.5,
    "within the request": 1.0,
    "while it is worked on": 2.5,  # the server finishes; a retry races with it
    "while it is worked on, at both ends": 0.3,  # whether it is finished, nobody knows
    "before the answer": 2.5,
    "within the answer": 1.0,
}


class Witnessed(NamedTuple):
    """What became of an attempt: its answer as bytes; without one, whether the server had all of it."""

    reached: bool
    answer: tuple[bytes, bytes] | None = None


class FlakyProxy:
    """`witnessed` has what became of each attempt whose number a request had as X-Attempt."""

    def __init__(self, ports: Sequence[int], draw: random.Random, tick: Callable[[], int]) -> None:
        self.witnessed: dict[int, tuple[Witnessed, int]] = {}
        self.cuts: Counter[str] = Counter()
        self.cutting = True
        self.url = ""
        self._ports, self._draw, self._tick = ports, draw, tick
        self._handling: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FlakyProxy"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._handling:
                task.cancel()
            await asyncio.gather(*self._handling, return_exceptions=True)

    async def settled(self, attempts: int) -> None:
        """Wait until the servers have ended with every attempt."""
        async with asyncio.timeout(60):
            while len(self.witnessed) < attempts:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.02)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handling.add(task)
        servers = [_Server(port) for port in self._ports]
        try:
            with suppress(OSError, EOFError):
                while await self._pass_on(reader, writer, servers):
                    pass
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            self._handling.discard(task)
            for each in (writer, *(server.writer for server in servers)):
                await _close(each)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, servers: Sequence["_Server"]
    ) -> bool:
        """Pass one request on; whether the connection goes on."""
        head, body = await _message(reader)
        number = _ATTEMPT.search(head)
        attempt = int(number[1]) if number else None
        server = self._draw.choice(servers)
        cut = self._cut()
        if cut == "before the request":
            self._note(attempt, Witnessed(reached=False))
            return False
        try:
            await server.open()
        except OSError:  # it has ended
            self._note(attempt, Witnessed(reached=False))
            return False
        if cut == "within the request":
            server.send((head + body)[: self._draw.randrange(1, len(head + body))])
            await _close(server.writer)
            self._note(attempt, Witnessed(reached=False))
            return False
        server.send(head + body)
        if cut and cut.startswith("while"):
            await _close(writer)
        if cut == "while it is worked on, at both ends":
            await asyncio.sleep(self._draw.choice([0, 0, 0.001, 0.004]))
            await _close(server.writer)
            self._note(attempt, Witnessed(reached=True))
            return False
        try:
            answer = await _message(server.reader, bodiless=(b"204", b"304"))
        except (OSError, EOFError):
            self._note(attempt, Witnessed(reached=True))
            return False
        self._note(attempt, Witnessed(reached=True, answer=answer))
        if cut is None:
            writer.write(answer[0] + answer[1])
            await writer.drain()
        elif cut == "within the answer":
            whole = answer[0] + answer[1]
            writer.write(whole[: self._draw.randrange(1, len(whole))])
        return cut is None

    def _cut(self) -> str | None:
        place = self._draw.uniform(0, 100)
        for cut, share in CUTS.items():
            place -= share
            if place < 0 and self.cutting:
                self.cuts[cut] += 1
                return cut
        return None

    def _note(self, attempt: int | None, found: Witnessed) -> None:
        if attempt is not None:
            self.witnessed[attempt] = found, self._tick()


class _Server:
    """A connection to a server, opened again where the server has closed it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter | None = None

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        if self.writer is not None and self.reader.at_eof():
            await _close(self.writer)
            self.writer = None
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_MOST)

    def send(self, content: bytes) -> None:
        assert self.writer
        self.writer.write(content)


async def _message(reader: asyncio.StreamReader, bodiless: Sequence[bytes] = ()) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None or head.split(b" ", 2)[1] in bodiless:
        return head, b""
    return head, await reader.readexactly(int(length[1]))


async def _close(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
