"""Health: what each of its endpoints says, and when."""

import asyncio
import logging

import pytest
from sqlalchemy import func, select

from app import __version__
from app.config import Settings
from app.main import create_app
from app.statement import Statement
from tests.conftest import SECRET, ClientFor

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nothing"


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the lines of requests give as a reason."""
    return [record.reason for record in caplog.records if record.name == "app.requests"]  # type: ignore[attr-defined]


async def test_a_healthy_service_says_so(stranger):
    answer = await stranger.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "database": "connected", "version": __version__}


async def test_without_its_database_the_service_is_unhealthy(client_for: ClientFor, caplog):
    app = create_app(Settings(database_url=UNREACHABLE, better_auth_secret=SECRET))
    async with client_for(None, app) as client:
        with caplog.at_level(logging.INFO, "app.requests"):
            answer = await client.get("/health")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert reasons(caplog) == ["ConnectionRefusedError"]
        assert answer.json() == {"status": "unhealthy", "database": "disconnected", "version": __version__}
        live = await client.get("/health/live")
        assert (live.status_code, live.json()) == (200, {"status": "alive"})


async def test_a_database_that_is_too_slow_is_why_the_service_is_unhealthy(
    database_url: str, client_for: ClientFor, caplog
):
    app = create_app(
        Settings(
            database_url=database_url, better_auth_secret=SECRET, database_pool_size=1, health_timeout=0.1
        )
    )
    nap = Statement(select(func.pg_sleep(1)))
    async with client_for(None, app) as client:
        await app.state.database.fetch(Statement(select(func.pg_sleep(0))))
        asleep = asyncio.create_task(app.state.database.fetch(nap))
        await asyncio.sleep(0)
        with caplog.at_level(logging.INFO, "app.requests"):
            answer = await client.get("/health")
        await asleep
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert reasons(caplog) == ["no answer within 0.1 s"]


async def test_the_root_tells_what_is_served_here(stranger):
    answer = await stranger.get("/")
    assert answer.json() == {"name": "Tasks API", "version": __version__, "docs": "/docs"}
