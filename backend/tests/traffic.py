"""Callers who use everything that the dashboard shows, and count what they send."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2 as httpx

from tests.live import token

#: Method, route and class of the status, as in the labels of the metric.
Kind = tuple[str, str, str]


@dataclass
class Caller:
    """A signed-in user with connections of their own."""

    client: httpx.AsyncClient
    sent: Counter[Kind]
    user: str = field(default_factory=lambda: f"caller-{uuid.uuid4()}")

    async def call(self, method: str, route: str, *, key: str = "", **options: Any) -> httpx.Response:
        """Call a route by its template."""
        headers = {"Authorization": f"Bearer {token(self.user)}"} | options.pop("headers", {})
        path = route.replace("{task_id}", key)
        answer = await self.client.request(method, path, headers=headers, **options)
        self.sent[method, route, f"{answer.status_code // 100}xx"] += 1
        return answer

    async def work(self) -> None:
        """Do what a front end does: more reads than writes, and now and then a mistake."""
        made = await self.call("POST", "/tasks", json={"text": "Buy milk"})
        key = made.json()["id"]
        listed = await self.call("GET", "/tasks")
        await self.call("GET", "/tasks", headers={"If-None-Match": listed.headers["ETag"]})
        await self.call("GET", "/tasks/{task_id}", key=key)
        await self.call("PATCH", "/tasks/{task_id}", key=key, json={"completed": True})
        await self.call("GET", "/tasks", params={"completed": "true", "limit": 10})
        await self.call("PUT", "/tasks/{task_id}", key=key, json={"text": "Buy tea", "completed": False})
        await self.call("GET", "/tasks/changes", params={"since": 0})
        await self.call("POST", "/tasks", json={"text": ""})
        await self.call("DELETE", "/tasks/{task_id}", key=key)
        await self.call("GET", "/tasks/{task_id}", key=key)
        await self.call("GET", "/tasks", headers={"Authorization": "Bearer x"})
        await self.call("GET", "/health")


async def traffic(url: str, *, callers: int, rounds: int, pause: float = 0) -> Counter[Kind]:
    """Let so many callers work at once, each so many times; what they sent."""
    sent: Counter[Kind] = Counter()

    async def one() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            for _ in range(rounds):
                # Another user each time: a token that was never seen has to be verified.
                await Caller(client, sent).work()
                await asyncio.sleep(pause)

    await asyncio.gather(*(one() for _ in range(callers)))
    return sent


async def one_write_that_fails(url: str, database_url: str) -> Counter[Kind]:
    """Let a write wait for a lock for longer than the service lets it."""
    sent: Counter[Kind] = Counter()
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        caller = Caller(client, sent)
        await caller.call("POST", "/tasks", json={"text": "Buy milk"})
        async with _held(database_url, caller.user):
            await caller.call("POST", "/tasks", json={"text": "Buy tea"})
    return sent


@asynccontextmanager
async def _held(database_url: str, user: str) -> AsyncIterator[None]:
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            await holder.execute("UPDATE task_lists SET revision = revision WHERE user_id = $1", user)
            yield
    finally:
        await holder.close()
