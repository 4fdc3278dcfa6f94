"""Bare sockets: our protocol, served in this event loop, and clients that send what no library does."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from fastapi import FastAPI
from uvicorn.server import ServerState

from app.auth.tokens import sign
from app.protocol import Config
from app.shedding import Protocol
from tests.conftest import SECRET

#: Longer than anything takes on a busy machine.
PATIENCE_SECONDS = 20

#: Bytes that the kernel keeps for a client, in place of some megabytes: so that one is soon seen to read.
_SEND_BUFFER = 65_536


@asynccontextmanager
async def listening(app: FastAPI, *, keep_alive: float = 5) -> AsyncIterator[int]:
    """Serve an app on a free loopback port as `serve` does; give the port."""
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    config = Config(app, **options, http=Protocol, timeout_keep_alive=keep_alive)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(config, state, {}, loop),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    async with server:
        server.sockets[0].setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER
        )  # who is accepted has it
        yield server.sockets[0].getsockname()[1]
        for connection in list(state.connections):
            connection.transport.abort()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while state.tasks:
                await asyncio.wait(state.tasks)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def dribble(self, parts: Iterable[bytes], seconds: float) -> None:
        """Send one part after the other, as long as the server takes them."""
        for part in parts:
            if self.writer.is_closing():
                return
            self.send(part)
            await asyncio.sleep(seconds)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Read one answer whose length is declared."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            length = 0 if head_only else int(headers.get("content-length", 0))
            return Answer(int(first.split()[1]), headers, await self._reader.readexactly(length))

    async def read(self, most: int) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reader.read(most)

    async def rest(self) -> bytes:
        """Read until the server closes; a reset is an end too."""
        found = bytearray()
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while part := await self._reader.read(65_536):
                    found += part
            except ConnectionResetError:
                pass
        return bytes(found)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    client = await Client.to(port)
    try:
        yield client
    finally:
        client.writer.transport.abort()


def request(target: str = "/health/live", *, method: str = "GET", user: str = "", **headers: object) -> bytes:
    """Write the head of a request."""
    if user:
        headers["Authorization"] = f"Bearer {sign(user, SECRET, seconds=3600)}"
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\nHost: api.test\r\n{lines}\r\n".encode()
