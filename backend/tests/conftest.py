"""What the tests stand on: a real PostgreSQL, the app, and users who have never been seen before."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import httpx2 as httpx
import pytest
from fastapi import FastAPI

from app.auth.tokens import sign
from app.config import Settings
from app.embedded import embedded_postgres
from app.main import close, create_app
from app.migrations import migrate
from tests.servers import UNLIMITED

#: A test database has to survive nothing.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
SECRET = "the-secret-that-front-end-and-api-share"

MakeDatabase = Callable[..., Awaitable[str]]
ClientFor = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine() -> Iterator[None]:
    """No variable and no .env of whoever runs the tests changes what they see."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        patch.setitem(Settings.model_config, "env_file", None)
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL for this test process."""
    with embedded_postgres(tmp_path_factory.mktemp("embedded"), FAST) as url:
        yield url


@pytest.fixture(scope="session")
async def make_database(server: str) -> MakeDatabase:
    """Make a database for a test that wants one of its own (30 ms): with the schema, or `empty`."""
    numbers = itertools.count()

    async def make(*, empty: bool = False) -> str:
        name = f"test_{next(numbers)}"
        await administer(server, f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else 'migrated'}")
        return named(server, name)

    await administer(server, "CREATE DATABASE migrated")
    await asyncio.to_thread(migrate, named(server, "migrated"))
    return make


def named(server: str, database: str) -> str:
    """The URL of another database of the same server."""
    return server.replace("/postgres?", f"/{database}?")


async def administer(url: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    """Run SQL beside the service."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def database_url(make_database: MakeDatabase) -> str:
    """The database that most tests share; each brings users of its own."""
    return await make_database()


@pytest.fixture(scope="session")
async def settings(database_url: str) -> Settings:
    """Patient with the database, and with whoever asks a lot: that is not what these tests are about."""
    return Settings(database_url=database_url, better_auth_secret=SECRET, database_timeout=30, **UNLIMITED)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    yield app
    await app.state.database.close()


@pytest.fixture(scope="session")
def client_for(app: FastAPI) -> ClientFor:
    """Open a client of the app: for a user by id, or for a stranger."""

    @asynccontextmanager
    async def open_client(
        user_id: str | None = None, other_app: FastAPI | None = None, **options: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=other_app or app, raise_app_exceptions=True)
        headers = dict(options.pop("headers", {}))
        if user_id is not None:
            headers["Authorization"] = f"Bearer {sign(user_id, SECRET, seconds=3600)}"
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api.test", headers=headers, **options
        ) as client:
            yield client

    return open_client


_WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@asynccontextmanager
async def held_up(database_url: str, user_id: str, writers: int) -> AsyncIterator[asyncpg.Connection]:
    """Hold a user's counter until so many writers, started inside, wait for it with their snapshots taken.

    What is done on the connection is committed then: they wake up to it.
    """
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            await holder.execute("UPDATE task_lists SET revision = revision WHERE user_id = $1", user_id)
            yield holder
            await until_waiting(database_url, writers)
    finally:
        await holder.close()


async def until_waiting(database_url: str, writers: int = 1) -> None:
    """Return when so many wait for a lock."""
    async with asyncio.timeout(20):
        while len(await administer(database_url, _WAITING)) < writers:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.02)


@pytest.fixture
async def alice(client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in user with an empty list."""
    async with client_for(f"alice-{uuid.uuid4()}") as client:
        yield client


@pytest.fixture
async def bob(client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    """Another one."""
    async with client_for(f"bob-{uuid.uuid4()}") as client:
        yield client


@pytest.fixture
async def strict(settings: Settings, client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in user of a service that wants If-Match."""
    app = create_app(settings.model_copy(update={"require_if_match": True}))
    async with client_for(f"alice-{uuid.uuid4()}", app) as client:
        yield client
    await close(app)


@pytest.fixture
async def stranger(client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    async with client_for() as client:
        yield client


@pytest.fixture
def rows_of(database_url: str) -> Callable[[str], Awaitable[list[asyncpg.Record]]]:
    """What the database really holds of a user, tombstones included."""

    async def rows(user_id: str) -> list[asyncpg.Record]:
        return await administer(database_url, "SELECT * FROM tasks WHERE user_id = $1 ORDER BY id", user_id)

    return rows


@pytest.fixture
def revision_of(database_url: str) -> Callable[[str], Awaitable[int]]:
    """A user's counter."""

    async def revision(user_id: str) -> int:
        rows = await administer(database_url, "SELECT revision FROM task_lists WHERE user_id = $1", user_id)
        return rows[0]["revision"] if rows else 0

    return revision
