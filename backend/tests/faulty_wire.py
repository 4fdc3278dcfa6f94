"""A way to PostgreSQL that fails as networks do: it refuses, swallows, resets, dawdles, and cuts into slices.

It runs in an event loop and a thread of its own (`outside`), so that it goes on while a test stops a server.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

_T = TypeVar("_T")
_CHUNK = 65_536

#: ReadyForQuery, idle (PostgreSQL's frontend/backend protocol): the end of a start, and of each statement.
_READY = b"Z\x00\x00\x00\x05I"

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class FaultyWire:
    """Listens on a port and passes everything on; what goes wrong is set while it runs."""

    def __init__(self, upstream: Upstream) -> None:
        self.delay = 0.0  #: seconds, each way
        self.bytes_per_second = float("inf")
        self.slices = False  #: a byte at a time
        self.cut_statements = 0  #: so many are lost on their way there, and the connection with them
        self.cut_answers = 0  #: so many are done, and their answers lost
        self.half_closed = False  #: what the server closes stays open on this side
        self.port = 0
        self._upstream = upstream
        self._open = asyncio.Event()  # else it takes everything, and answers nothing
        self._open.set()
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.Task[Any], tuple[asyncio.StreamWriter, ...]] = {}

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Reset what there is, and refuse all that comes."""
        if self._server is not None:
            self._server.close()
        await self.reset()

    async def reset(self) -> None:
        """Reset all connections, without a word (RST)."""
        for writers in list(self._pairs.values()):
            for writer in writers:
                _reset(writer)

    async def swallow(self) -> None:
        """Become a black hole, for connections that are open and for new ones."""
        self._open.clear()

    async def heal(self) -> None:
        """Pass on what is waiting, and all the rest from now on."""
        self.delay, self.bytes_per_second, self.slices = 0.0, float("inf"), False
        self.cut_statements = self.cut_answers = 0
        self.half_closed = False
        self._open.set()

    async def sleep(self, seconds: float) -> None:
        """Reset what there is; new connections are taken, and answered when so many seconds are over."""
        await self.reset()
        self._open.clear()
        asyncio.get_running_loop().call_later(seconds, self._open.set)

    async def close(self) -> None:
        """Stop, with all that runs."""
        await self.refuse()
        for task in list(self._pairs):
            task.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._pairs[task] = (writer,)
        try:
            await self._open.wait()
            there, back = await self._upstream()
            self._pairs[task] = (writer, back)
            started = asyncio.Event()
            ways = [
                asyncio.create_task(self._pass(reader, back, started, writer, statements=True)),
                asyncio.create_task(self._pass(there, writer, started, writer, statements=False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the server is not there; the end of the test
        finally:
            for each in self._pairs.pop(task):
                each.close()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        started: asyncio.Event,
        client: asyncio.StreamWriter,
        *,
        statements: bool,
    ) -> None:
        """Pass on what goes one way, what is late in its order."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writing = asyncio.create_task(self._write(sink, waiting))
        loop = asyncio.get_running_loop()
        try:
            while data := await source.read(_CHUNK):
                if started.is_set() and self._cuts(data, statements=statements):
                    _reset(client)
                    return
                if not statements and data.endswith(_READY):
                    started.set()
                waiting.put_nowait((loop.time() + self.delay, data))
            if not statements and self.half_closed:
                await asyncio.Future()
            waiting.put_nowait((loop.time() + self.delay, b""))
            await writing
        except OSError:
            pass  # a reset
        finally:
            writing.cancel()

    def _cuts(self, data: bytes, *, statements: bool) -> bool:
        if statements and self.cut_statements:
            self.cut_statements -= 1
            return True
        # The last of an answer: what was asked for is committed by then.
        if not statements and self.cut_answers and data.endswith(_READY) and b"C\x00\x00" in data:
            self.cut_answers -= 1
            return True
        return False

    async def _write(self, sink: asyncio.StreamWriter, waiting: "asyncio.Queue[tuple[float, bytes]]") -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0, due - loop.time()))
                await self._open.wait()
                if not data:
                    return
                for piece in [data[at : at + 1] for at in range(len(data))] if self.slices else [data]:
                    sink.write(piece)
                    await sink.drain()
                    if self.slices:
                        await asyncio.sleep(0)
                await asyncio.sleep(len(data) / self.bytes_per_second)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, and let the other side know by RST."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0 and connection.family == socket.AF_INET:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Outside:
    """An event loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Have something done there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def outside() -> Iterator[Outside]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Outside(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def to_unix(path: str) -> Upstream:
    return lambda: asyncio.open_unix_connection(path)


def to_port(port: int) -> Upstream:
    return lambda: asyncio.open_connection("127.0.0.1", port)


@asynccontextmanager
async def faulty_wire(upstream: Upstream) -> AsyncIterator[FaultyWire]:
    """A wire in the running event loop."""
    wire = FaultyWire(upstream)
    await wire.listen()
    try:
        yield wire
    finally:
        await wire.close()
