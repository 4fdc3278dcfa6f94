"""What HAProxy answers itself, with deploy/haproxy.cfg: what is more than it lets through, and failures."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx2 as httpx
import pytest

from app.errors import Overloaded
from tests.balanced import NAMES, Balancer, Instance, balancer, kill
from tests.conftest import PATIENT, SECRET, MakeDatabase
from tests.live import token
from tests.servers import START_SECONDS, UNLIMITED, Commands, wait_for

pytestmark = pytest.mark.faults

#: What one instance is given at once (`maxconn` in deploy/haproxy.cfg).
MOST = 20
PATHS = ("/tasks", "/tasks/trash", "/tasks/01a22b7d-68f1-7184-a224-ea9cb78caccb")
#: Time in which all that is let through has got there.
SETTLE_SECONDS = 0.5


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return await make_database()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Balancer]:
    with balancer(tmp_path) as running:
        yield running


@pytest.fixture
def instance(front: Balancer, tmp_path: Path, database: str) -> Iterator[Instance]:
    """The only one of two that is there, with room for everything in itself."""
    (tmp_path / "checkout").mkdir()
    settings = {**PATIENT, **UNLIMITED, "database_url": database, "better_auth_secret": SECRET}
    commands = Commands(tmp_path / "checkout", covered=False)
    up, down = NAMES
    with Instance(commands, up, front.ports[up], tmp_path, **settings) as running:
        assert wait_for(lambda: front.is_up(up) and front.is_down(down), START_SECONDS)
        yield running


@asynccontextmanager
async def held_up(database: str) -> AsyncIterator[None]:
    """Let no request for tasks be answered meanwhile."""
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tasks, task_lists IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@pytest.fixture
async def client(front: Balancer, instance: Instance) -> AsyncIterator[httpx.AsyncClient]:
    unbounded = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=front.url, timeout=30, limits=unbounded) as asking:
        yield asking


def read(
    client: httpx.AsyncClient, user: str, path: str = "/tasks", **headers: str
) -> asyncio.Task[httpx.Response]:
    return asyncio.ensure_future(
        client.get(path, headers={"Authorization": f"Bearer {token(user)}"} | headers)
    )


def spelled(credential: str) -> list[str]:
    """Write a credential in ways that are all the same to the service."""
    ways = [f"{scheme}{' ' * spaces}" for scheme in ("Bearer", "bearer", "BEARER") for spaces in range(1, 21)]
    return [way + credential for way in ways]


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def test_an_instance_is_given_no_more_than_it_can_do_and_the_rest_is_refused(front, client, database):
    async with held_up(database):
        taken_on = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        late = [(f"late-{number}", path) for number in range(MOST) for path in PATHS]
        refused = await asyncio.gather(*(read(client, user, path) for user, path in late))
        assert not any(task.done() for task in taken_on)
        assert int(front.statistics()["tasks1"]["scur"]) == MOST
    assert statuses(refused) == {503: len(late)}
    assert front.refused() == len(late)
    assert front.most_queued() == 0
    assert statuses(await asyncio.gather(*taken_on)) == {200: MOST}
    assert (await read(client, "late-0")).status_code == 200


async def test_the_refusal_is_the_one_of_the_service(client, database):
    async with held_up(database):
        waiting = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        answers = await asyncio.gather(
            *(read(client, "late", Origin="https://app.example") for _ in range(30))
        )
        nothing = await client.head("/tasks", headers={"Authorization": f"Bearer {token('late')}"})
    await asyncio.gather(*waiting)
    own = Overloaded()
    for answer in answers:
        assert answer.status_code == own.status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        assert answer.json() == {"error": own.code, "message": own.message, "details": own.details}
    assert {answer.headers["retry-after"] for answer in answers} == {"1", "2", "3"}
    assert (nothing.status_code, nothing.content) == (own.status, b"")


async def test_nobody_takes_more_than_he_leaves(front, client, database):
    async with held_up(database):
        greedy = [read(client, "greedy", Authorization=one) for one in spelled(token("greedy"))]
        await asyncio.sleep(SETTLE_SECONDS)
        assert int(front.statistics()["tasks1"]["scur"]) == MOST // 2
        others = [read(client, f"user-{number}") for number in range(MOST // 2)]
        await asyncio.sleep(SETTLE_SECONDS)
        assert not any(task.done() for task in others)
    assert statuses(await asyncio.gather(*greedy)) == {200: MOST // 2, 503: len(greedy) - MOST // 2}
    assert statuses(await asyncio.gather(*others)) == {200: MOST // 2}


async def test_who_has_no_token_takes_no_more_than_he_leaves_either(front, client, database):
    async with held_up(database):
        waiting = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        assert (await client.get("/tasks")).status_code == 503
        assert front.most_queued() == 0
    await asyncio.gather(*waiting)
    assert (await client.get("/tasks")).status_code == 401


async def test_what_takes_no_time_is_let_through(front, client, database):
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
    listener = {"Authorization": f"Bearer {token('listener')}"}
    async with held_up(database):
        waiting = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.options("/tasks", headers=preflight)).status_code == 200
        assert (await client.get("/docs")).status_code == 200
    await asyncio.gather(*waiting)
    async with client.stream("GET", "/tasks/events", headers=listener) as stream:
        assert stream.status_code == 200
        assert int(front.statistics()["tasks1"]["scur"]) == 0


async def test_what_no_instance_answers_is_told_like_any_error(front, instance, client, database):
    own = {"Authorization": f"Bearer {token('alice')}"}
    task = (await client.post("/tasks", json={"text": "x"}, headers=own)).json()
    async with held_up(database), httpx.AsyncClient(base_url=front.url, timeout=30) as new:
        change = asyncio.ensure_future(new.patch(f"/tasks/{task['id']}", json={"order": 1}, headers=own))
        await asyncio.sleep(SETTLE_SECONDS)
        kill(instance.service)
        lost = await change
    assert await asyncio.to_thread(wait_for, lambda: front.is_down("tasks1"), START_SECONDS)
    refused = [await client.get(path, headers=own) for path in ("/tasks", "/health")]
    assert [answer.status_code for answer in (lost, *refused)] == [502, 503, 503]
    for answer in (lost, *refused):
        assert answer.json() == {
            "error": "SERVICE_UNAVAILABLE",
            "message": answer.json()["message"],
            "details": [],
        }
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"
    assert "may have been made" in lost.json()["message"]
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
