"""Rate limits that several processes share, in a real Redis: together, alone while it is away, and again."""

import asyncio
import logging
import signal
import ssl
import statistics
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from app.auth.tokens import sign
from app.config import Settings
from app.limiting.policy import Policy
from app.limiting.store import Store
from app.main import close, create_app
from app.observer import NOBODY
from tests.conftest import SECRET
from tests.redis_server import RedisServer, redis_server
from tests.servers import Commands, Service, wait_for
from tests.test_metrics import samples, value
from tests.test_rate_limits import fields

pytestmark = pytest.mark.faults

#: Making one takes longer than a request does.
TLS = ssl.create_default_context()

#: A bucket of 20 requests; one flows back each minute, so none while a test runs.
SLOW = {"rate_limit": "60/hour", "rate_limit_address": "60/hour", "rate_limit_burst": 20}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"), covered=False)


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {sign(f'someone-{uuid.uuid4()}', SECRET, seconds=3600)}"}


@asynccontextmanager
async def served(settings: Settings, **changes: Any) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """One process, without a server around it."""
    app = create_app(settings.model_copy(update=SLOW | {"metrics": "on"} | changes))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        await app.state.rate_limits.open()
        yield app, client
    await close(app)


async def failures(client: httpx.AsyncClient) -> float:
    return value(samples((await client.get("/metrics")).text), "tasks_rate_limit_store_failures_total")


# Asked by the doctor


#: As the doctor and SECURITY.md have it.
_NEEDED = ["+eval", "+evalsha", "+script|load", "+time", "+get", "+set"]


def doctor_on(commands: Commands, url: str, database_url: str) -> str:
    """What it says of the limits."""
    settings = {"database_url": database_url, "better_auth_secret": SECRET} | SLOW
    said = commands.run("tasks-api", "doctor", rate_limit_redis_url=url, **settings).stdout
    (line,) = [line for line in said.splitlines() if " limits " in line]
    return line


def test_the_doctor_asks_as_a_request_does(redis: RedisServer, commands: Commands, database_url: str):
    assert "ok   limits    all processes count together" in doctor_on(commands, redis.url, database_url)
    redis.ask("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get")
    at = redis.url.removeprefix("redis://")
    said = doctor_on(commands, f"redis://reader:secret@{at}", database_url)
    assert "the user may not run the script, or not on its keys. Let the user" in said
    redis.ask("ACL", "SETUSER", "service", "on", ">secret", "~tasks-api:limit:*", *_NEEDED)
    said = doctor_on(commands, f"redis://service:secret@{at}", database_url)
    assert "ok   limits    all processes count together" in said
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    assert "it takes no writes. Name the primary" in doctor_on(commands, redis.url, database_url)
    redis.ask("REPLICAOF", "NO", "ONE")
    said = doctor_on(commands, f"redis://reader:wrong@{at}", database_url)
    assert "it refuses the user or the password. Correct" in said
    said = doctor_on(commands, f"rediss://{at}", database_url)
    assert "no answer in time. Is it frozen, or behind a firewall? To rediss:// one without TLS" in said


# Together


async def test_a_unix_socket_is_an_address_too(redis: RedisServer, settings: Settings):
    async with served(settings, rate_limit_redis_url=redis.socket_url) as (_, client):
        assert (await client.get("/tasks", headers=bearer())).status_code == 200
        assert await failures(client) == 0
    assert redis.charges() > 1


