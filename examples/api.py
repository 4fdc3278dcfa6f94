"""How the API is asked: one request, and a stream that lasts. api.ts is the same in TypeScript."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2

PATIENCE = 30  # seconds for a request
SILENCE = 60  # seconds without a sign of life on a stream, which has one every 15


class ApiError(Exception):
    """A refusal; or no answer of the API at all, which is status 0."""

    def __init__(self, status: int = 0, body: Any = None, retry_after: str = "0") -> None:
        body = body or {"message": "The API does not answer"}
        super().__init__(body.get("message"))
        self.status, self.retry_after, self.details = status, float(retry_after), body.get("details", [])

    @property
    def passes(self) -> bool:
        """Whether it passes by itself: then the same request can be sent again, later."""
        return self.status in {0, 408, 429} or self.status >= 500

    @property
    def place(self) -> int | None:
        """Which operation of a batch was refused."""
        found = None if self.passes else re.match(r"operations\[(\d+)\]", "".join(self.details[:1]))
        return found and int(found[1])


class Api:
    """The API at a URL. `token` gives the token for each request; a new one if that before is over."""

    def __init__(self, url: str, token: Callable[[bool], Awaitable[str]]) -> None:
        self._http, self._token = httpx2.AsyncClient(base_url=url, timeout=PATIENCE), token

    async def ask(self, path: str, body: Any = None, key: str = "") -> Any:
        """Send a request, with a body and its key or without; raises ApiError."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key} if body else {}
        content = (
            json.dumps(body, ensure_ascii=False).encode(errors="replace") if body else None
        )  # no half emoji
        method = "POST" if body else "GET"
        async with self._send(method, path, content=content, headers=headers) as response:
            return json.loads(await response.aread())

    async def events(self, revision: int | None) -> AsyncIterator[Any]:
        """Follow the events after a revision; raises ApiError."""
        headers = {"Last-Event-ID": str(revision)}
        async with self._send("GET", "/tasks/events", headers=headers, timeout=SILENCE) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    @asynccontextmanager
    async def _send(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx2.Response]:
        given = options.pop("headers")
        try:
            for anew in (False, True):
                headers = given | {"Authorization": f"Bearer {await self._token(anew)}"}
                async with self._http.stream(method, path, headers=headers, **options) as response:
                    if response.is_success:
                        yield response
                        return
                    if response.status_code != 401 or anew:
                        body = json.loads(await response.aread())
                        raise ApiError(response.status_code, body, response.headers.get("Retry-After", "0"))
        except (httpx2.HTTPError, ValueError) as cause:
            raise ApiError from cause
