"""Rate limits: the bucket to the microsecond, who pays what, and what callers are told."""

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.tokens import sign
from app.config import Settings
from app.errors import ConfigurationError
from app.limiting import RateLimits
from app.limiting.addresses import Addresses
from app.limiting.buckets import MemoryBuckets
from app.limiting.policy import Policy, Standing
from app.limiting.proxies import address_of
from app.limiting.recent import Recent
from app.main import close, create_app
from tests.conftest import SECRET
from tests.test_errors import assert_error

SECOND = 1_000_000
POLICIES = st.builds(
    lambda rate, period, burst: Policy.of("user", f"{rate}/{period}", burst),
    st.integers(1, 10_000),
    st.sampled_from(["second", "minute", "hour"]),
    st.integers(10, 200),
)
PRICES = st.sampled_from([1, 10, 50])
CALLS = st.lists(
    st.tuples(st.sampled_from("abc"), PRICES, st.integers(0, 100), st.integers(0, 20)),
    min_size=1,
    max_size=150,
)


class Clock:
    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now


@given(POLICIES, CALLS)
def test_a_bucket_is_the_textbooks_and_to_forget_it_changes_nothing(policy: Policy, calls):
    """Against tokens that are counted, in fractions, and never forgotten."""
    clock = Clock()
    buckets = MemoryBuckets(policy, clock)
    tokens: dict[str, tuple[Fraction, int]] = {}
    for key, price, part, times in calls:
        clock.now += policy.depth * part * times // 500
        before, then = tokens.get(key, (Fraction(policy.burst), clock.now))
        held = min(Fraction(policy.burst), before + Fraction(clock.now - then, policy.tenth * 10))
        standing = buckets.take_now(key, price)
        cost = Fraction(price, 10)
        assert (standing.wait == 0) is (held >= cost)
        held -= cost if held >= cost else 0
        tokens[key] = (held, clock.now)
        assert left(standing) == math.floor(held)


@given(POLICIES, st.lists(st.tuples(PRICES, st.integers(0, 300)), min_size=1, max_size=200))
def test_never_more_than_the_burst_and_the_rate_is_admitted(policy: Policy, calls):
    clock = Clock()
    buckets, began, admitted = MemoryBuckets(policy, clock), clock.now, 0
    for price, steps in calls:
        clock.now += steps * policy.tenth
        if not buckets.take_now("a", price).wait:
            admitted += price
        assert admitted <= policy.burst * 10 + (clock.now - began) // policy.tenth


@given(POLICIES, PRICES, st.integers(0, 10**6))
def test_who_waits_as_told_is_admitted_and_who_comes_earlier_is_not(policy: Policy, price: int, late: int):
    clock = Clock()
    buckets = MemoryBuckets(policy, clock)
    while not (refused := buckets.take_now("a", price)).wait:
        pass
    clock.now += min(late, refused.wait - 1)
    refused = buckets.take_now("a", price)
    came = clock.now
    assert (refused.retry_after - 1) * SECOND < refused.wait <= refused.retry_after * SECOND
    clock.now = came + refused.wait - 1
    assert buckets.take_now("a", price).wait == 1
    clock.now = came + refused.retry_after * SECOND
    assert buckets.take_now("a", price).wait == 0


@given(POLICIES, st.integers(0, 10**9))
def test_what_is_told_of_the_next_request_comes_true(policy: Policy, missing: int):
    standing = Standing(policy, missing % policy.depth, 0)
    told = fields(dict(standing.headers())[b"ratelimit"].decode())
    for seconds, more in ((told["t"] - 1, 0), (told["t"], 1)):
        later = Standing(policy, max(standing.missing - seconds * SECOND, 0), 0)
        if told["r"] < policy.burst - 1:
            assert (left(later) > told["r"]) is bool(more)


def test_a_rate_that_does_not_divide_is_never_exceeded():
    policy = Policy.of("user", "7/minute", 10)
    assert policy is not None
    assert 7 * 10 * policy.tenth >= 60 * SECOND
    assert Policy.of("user", "off", 10) is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=300))