def on_connections_of_their_own(service: Service, number: int, headers: dict[str, str]) -> Counter[int]:
    """Ask over so many connections, all of them open at once, so that each worker has some."""
    clients = [httpx.Client(base_url=service.url, timeout=30, verify=TLS) for _ in range(number)]
    try:
        for client in clients:
            assert client.get("/health/live").status_code == 200
        return Counter(client.get("/tasks", headers=headers).status_code for client in clients)
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("together", ["with Redis", "each for itself"])
def test_two_workers_admit_together_what_one_may(
    together: str, redis: RedisServer, commands: Commands, database_url: str, tmp_path: Path
):
    own = {"rate_limit_redis_url": redis.url} if together == "with Redis" else {}
    own |= {"rate_limit_burst": "10"}
    settings = {"database_url": database_url, "better_auth_secret": SECRET, "workers": 2} | SLOW | own
    with commands.start("tasks-api", "serve", data_dir=tmp_path / "data", **settings) as service:
        service.started(workers=2)
        admitted = on_connections_of_their_own(service, 30, bearer())
        refused = on_connections_of_their_own(service, 30, {})
    if together == "with Redis":
        assert admitted == {200: 10, 429: 20}
        assert refused == {401: 10, 429: 20}
    else:
        assert admitted[200] > 10, "both workers were asked"
        assert refused[401] > 10


