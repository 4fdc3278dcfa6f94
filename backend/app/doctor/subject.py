"""What is examined: the app's own parts, and the answers that several checks look at, asked for once."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import httpx2

from app.auth import Jwks, Verifier
from app.auth.key_document import fetch_document
from app.auth.keys import Key, read_keys
from app.config import Settings
from app.database import Database
from app.limiting import RateLimits

#: With the closing of two pools (2 s each) everything ends within 15 s.
SECONDS = 10

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answer:
    """How the database answered: the seconds that one round trip took, and how far its clock is ahead."""

    seconds: float
    ahead: float


@dataclass(frozen=True, slots=True)
class Document:
    """The key set as it came, and when."""

    body: bytes
    headers: httpx2.Headers
    came_at: float  # seconds since 1970

    def usable(self) -> dict[str, Key]:
        """Return its keys by their `kid`; raises UnusableKeys."""
        return read_keys(self.body, {})


@dataclass(frozen=True, slots=True)
class Parts:
    """What `create_app` made of the settings."""

    settings: Settings
    database: Database
    jwks: Jwks | None
    session_database: Database | None
    verifier: Verifier
    rate_limits: RateLimits


class Subject:
    """The parts, and what they answer; made in an event loop, where the asking begins at once."""

    def __init__(self, parts: Parts, credential: str | None) -> None:
        self.parts = parts
        self.settings = parts.settings
        self.credential = credential
        self._answer = asyncio.create_task(_outcome(_ask(parts.database)))
        self._document = asyncio.create_task(_outcome(_fetch(parts.jwks.url))) if parts.jwks else None

    async def answer(self) -> Answer | Exception:
        """Return how the database answered, or why it did not."""
        return await asyncio.shield(self._answer)

    async def document(self) -> Document | Exception | None:
        """Return the key set, or why it can't be had; None where there is none to be had."""
        return None if self._document is None else await asyncio.shield(self._document)


async def _outcome(work: Awaitable[Result]) -> Result | Exception:
    """Wait for an answer, but not for ever; several checks look at it, so an error is one too."""
    try:
        async with asyncio.timeout(SECONDS):
            return await work
    except Exception as error:  # noqa: BLE001 - whatever it is, the checks are there to say it
        return error


async def _ask(database: Database) -> Answer:
    await database.clock()  # opens the connection, which is not what is measured
    started_at, started = time.time(), time.perf_counter()
    now = await database.clock()
    seconds = time.perf_counter() - started
    return Answer(seconds, now.timestamp() - (started_at + seconds / 2))


async def _fetch(url: str) -> Document:
    body, headers = await fetch_document(url)
    return Document(body, headers, time.time())
