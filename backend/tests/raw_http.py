"""HTTP/1.1 over a socket, without a library that would mend what is sent."""

import asyncio
from dataclasses import dataclass
from typing import Self

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for given, value in self.fields if given == name.lower()]

    def one(self, name: str) -> str | None:
        """The value of a header; None if there is none, or more than one."""
        values = self.all(name)
        return values[0] if len(values) == 1 else None


class Connection:
    """A connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def reply(self, *, to_head: bool = False) -> Reply:
        """Read one answer; the body of an answer to HEAD never comes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
            status = int(first.split(" ")[1])
            fields = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
            length = int(dict(fields).get("content-length", 0))
            has_body = not to_head and status not in {100, 204, 304}
            body = await self._reader.readexactly(length) if has_body else b""
        return Reply(status, fields, body, head + body)

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read its answer."""
        self.send(request)
        return await self.reply(to_head=request.lstrip().startswith(b"HEAD "))

    async def is_at_its_end(self) -> bool:
        """Whether the server has closed it, and sent nothing more."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reader.read() == b""

    async def close(self) -> None:
        self._writer.close()
