"""A server of keys on loopback that does whatever a server may do to us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext
from typing import Any

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class KeyServer:
    """Counts its requests and answers each as `behave` says."""

    def __init__(self) -> None:
        self.requests = 0
        self.head = b""  # of the last request
        self.asked = asyncio.Event()
        self.url = ""
        self.behave: Behaviour = answering(b'{"keys": []}')
        self._serving: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.head = (await reader.readuntil(b"\r\n\r\n")).lower()
            self.requests += 1
            self.asked.set()
            await self.behave(writer)
            await writer.drain()
        with suppress(ConnectionError, asyncio.CancelledError):
            writer.close()
            await writer.wait_closed()

    async def end(self) -> None:
        """Leave nothing open in the event loop."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving)


def answering(body: bytes, status: str = "200 OK", **headers: str) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    return behave


def waiting(event: asyncio.Event, then: Behaviour) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        await event.wait()
        await then(writer)

    return behave


async def cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"keys": [')


async def trickling(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hanging_up(_writer: asyncio.StreamWriter) -> None:
    """Close without a word."""


@asynccontextmanager
async def key_server(tls: SSLContext | None = None) -> AsyncIterator[KeyServer]:
    keys = KeyServer()
    server = await asyncio.start_server(keys.serve, "127.0.0.1", 0, ssl=tls)
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    keys.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}/api/auth/jwks"
    try:
        yield keys
    finally:
        server.close()
        await keys.end()
