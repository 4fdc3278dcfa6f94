"""Server-Timing: where the time of an answer went, said only where a setting asks for it."""

import asyncio
import re
import uuid
from contextlib import asynccontextmanager

import pytest

from app.main import close, create_app
from tests.conftest import held_up

ORIGIN = "http://localhost:3000"
PARTS = re.compile(r"auth;dur=(\d+\.\d\d), db;dur=(\d+\.\d\d), total;dur=(\d+\.\d\d)")


@asynccontextmanager
async def timed(settings, client_for, user_id, **changes):
    app = create_app(settings.model_copy(update={"server_timing": True} | changes))
    async with client_for(user_id, app) as client:
        yield client
    await close(app)


def parts(answer) -> tuple[float, float, float]:
    """Milliseconds of auth, db and total."""
    found = PARTS.fullmatch(answer.headers["Server-Timing"])
    assert found, answer.headers["Server-Timing"]
    auth, db, total = map(float, found.groups())
    return auth, db, total


@pytest.mark.parametrize("metrics", ["on", "off"])
async def test_an_answer_says_what_it_spent_on_what(settings, client_for, metrics):
    async with timed(settings, client_for, f"alice-{uuid.uuid4()}", metrics=metrics) as client:
        auth, db, total = parts(await client.get("/tasks"))
        assert 0 < auth < total
        assert 0 < db < total
        assert auth + db <= total + 0.01
        assert parts(await client.get("/health/live"))[:2] == (0, 0)


async def test_each_request_has_its_own_time_and_it_is_in_milliseconds(
    settings, client_for, database_url, monkeypatch
):
    """A create that another writer holds up waits in the database; a list beside it does not."""
    user_id = f"alice-{uuid.uuid4()}"
    async with timed(settings, client_for, user_id) as client:
        await client.post("/tasks", json={"text": "first"})
        async with held_up(database_url, user_id, 1):
            waiting = asyncio.create_task(client.post("/tasks", json={"text": "second"}))
            beside = await client.get("/health/live")
            await asyncio.sleep(0.1)
        _, db, total = parts(await waiting)
        assert 100 <= db <= total < 60_000
        assert parts(beside)[1] == 0


async def test_refusals_have_it_too(settings, client_for):
    async with timed(settings, client_for, None) as client:
        for answer in (await client.get("/nowhere"), await client.get("/tasks")):
            assert answer.status_code in {401, 404}
            parts(answer)
        auth, db, _ = parts(await client.get("/tasks", headers={"Authorization": "Bearer a.b.c"}))
        assert auth > 0
        assert db == 0


async def test_pages_of_allowed_origins_may_read_it_and_no_others(settings, client_for):
    async with timed(settings, client_for, None) as client:
        allowed = await client.get("/", headers={"Origin": ORIGIN})
        foreign = await client.get("/", headers={"Origin": "http://evil.test"})
    assert "Server-Timing" in allowed.headers["Access-Control-Expose-Headers"]
    assert allowed.headers["Timing-Allow-Origin"] == ORIGIN
    assert "Timing-Allow-Origin" not in foreign.headers


async def test_nobody_is_told_unless_a_setting_asks_for_it(alice):
    answer = await alice.get("/tasks", headers={"Origin": ORIGIN})
    assert "Server-Timing" not in answer.headers
    assert "Timing-Allow-Origin" not in answer.headers
    assert "Server-Timing" not in answer.headers["Access-Control-Expose-Headers"]
