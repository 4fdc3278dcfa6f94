"""uvicorn's protocol around an app, memory in place of a socket: every run takes the same steps."""

import asyncio
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.server import ServerState

from app.shedding import Protocol


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Wire(asyncio.Transport):
    """What the protocol writes to. No packet comes in two parts, no buffer is ever full."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Server:
    """One kept connection to an app, as `serve` configures uvicorn."""

    def __init__(self, app: Any) -> None:
        config = Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
        self._state = ServerState()
        self._wire = Wire()
        self._protocol = Protocol(config, self._state, {})
        self._protocol.connection_made(self._wire)

    @property
    def closed(self) -> bool:
        return self._wire.closed

    async def send(self, request: bytes) -> Answer:
        """Have a request answered, log line and all."""
        self._wire.sent.clear()
        self._protocol.data_received(request)
        while self._state.tasks:
            await asyncio.wait(self._state.tasks)
        head, _, body = bytes(self._wire.sent).partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        return Answer(int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body)
