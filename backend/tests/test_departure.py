"""A caller who leaves before the answer: what runs for him is given up, and what is done is done."""

import asyncio
import json
import logging
import socket
import uuid
from collections.abc import Iterator

import httpx2 as httpx
import pytest
from starlette.types import Message

from app.api.departure import Departure
from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app
from tests.conftest import SECRET, administer
from tests.servers import UNLIMITED, wait_for
from tests.test_database import locked
from tests.test_openapi import served

WAITING = """
    SELECT 1 FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND application_name = 'departures' AND datname = current_database()
"""


@pytest.fixture(scope="module")
def url(database_url: str) -> Iterator[str]:
    settings = Settings(
        database_url=f"{database_url}&application_name=departures",
        better_auth_secret=SECRET,
        database_timeout=30,
        database_pool_size=6,  # one user has half of it, at most
        **UNLIMITED,
    )
    with served(create_app(settings)) as url:
        yield url


class Caller:
    """Who speaks HTTP by hand, so that he can leave."""

    def __init__(self, url: str) -> None:
        self.user = f"leaver-{uuid.uuid4()}"
        self.headers = {"Authorization": f"Bearer {sign(self.user, SECRET, seconds=600)}"}
        self.url = url

    def task(self) -> str:
        made = httpx.post(f"{self.url}/tasks", json={"text": "x"}, headers=self.headers)
        task_id: str = made.json()["id"]
        return task_id

    def ask(self, method: str, path: str, **body: object) -> socket.socket:
        content = json.dumps(body).encode()
        connection = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=10)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {self.headers['Authorization']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        return connection


@pytest.fixture
def caller(url: str) -> Caller:
    return Caller(url)


def waiting(database_url: str) -> int:
    return len(asyncio.run(administer(database_url, WAITING)))


async def test_the_statement_of_a_caller_who_leaves_is_cancelled(caller, database_url, caplog):
    task = await asyncio.to_thread(caller.task)
    with caplog.at_level(logging.INFO, "app"):
        async with locked(database_url, caller.user):
            for leaves in (True, False):
                connection = caller.ask("PATCH", f"/tasks/{task}", order=1)
                assert await asyncio.to_thread(wait_for, lambda: waiting(database_url) == 1, 10)
                if leaves:
                    connection.close()
                    assert await asyncio.to_thread(wait_for, lambda: waiting(database_url) == 0, 10)
        answer = await asyncio.to_thread(connection.recv, 4096)
        connection.close()
    assert answer.startswith(b"HTTP/1.1 200")
    rows = await administer(database_url, "SELECT revision FROM task_lists WHERE user_id = $1", caller.user)
    assert rows[0]["revision"] == 2  # the first was not done
    changes = [record for record in caplog.records if getattr(record, "method", None) == "PATCH"]
    statuses = [record.status for record in changes]
    assert statuses == [499, 200]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_places_in_the_pool_come_back_at_once(caller, database_url):
    task = await asyncio.to_thread(caller.task)
    async with locked(database_url, caller.user):
        for _ in range(5):
            asked = [caller.ask("PATCH", f"/tasks/{task}", order=1) for _ in range(6)]
            assert await asyncio.to_thread(wait_for, lambda: waiting(database_url) == 3, 10)
            for connection in asked:
                connection.close()
            answer = await asyncio.to_thread(httpx.get, f"{caller.url}/tasks", headers=caller.headers)
            assert answer.status_code == 200


async def test_who_sends_a_body_that_nobody_wants_is_answered(caller, database_url):
    """What comes of it is read while it is watched whether the caller leaves."""
    async with locked(database_url, caller.user):
        connection = caller.ask("GET", "/tasks", some="body")
        assert (await asyncio.to_thread(connection.recv, 4096)).startswith(b"HTTP/1.1 200")
        connection.close()


async def test_nobody_is_watched_once_the_answer_is_there():
    async def stay() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    before = asyncio.all_tasks()
    departure = Departure(stay)
    await asyncio.sleep(0.1)
    (watching,) = asyncio.all_tasks() - before
    departure.end()
    await asyncio.wait([watching], timeout=5)
    assert watching.cancelled()