def test_nobody_forges_an_address_and_who_waits_as_told_is_admitted(
    commands: Commands, database_url: str, tmp_path: Path
):
    """Over loopback, which uvicorn by itself would believe every forwarding header from."""
    quick = {"rate_limit": "2/second", "rate_limit_address": "60/hour", "rate_limit_burst": 10}
    settings = {"database_url": database_url, "better_auth_secret": SECRET} | quick
    with commands.start("tasks-api", "serve", data_dir=tmp_path / "data", **settings) as service:
        service.started()
        with httpx.Client(base_url=service.url, timeout=30) as client:
            headers = bearer()
            answers = [client.get("/tasks", headers=headers) for _ in range(200)]
            last = next(answer for answer in reversed(answers) if answer.status_code == 429)
            assert last.headers["Retry-After"] == "1"
            time.sleep(1)
            assert client.get("/tasks", headers=headers).status_code == 200
            guesses = [
                client.get("/tasks", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
                for number in range(20)
            ]
    assert guesses == [401] * 10 + [429] * 10


async def test_a_request_asks_redis_once_and_what_is_given_back_arrives(settings: Settings, redis):
    async with served(settings, rate_limit_redis_url=redis.url) as (_, client):
        headers = bearer()
        listed = await client.get("/tasks", headers=headers)
        before = redis.charges()
        have = headers | {"If-None-Match": listed.headers["ETag"]}
        answers = [await client.get("/tasks", headers=have) for _ in range(100)]
        assert {answer.status_code for answer in answers} == {304}
        assert redis.charges() - before == 100
        assert [fields(answer.headers["RateLimit"])["r"] for answer in answers[9::10]] == [*range(18, 8, -1)]
        assert [(await client.get("/tasks")).status_code for _ in range(3)] == [401] * 3
        assert redis.charges() - before == 103


async def test_buckets_vanish_from_redis_when_they_are_full(redis: RedisServer):
    store, policy = Store(redis.url, NOBODY), Policy("address", 10, 1000)  # full after a tenth of a second
    await store.open()
    for number in range(500):
        assert await store.charge(f"address:192.0.2.{number}", 10 * policy.tenth, policy.depth, 0)
    await asyncio.sleep(2 * policy.depth / 1e6)
    assert redis.ask("KEYS", "*") == b"*0\r\n"
    await store.close()


async def test_redis_counts_as_this_process_does(redis: RedisServer):
    store, policy = Store(redis.url, NOBODY), Policy("user", 10, 6_000_000)
    await store.open()
    missing = 0
    for price, credit in [(10, 0), (50, 0), (10, 9), (10, 9), (50, 0), (10, 0), (10, 0), (1, 0), (10, 0)]:
        expected = policy.charge(max(missing - credit * policy.tenth, 0), price)
        found = await store.charge("user:a", price * policy.tenth, policy.depth, credit * policy.tenth)
        assert found is not None
        missing = expected.missing
        for ours, theirs in ((expected.missing, found[0]), (expected.wait, found[1])):
            assert ours == pytest.approx(theirs, abs=3_000_000), "but for the time that passed"
    await store.close()


async def test_a_clock_that_was_set_back_closes_nobody_out(redis: RedisServer):
    store, policy = Store(redis.url, NOBODY), Policy("user", 10, 20_000)
    await store.open()
    an_hour_ahead = (int(time.time()) + 3600) * 1_000_000
    redis.ask("SET", "tasks-api:limit:user:a", str(an_hour_ahead))
    refused = await store.charge("user:a", 10 * policy.tenth, policy.depth, 0)
    assert refused is not None
    assert 0 < refused[1] <= 10 * policy.tenth
    await store.close()


# Alone


async def asked_every(seconds: float, client: httpx.AsyncClient, headers: dict[str, str]) -> list[float]:
    """Ask for so long, and return how long each answer took."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert (await client.get("/tasks", headers=headers)).status_code == 200
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    return took


@pytest.mark.parametrize("way", ["killed", "frozen"])
async def test_without_redis_everybody_is_served_and_limited_and_then_as_before(
    way: str, settings: Settings, redis: RedisServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "app")
    wide = {"rate_limit": "60/hour", "rate_limit_burst": 1000}
    async with served(settings, rate_limit_redis_url=redis.url, **wide) as (_, client):
        headers = bearer()
        usual = statistics.median(await asked_every(0.5, client, headers))
        assert await failures(client) == 0
        if way == "killed":
            redis.kill()
        else:
            redis.signal(signal.SIGSTOP)
        took = await asked_every(3, client, headers)
        assert statistics.median(took) < usual + 0.02, "nearly all go by"
        assert sorted(took)[-5] < usual + 0.1, "and those that try wait no longer than that"
        assert await failures(client) >= len(took) - 5, "all but those that had their answer"
        poor = bearer()
        many = [(await client.get("/tasks", headers=poor)) for _ in range(3)]
        assert [fields(answer.headers["RateLimit"])["r"] for answer in many] == [999, 998, 997]
        if way == "killed":
            redis.start()
        else:
            redis.signal(signal.SIGCONT)
        began = time.monotonic()
        while "answers again" not in caplog.text and time.monotonic() - began < 5:
            await client.get("/tasks", headers=headers)
            await asyncio.sleep(0.05)
        before = redis.charges()
        assert (await client.get("/tasks", headers=headers)).status_code == 200
        assert redis.charges() == before + 1
    said = [record.getMessage() for record in caplog.records if "rate limits" in record.getMessage()]
    assert [line.split(";")[1].strip() for line in said] == [
        "each process counts for itself meanwhile",
        "all processes count together",
    ]


async def test_a_crowd_that_meets_a_frozen_redis_waits_no_longer_than_one(settings: Settings, redis):
    wide = {"rate_limit": "60/hour", "rate_limit_burst": 1000}
    async with served(settings, rate_limit_redis_url=redis.url, **wide) as (_, client):
        headers = bearer()
        assert (await client.get("/tasks", headers=headers)).status_code == 200
        redis.signal(signal.SIGSTOP)
        began = time.monotonic()
        answers = await asyncio.gather(*(client.get("/tasks", headers=headers) for _ in range(100)))
        assert {answer.status_code for answer in answers} == {200}
        assert time.monotonic() - began < 2
        redis.signal(signal.SIGCONT)


async def test_a_service_starts_without_redis_and_limits(settings: Settings, redis: RedisServer):
    redis.kill()
    async with served(settings, rate_limit_redis_url=redis.url) as (_, client):
        headers = bearer()
        statuses = [(await client.get("/tasks", headers=headers)).status_code for _ in range(21)]
        assert statuses == [200] * 20 + [429]
        assert [(await client.get("/tasks")).status_code for _ in range(21)] == [401] * 20 + [429]
        assert await failures(client) == 42
        redis.start()

    def together() -> bool:
        return redis.charges() > 0

    async with served(settings, rate_limit_redis_url=redis.url) as (_, client):
        assert (await client.get("/tasks", headers=headers)).status_code == 200
        assert wait_for(together, 5)
