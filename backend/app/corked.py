"""A connection's transport that sends the head of an answer and its body together."""

import asyncio
from typing import Any


class Corked:
    """A transport that holds what is written until more comes, or the turn of the event loop ends.

    uvicorn writes an answer's head and then its body, and uvloop sends each at once. A process that is killed
    in between leaves half an answer, which no proxy may ask for again; and each write costs a system call
    and a packet, to the reader as well.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else the transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it with what is held; if nothing is, hold it till the end of this turn."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        else:
            self._held = data
            self._loop.call_soon(self._send)

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""
