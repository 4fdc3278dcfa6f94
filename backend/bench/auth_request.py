"""What checking the credential adds to a request that the real application answers over HTTP."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from app.auth import User
from app.config import Settings
from app.embedded import embedded_postgres
from app.main import close, create_app
from app.migrations import migrate
from app.queries.tasks import UserTasks
from bench.credentials import SECRET, published
from bench.figures import Cost, Figure, timed
from tests.key_server import answering, key_server
from tests.signing import ISSUER, KeyPair, key_set

ROUNDS, REQUESTS = 60, 50
_CACHED_MICROSECONDS, _COLD_MICROSECONDS = 50, 1000
_USER = User("alice")


@dataclass(frozen=True)
class _Kind:
    """A way to be checked: by whom, and with which token."""

    verifier: Any
    token: Callable[[], str]


class _Believing:
    """The floor: whoever comes is the same user."""

    async def user(self, _credential: str) -> User:
        return _USER


class _Connection:
    """One kept connection; a whole HTTP client would cost more than what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def get(self, path: str, token: str) -> None:
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise RuntimeError(f"the request failed: {head.decode()}")
        await self._reader.readexactly(int(length[1]))

    def close(self) -> None:
        self._writer.close()


def added_to_a_request() -> list[Figure]:
    """Measure on an embedded PostgreSQL that is gone afterwards, in the event loop that production uses."""
    with TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as url:
        migrate(url)
        return _figures(uvloop.run(_rounds(url)))


async def _rounds(database_url: str) -> list[dict[str, Cost]]:
    pair = KeyPair()
    async with key_server() as keys:
        keys.behave = answering(key_set(pair.jwk()))
        app = create_app(_settings(database_url, keys.url))
        made = await UserTasks(app.state.database, _USER.id).add(text="Buy milk")
        kinds = _kinds(app, pair)
        async with _connected(app) as connection:
            path = f"/tasks/{made.task[1]}"
            await _round(app, connection, path, kinds)  # keys, pool, statement: what is done only once
            return [await _round(app, connection, path, _rotated(kinds, n)) for n in range(ROUNDS)]


def _settings(database_url: str, jwks_url: str) -> Settings:
    """Name all that decides about a credential: whoever runs this may have settings of their own."""
    return Settings(
        _env_file=None,
        environment="test",
        database_url=database_url,
        better_auth_url=ISSUER,
        better_auth_jwks_url=jwks_url,
        better_auth_issuer=ISSUER,
        better_auth_audience=ISSUER,
        better_auth_secret=SECRET,
        better_auth_database_url="",
        rate_limit="off",
    )


def _kinds(app: FastAPI, pair: KeyPair) -> dict[str, _Kind]:
    real, cached = app.state.verifier, published(pair, _USER.id)
    return {
        "floor": _Kind(_Believing(), lambda: cached),
        "cached": _Kind(real, lambda: cached),
        "cold": _Kind(real, lambda: published(pair, _USER.id)),
    }


def _rotated(kinds: dict[str, _Kind], number: int) -> dict[str, _Kind]:
    """Let each kind come first as often as the others."""
    names = [*kinds]
    first = number % len(names)
    return {name: kinds[name] for name in names[first:] + names[:first]}


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[_Connection]:
    """Serve the app on a free port in this event loop, so that one CPU time holds all of it."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))  # listens already: who connects now waits for it
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    connection = _Connection(*await asyncio.open_connection(*listener.getsockname()))
    try:
        yield connection
    finally:
        connection.close()
        server.should_exit = True
        await serving
        await close(app)


async def _round(
    app: FastAPI, connection: _Connection, path: str, kinds: dict[str, _Kind]
) -> dict[str, Cost]:
    """Send the requests kind by kind: mixed, each would find the processor's caches as another left them."""
    costs = {name: Cost() for name in kinds}
    for name, kind in kinds.items():
        app.state.verifier = kind.verifier
        tokens = [kind.token() for _ in range(REQUESTS)]
        with timed(costs[name]):
            for token in tokens:
                await connection.get(path, token)
    return costs


def _figures(rounds: list[dict[str, Cost]]) -> list[Figure]:
    goals = {"cached": _CACHED_MICROSECONDS, "cold": _COLD_MICROSECONDS}
    figures = []
    for clock in ("cpu", "wall"):
        spent = {name: [getattr(costs[name], clock) / REQUESTS for costs in rounds] for name in rounds[0]}
        floor, unit = spent.pop("floor"), f"µs {clock}"
        figures.append(Figure("GET /tasks/{id} without the check", unit, floor))
        for name, whole in spent.items():
            added = [one - other for one, other in zip(whole, floor, strict=True)]
            figures.append(Figure(f"added to it by a {name} token", unit, added, goals[name]))
    return figures
