"""A client of the event stream, as a front end that reads it with fetch."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from app.auth.tokens import sign
from tests.conftest import SECRET

#: Longer than anything takes, and shorter than the leeway of a token.
PATIENCE_SECONDS = 15


@dataclass(frozen=True)
class Event:
    """One event: its id, name and data."""

    id: str | None
    event: str
    data: Any


class Stream:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def line(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await anext(self._lines)

    async def next(self) -> Event:
        """Wait for an event; keep-alive comments are passed over."""
        fields: dict[str, str] = {}
        while True:
            name, _, value = (await self.line()).partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                data = json.loads(fields["data"])
                return Event(fields.get("id"), fields.get("event", "message"), data)

    async def revision(self) -> int:
        """Wait for the next event, which must tell a revision."""
        event = await self.next()
        assert (event.event, event.id) == ("message", str(event.data["revision"])), event
        revision: int = event.data["revision"]
        return revision

    async def end(self) -> str:
        """Wait for the next event, which must be the last."""
        event = await self.next()
        assert (event.event, event.id) == ("end", None), event
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert [line async for line in self._lines if line] == []
        reason: str = event.data["reason"]
        return reason


def token(user_id: str, seconds: float = 3600) -> str:
    return sign(user_id, SECRET, seconds=seconds)


@asynccontextmanager
async def listening(url: str, credential: str, **headers: str | bytes) -> AsyncIterator[Stream]:
    """Open a stream, by a connection of its own, and leave it."""
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    sent = [(b"Authorization", f"Bearer {credential}".encode())]
    sent += [(name, value if isinstance(value, bytes) else value.encode()) for name, value in named.items()]
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client,
        client.stream("GET", "/tasks/events", headers=sent) as response,
    ):
        yield Stream(response)
