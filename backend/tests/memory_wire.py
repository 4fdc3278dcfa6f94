"""Our protocol around an app, memory in place of a socket: every run takes the same steps."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from uvicorn.server import ServerState

from app.protocol import Config
from app.shedding import Protocol


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    packets: int


class Wire(asyncio.Transport):
    """What the protocol writes to. No packet comes in two parts, no buffer is ever full."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.packets = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        self.packets += 1

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

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

    @property
    def sent(self) -> bytes:
        """What has come back since the last request."""
        return bytes(self._wire.sent)

    def reads(self, *, yes: bool) -> None:
        """Whether the client reads what it is sent."""
        (self._protocol.resume_writing if yes else self._protocol.pause_writing)()

    async def send(self, request: bytes) -> Answer:
        """Have a request answered, log line and all."""
        await self._send(request)
        head, _, body = self.sent.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Answer(int(status.split()[1]), headers, body, self._wire.packets)

    async def send_all(self, requests: Sequence[bytes]) -> list[int]:
        """Have requests answered that come in one go and want no bodies; give the statuses."""
        await self._send(b"".join(requests))
        return [int(head.split()[1]) for head in self.sent.decode().strip().split("\r\n\r\n")]

    async def _send(self, requests: bytes) -> None:
        self._wire.sent.clear()
        self._wire.packets = 0
        self._protocol.data_received(requests)
        while self._state.tasks:
            await asyncio.wait(self._state.tasks)
        await asyncio.sleep(0)  # what was held till the end of a turn is sent
