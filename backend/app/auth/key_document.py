"""The document with the public keys, as it comes over HTTP: bounded in time and size."""

import asyncio
from functools import cache
from ssl import SSLContext

import httpx2

from app.auth.keys import UnusableKeys

_SECONDS = 10  # a front end in development compiles the route when it is first asked
_CONNECT_SECONDS = 3
_MAX_BYTES = 512 * 1024
_MAX_RETRY_AFTER_SECONDS = 120


class _Refused(UnusableKeys):
    """The server answered with another status than 200, and may have said when to come again."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(f"HTTP {answer.status_code}")
        # Better Auth's rate limit says it in a header of its own.
        asked = answer.headers.get("retry-after") or answer.headers.get("x-retry-after") or ""
        self.retry_after = min(int(asked[:6]), _MAX_RETRY_AFTER_SECONDS) if asked.isdecimal() else 0


async def fetch_document(url: str) -> tuple[bytes, httpx2.Headers]:
    """Fetch a key set and its headers, following no redirect: only this URL is trusted.

    Raises UnusableKeys, OSError (TimeoutError is one) and what httpx2 raises.
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tasks-api"}
    body = bytearray()
    plain = httpx2.URL(url).scheme == "http"  # an address in one's own network: no TLS, and no proxy
    async with (
        asyncio.timeout(_SECONDS),
        httpx2.AsyncClient(
            verify=False if plain else _trust(),
            trust_env=not plain,
            timeout=httpx2.Timeout(_SECONDS, connect=_CONNECT_SECONDS),
        ) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code != httpx2.codes.OK:
            raise _Refused(answer)
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > _MAX_BYTES:
                raise UnusableKeys(f"the answer has more than {_MAX_BYTES} bytes")
    return bytes(body), answer.headers


def describe(error: Exception) -> str:
    """Say in a few words why the keys can't be had."""
    return str(error) if isinstance(error, UnusableKeys) else type(error).__name__


def retry_after(error: Exception) -> int:
    """Return how many seconds the server asked to be left alone."""
    return error.retry_after if isinstance(error, _Refused) else 0


@cache
def _trust() -> SSLContext:
    """Return the system's authorities; reading them takes 15 ms, so once."""
    return httpx2.create_ssl_context()
