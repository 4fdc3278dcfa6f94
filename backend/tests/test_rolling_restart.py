"""Two instances behind HAProxy, restarted in turn under load: no request is lost, nothing is done twice."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.balanced import NAMES, Balancer, Instance, Traffic, balancer, kill
from tests.conftest import SECRET, MakeDatabase, administer
from tests.servers import START_SECONDS, Commands, wait_for

pytestmark = pytest.mark.faults

#: HAProxy needs at most 1.5 s to learn of an end (deploy/haproxy.cfg).
PAUSE_SECONDS = 3
GRACE_SECONDS = 3

#: Refused credentials of an address, at each instance.
TRIES = 10


def end_in_order(service) -> None:
    assert service.process.poll() is None, service.output
    service.process.terminate()
    assert service.process.wait(PAUSE_SECONDS + GRACE_SECONDS + 1) == 0, service.output


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Balancer]:
    with balancer(tmp_path) as running:
        yield running


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return await make_database()


@pytest.fixture
def instances(front: Balancer, tmp_path: Path, database: str) -> Iterator[list[Instance]]:
    (tmp_path / "checkout").mkdir()
    commands = Commands(tmp_path / "checkout", covered=False)
    settings = {
        "database_url": database,
        "better_auth_secret": SECRET,
        "shutdown_delay": PAUSE_SECONDS,
        "shutdown_grace": GRACE_SECONDS,
        "database_pool_size": 5,
        "rate_limit": "off",
        "rate_limit_address": f"{TRIES}/minute",
        "rate_limit_burst": TRIES,
        "trusted_proxies": 1,
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(Instance(commands, name, front.ports[name], tmp_path, **settings))
            for name in NAMES
        ]


async def restarted_in_turn(front: Balancer, instances: list[Instance], traffic: Traffic, stop) -> None:
    """Restart one after the other under the traffic; the next only when the one before serves again."""

    def all_up() -> bool:
        return wait_for(lambda: all(front.is_up(name) for name in NAMES), START_SECONDS)

    assert await asyncio.to_thread(all_up)
    front.told("clear counters all")
    running = asyncio.create_task(traffic.run())
    await asyncio.sleep(1)
    for instance in instances:
        await asyncio.to_thread(instance.restart, stop)
        assert await asyncio.to_thread(all_up)
        await asyncio.sleep(0.5)
    traffic.stop()
    await running


async def test_a_restart_in_turn_loses_no_request_and_does_none_twice(front, instances, database):
    traffic = Traffic(front.url, [f"user-{number}" for number in range(8)])
    await restarted_in_turn(front, instances * 2, traffic, end_in_order)
    assert traffic.failed == {}
    assert sum(traffic.statuses.values()) > 2000
    assert front.count("wretr") + front.count("wredis") == 0  # nor was one saved by being tried again
    assert front.count("chkdown") == len(instances) * 2
    await assert_each_once(database, traffic)


async def test_instances_that_die_in_turn_lose_only_what_may_not_be_repeated(front, instances, database):
    traffic = Traffic(front.url, [f"user-{number}" for number in range(16)])
    await restarted_in_turn(front, instances, traffic, kill)
    assert {method for method, _ in traffic.failed} <= {"PATCH"}
    assert sum(traffic.failed.values()) <= len(traffic.users) * len(instances)  # those in flight
    assert front.count("wretr") + front.count("wredis") > 0
    await assert_each_once(database, traffic)


async def test_who_writes_forwarding_headers_gets_no_new_tries(front, instances):
    assert await asyncio.to_thread(wait_for, lambda: all(map(front.is_up, NAMES)), START_SECONDS)
    statuses = Counter[int]()
    async with httpx.AsyncClient(base_url=front.url) as client:
        for number in range(TRIES * 4):
            answer = await client.get("/tasks", headers={"X-Forwarded-For": f"203.0.113.{number}"})
            statuses[answer.status_code] += 1
    assert set(statuses) == {401, 429}
    assert statuses[401] <= TRIES * len(instances)


async def assert_each_once(database: str, traffic: Traffic) -> None:
    rows = await administer(database, "SELECT user_id, text FROM tasks")
    found = sorted((row["user_id"], row["text"]) for row in rows)
    assert found == sorted((user, text) for user, texts in traffic.created.items() for text in texts)