def test_what_was_written_of_late_is_there_and_the_rest_has_an_end(writes):
    recent, now, written = Recent[int](keep=10, most=8), 100, {}
    for number, (key, later) in enumerate(writes):
        now += later
        recent.put(str(key), number, now)
        written[str(key)] = (number, now)
        assert len(recent) <= 16
        since = {key for key, (_, then) in written.items() if now - then < 10}
        if len(since) <= 8:
            assert all(recent.get(key, -1) == written[key][0] for key in since)


def test_thousands_of_addresses_take_the_memory_of_a_few():
    clock = Clock()
    buckets = MemoryBuckets(Policy("address", 100, 20_000), clock, most=50)
    for number in range(5000):
        buckets.take_now(f"192.0.2.{number}", 10)
        assert len(buckets) <= 100
    clock.now += 2 * buckets.policy.depth
    for _ in range(2):
        buckets.take_now("192.0.2.1", 10)
        clock.now += buckets.policy.depth
    assert len(buckets) <= 2


@pytest.mark.faults
def test_a_million_addresses_take_no_more_than_a_hundred_thousand():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    clock, policy = Clock(), Policy("address", 100, 20_000)
    buckets = MemoryBuckets(policy, clock)
    addresses = Addresses(buckets, clock)
    before = resident()

    async def guess() -> None:
        for number in range(1_000_000):
            await addresses.refused(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    asyncio.run(guess())
    assert len(buckets) == 100_000
    grown = (resident() - before) / 2**20
    print(f"{grown:.0f} MB")  # noqa: T201 - for pytest -rP
    assert grown < 40


async def test_an_address_stays_closed_when_another_is_closed_for_a_shorter_time():
    """Of two tries one comes back a minute: who used the last up when one was nearly back waits a second."""
    clock = Clock()
    policy = Policy.of("address", "60/hour", 2)
    assert policy
    addresses = Addresses(MemoryBuckets(policy, clock), clock)
    for _ in range(2):
        await addresses.refused("short")
    clock.now += 59 * 10**6
    for address in ("long", "long", "long", "short"):
        standing = await addresses.refused(address)
    assert standing.retry_after == 1
    clock.now += 2 * 10**6
    assert addresses.any_closed
    assert addresses.closed("long")
    assert not addresses.closed("short")


# Addresses

PEER = "203.0.113.9"
ADDRESSES = [
    (PEER, [], 0, PEER),
    (PEER, ["198.51.100.1"], 0, PEER),
    (PEER, ["198.51.100.1"], 1, "198.51.100.1"),
    (PEER, ["spoofed, 198.51.100.1"], 1, "198.51.100.1"),
    (PEER, ["192.0.2.1", "198.51.100.1"], 1, "198.51.100.1"),
    (PEER, ["192.0.2.1,198.51.100.1 , 198.51.100.2"], 2, "198.51.100.1"),
    (PEER, ["198.51.100.1"], 2, PEER),
    (PEER, [], 1, PEER),
    (PEER, ["not an address"], 1, PEER),
    (PEER, [""], 1, PEER),
    (PEER, ["198.51.100.1:4711"], 1, "198.51.100.1"),
    (PEER, ["[2001:db8::1]:4711"], 1, "2001:db8::/64"),
    (PEER, ["2001:db8::1"], 1, "2001:db8::/64"),
    (PEER, ["2001:DB8:0:0:ffff::2"], 1, "2001:db8::/64"),
    (PEER, ["2001:db8:0:1::1"], 1, "2001:db8:0:1::/64"),
    ("::ffff:203.0.113.9", [], 0, PEER),
    ("64:ff9b::203.0.113.9", [], 0, PEER),
    ("fe80::1%eth0", [], 0, "fe80::/64"),
    (None, [], 0, "-"),
    ("testclient", [], 0, "testclient"),
]


@pytest.mark.parametrize(("peer", "forwarded", "trusted", "address"), ADDRESSES)
def test_an_address_is_what_a_trusted_proxy_saw(peer, forwarded, trusted, address):
    assert address_of(peer, forwarded, trusted) == address


@given(st.lists(st.text(max_size=40), max_size=4), st.integers(0, 3))
def test_no_text_breaks_the_address(forwarded, trusted):
    assert address_of(PEER, forwarded, trusted)


@given(st.lists(st.text(alphabet="0123456789abcdef:., []", max_size=40), max_size=4))
def test_nothing_that_a_caller_adds_changes_it(forged):
    seen = "198.51.100.1"
    assert address_of(PEER, forged, 0) == PEER
    assert address_of(PEER, [*forged, seen], 1) == seen
    assert address_of(PEER, [", ".join([*forged, seen])], 1) == seen


# The service

Serve = Callable[..., Awaitable[Callable[..., httpx.AsyncClient]]]


def left(standing: Standing) -> int:
    return fields(dict(standing.headers())[b"ratelimit"].decode())["r"]


def fields(header: str) -> dict[str, int]:
    """The parameters of the one item of a list (RFC 9651)."""
    name, *parameters = header.split(";")
    assert name in {'"user"', '"address"'}
    return {key: int(value) for key, value in (parameter.split("=") for parameter in parameters)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def serve(settings: Settings, clock: Clock) -> AsyncIterator[Serve]:
    """Make a service with small buckets, whose clock stands still: of ten requests, one back a minute."""
    apps, clients = [], []

    async def make(**changes: Any) -> Callable[..., httpx.AsyncClient]:
        slow = {"rate_limit": "60/hour", "rate_limit_address": "60/hour", "rate_limit_burst": 10}
        limited = settings.model_copy(update=slow | changes)
        app = create_app(limited)
        app.state.rate_limits = RateLimits.of(limited, app.state.observer, clock)
        apps.append(app)

        def client(user: str | None = None, address: str = "192.0.2.1", **headers: str) -> httpx.AsyncClient:
            if user is not None:
                headers["Authorization"] = f"Bearer {sign(user, SECRET, seconds=3600)}"
            transport = httpx.ASGITransport(app=app, client=(address, 4711))
            made = httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers)
            clients.append(made)
            return made

        return client

    yield make
    for client in clients:
        await client.aclose()
    for app in apps:
        await close(app)


def someone() -> str:
    return f"someone-{uuid.uuid4()}"


async def test_who_works_behind_a_closed_address_goes_on_when_his_token_is_verified_anew(serve):
    client = await serve()
    alice, guesser = client(someone()), client()
    assert (await alice.get("/tasks")).status_code == 200
    assert [(await guesser.get("/tasks")).status_code for _ in range(11)][-1] == 429
    verifier: Any = alice._transport.app.state.verifier  # noqa: SLF001
    verifier._remembered = {seen: (known, 0) for seen, (known, _) in verifier._remembered.items()}  # noqa: SLF001
    assert (await alice.get("/tasks")).status_code == 200
    assert (await client(someone()).get("/tasks")).status_code == 429


async def test_a_user_is_told_at_each_answer_and_refused_to_the_second(serve):
    client = await serve()
    user = someone()
    alice = client(user)
    for number in range(10):
        answer = await alice.get("/tasks")
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"user";q=10;w=600'
        assert answer.headers["RateLimit"] == f'"user";r={9 - number};t=60'
        assert "Retry-After" not in answer.headers
    refused = await alice.get("/tasks")
    assert_error(refused, 429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["RateLimit"] == '"user";r=0;t=60'
    assert refused.headers["RateLimit-Policy"] == '"user";q=10;w=600'
    assert (await client(user, "192.0.2.99").get("/tasks")).status_code == 429
    assert (await client(someone()).get("/tasks")).status_code == 200


async def test_refusals_and_failures_are_told_too(serve):
    client = await serve()
    alice = client(someone())
    made = await alice.post("/tasks", json={"text": "x"})
    listed = await alice.get("/tasks")
    unchanged = await alice.get("/tasks", headers={"If-None-Match": listed.headers["ETag"]})
    missing = await alice.get(f"/tasks/{uuid.uuid4()}")
    invalid = await alice.post("/tasks", json={"text": ""})
    other = await alice.post("/tasks", content=b"x", headers={"Content-Type": "text/plain"})
    answers = [made, listed, unchanged, missing, invalid, other]
    assert [answer.status_code for answer in answers] == [201, 200, 304, 404, 422, 415]
    assert [fields(answer.headers["RateLimit"])["r"] for answer in answers] == [9, 8, 7, 6, 5, 4]


async def test_who_is_refused_leaves_body_and_database_alone(serve):
    client = await serve(database_url="postgresql://nobody@127.0.0.1:1/nothing")
    alice = client(someone())
    assert [(await alice.get("/tasks")).status_code for _ in range(11)] == [503] * 10 + [429]

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await alice.post("/tasks", content=never(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 429


async def test_what_has_not_changed_costs_a_tenth(serve):
    client = await serve()
    alice = client(someone())
    etag = (await alice.get("/tasks")).headers["ETag"]
    answers = [await alice.get("/tasks", headers={"If-None-Match": etag}) for _ in range(80)]
    assert {answer.status_code for answer in answers} == {304}
    assert fields(answers[9].headers["RateLimit"])["r"] == 8
    assert fields(answers[79].headers["RateLimit"])["r"] == 1
    assert (await alice.get("/tasks")).headers["RateLimit"].startswith('"user";r=0;')


async def test_a_batch_costs_five_whatever_is_in_it(serve):
    client = await serve()
    alice = client(someone())
    batch = {"operations": [{"op": "create", "text": "x"}] * 100}
    assert fields((await alice.post("/tasks/batch", json=batch)).headers["RateLimit"])["r"] == 5
    for _ in range(3):
        await alice.get("/tasks")
    refused = await alice.post("/tasks/batch", json={"operations": [{"op": "create", "text": "x"}]})
    assert_error(refused, 429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "180"
    assert refused.headers["RateLimit"] == '"user";r=2;t=180'
    assert (await alice.get("/tasks")).status_code == 200


async def test_what_is_open_to_everybody_is_not_limited(serve):
    client = await serve(metrics="on")
    stranger = client()
    for path in ("/health/live", "/docs", "/openapi.json", "/metrics", "/", "/nowhere"):
        for _ in range(12):
            answer = await stranger.get(path)
            assert answer.status_code == (404 if path == "/nowhere" else 200)
            assert "RateLimit" not in answer.headers


@pytest.mark.parametrize(
    ("header", "status"),
    [({}, 401), ({"Authorization": "Bearer a.b.c"}, 401), ({"Authorization": "Bearer ä"}, 400)],
)
async def test_refused_credentials_are_counted_by_address(serve, header, status):
    client = await serve()
    guesser = client()
    headers = [(name, value.encode()) for name, value in header.items()]
    for _ in range(10):
        answer = await guesser.get("/tasks", headers=headers)
        assert answer.status_code == status
        assert "RateLimit" not in answer.headers
    refused = await guesser.get("/tasks", headers=headers)
    assert_error(refused, 429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["RateLimit"] == '"address";r=0;t=60'
    assert refused.headers["RateLimit-Policy"] == '"address";q=10;w=600'
    assert (await client(address="192.0.2.2").get("/tasks", headers=headers)).status_code == status


async def test_neighbours_of_a_guesser_go_on_if_they_were_there_before(serve):
    client = await serve()
    known, new = client(someone()), client(someone())
    assert (await known.get("/tasks")).status_code == 200
    assert [(await client().get("/tasks")).status_code for _ in range(11)][-2:] == [401, 429]
    assert (await known.get("/tasks")).status_code == 200
    assert (await new.get("/tasks")).status_code == 429
    assert (await client(someone(), address="192.0.2.2").get("/tasks")).status_code == 200


async def test_good_credentials_cost_their_address_nothing(serve):
    client = await serve()
    for _ in range(30):
        assert (await client(someone()).get("/tasks")).status_code == 200
    assert (await client().get("/tasks")).status_code == 401


async def test_an_address_opens_again_when_it_was_told(serve, clock):
    client = await serve()
    guesser = client()
    answers = [await guesser.get("/tasks") for _ in range(12)]
    clock.now += int(answers[-1].headers["Retry-After"]) * SECOND - 1
    answers.append(await guesser.get("/tasks"))
    clock.now += 1
    answers += [await guesser.get("/tasks") for _ in range(2)]
    assert [answer.status_code for answer in answers[9:]] == [401, 429, 429, 429, 401, 429]


async def test_a_forwarding_header_that_nobody_vouches_for_opens_no_new_bucket(serve):
    client = await serve()
    statuses = [
        (await client(**{"X-Forwarded-For": f"198.51.100.{number}"}).get("/tasks")).status_code
        for number in range(11)
    ]
    assert statuses == [401] * 10 + [429]


async def test_behind_a_trusted_proxy_each_caller_has_a_bucket_and_forges_none(serve):
    client = await serve(trusted_proxies=1)
    statuses = [
        (await client(**{"X-Forwarded-For": f"10.0.0.{number}, 198.51.100.1"}).get("/tasks")).status_code
        for number in range(11)
    ]
    assert statuses == [401] * 10 + [429]
    assert (await client(**{"X-Forwarded-For": "198.51.100.2"}).get("/tasks")).status_code == 401


async def test_who_guesses_the_metrics_token_has_the_tries_of_an_address(serve):
    client = await serve(metrics_token="the-token-of-the-metrics")
    guesser = client(Authorization="Bearer guess")
    statuses = [(await guesser.get("/metrics")).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert (await client().get("/tasks")).status_code == 429
    right = client(Authorization="Bearer the-token-of-the-metrics")
    assert (await right.get("/metrics")).status_code == 429, "or who guesses on would see which is right"
    prometheus = client(address="192.0.2.2", Authorization="Bearer the-token-of-the-metrics")
    shown = (await prometheus.get("/metrics")).text
    assert 'tasks_rate_limited_total{policy="address"} 3.0' in shown
    assert 'tasks_rate_limited_total{policy="user"} 0.0' in shown
    assert "tasks_rate_limit_store_failures_total 0.0" in shown


async def test_refusals_are_counted_by_policy(serve):
    client = await serve(metrics="on")
    alice = client(someone())
    statuses = [(await alice.get("/tasks")).status_code for _ in range(13)]
    assert statuses.count(429) == 3
    assert 'tasks_rate_limited_total{policy="user"} 3.0' in (await alice.get("/metrics")).text


async def test_a_page_of_another_origin_may_read_how_it_stands(serve):
    client = await serve(cors_origins="https://app.example.com")
    alice = client(someone(), Origin="https://app.example.com")
    answers = [await alice.get("/tasks") for _ in range(11)]
    for answer in (answers[0], answers[-1]):
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))
        assert answer.headers["RateLimit"]
    assert answers[-1].status_code == 429


@pytest.mark.parametrize(
    "url", ["redis://:canary@host:99999", "redis://:canary/and@host", "redis://:canary@host?canary=1"]
)
def test_an_address_that_the_client_of_redis_cannot_use_is_refused_at_the_start(settings: Settings, url):
    with pytest.raises(ConfigurationError) as refusal:
        create_app(settings.model_copy(update={"rate_limit": "60/hour", "rate_limit_redis_url": url}))
    assert str(refusal.value).startswith("RATE_LIMIT_REDIS_URL: ")
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["redis://127.255.255.254", "unix:///nowhere/redis.sock", "rediss://u:p@127.0.0.1:1/0"]
)
async def test_who_has_a_redis_that_is_not_there_is_served(serve, url):
    client = await serve(rate_limit_redis_url=url)
    alice = client(someone())
    assert {(await alice.get("/tasks")).status_code for _ in range(3)} == {200}


async def test_off_is_off(serve):
    client = await serve(rate_limit="off", rate_limit_address="off")
    alice = client(someone())
    for _ in range(20):
        answer = await alice.get("/tasks")
        assert (answer.status_code, answer.headers.get("RateLimit")) == (200, None)
        assert (await client().get("/tasks")).status_code == 401
