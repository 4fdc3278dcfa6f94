"""/metrics: what is counted, for whom it is, and that nobody can put anything of theirs into it."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from app.config import Settings, load_settings
from app.errors import ConfigurationError
from app.exposition import CONTENT_TYPE
from app.main import close, create_app
from app.metrics import refusals
from tests.conftest import SECRET, ClientFor
from tests.live import token
from tests.test_tasks import make

TOKEN = "a-token-of-the-scraper"
SECONDS = "tasks_http_request_duration_seconds"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0)


async def scraped(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


@pytest.fixture
async def fresh(settings: Settings) -> AsyncIterator[FastAPI]:
    """An application that nobody has called yet."""
    app = create_app(settings)
    yield app
    await close(app)


@pytest.fixture
async def caller(fresh: FastAPI, client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(f"alice-{uuid.uuid4()}", fresh) as client:
        yield client


@asynccontextmanager
async def service(settings: Settings, client_for: ClientFor, **changes: object):
    app = create_app(settings.model_copy(update=changes))
    async with client_for(None, app) as client:
        yield client
    await close(app)


# What is counted


async def test_requests_are_counted_by_method_template_and_class_of_status(caller):
    task = await make(caller)
    await caller.get(f"/tasks/{task['id']}")
    await caller.get("/tasks/not-an-id")
    await caller.get("/nowhere")
    found = await scraped(caller)
    for method, route, status in [
        ("POST", "/tasks", "2xx"),
        ("GET", "/tasks/{task_id}", "2xx"),
        ("GET", "/tasks/{task_id}", "4xx"),
        ("GET", "-", "4xx"),
    ]:
        assert value(found, f"{SECONDS}_count", method=method, route=route, status=status) == 1
    assert value(found, "tasks_http_requests_refused_total", code="VALIDATION_ERROR") == 1
    assert value(found, "tasks_http_requests_refused_total", code="NOT_FOUND") == 1
    assert value(found, "tasks_http_requests_in_flight") == 1  # the scrape itself


async def test_a_request_is_in_the_buckets_that_it_fits_and_in_seconds(fresh, client_for):
    async def be_slow() -> None:
        await asyncio.sleep(0.06)

    fresh.add_api_route("/slow", be_slow)

    async with client_for(None, fresh) as client:
        await client.get("/slow")
        found = await scraped(client)
    slow = {"method": "GET", "route": "/slow", "status": "2xx"}
    assert value(found, f"{SECONDS}_bucket", le="0.05", **slow) == 0
    assert value(found, f"{SECONDS}_bucket", le="+Inf", **slow) == 1
    assert 0.06 <= value(found, f"{SECONDS}_sum", **slow) < 30
    bounds = {dict(labels)["le"] for name, labels in found if name == f"{SECONDS}_bucket"}
    assert {float(bound) for bound in bounds} >= {0.05, 0.1, 0.2, 0.5}  # the plan's


async def test_what_is_answered_is_in_flight_and_no_longer_than_that(fresh, client_for):
    release = asyncio.Event()

    async def hold() -> None:
        await release.wait()

    fresh.add_api_route("/held", hold)

    async with client_for(None, fresh) as client:
        held = asyncio.create_task(client.get("/held"))
        async with asyncio.timeout(20):
            while value(await scraped(client), "tasks_http_requests_in_flight") != 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        release.set()
        await held
        assert value(await scraped(client), "tasks_http_requests_in_flight") == 1


async def test_credentials_are_counted_by_what_came_of_them(caller):
    await caller.get("/tasks")
    await caller.get("/tasks")
    await caller.get("/tasks", headers={"Authorization": "Bearer nonsense"})
    found = await scraped(caller)
    results = ["verified", "cached", "refused", "unavailable"]
    counted = [value(found, "tasks_token_verifications_total", result=result) for result in results]
    assert counted == [1, 1, 1, 0]
    assert value(found, "tasks_token_verification_duration_seconds_count") == 2
    assert value(found, "tasks_http_requests_refused_total", code="UNAUTHORIZED") == 1


async def test_keys_that_can_not_be_had_are_no_fault_of_the_credential(settings, client_for):
    nowhere = {"better_auth_jwks_url": "http://127.0.0.1:9/jwks", "better_auth_url": "http://127.0.0.1:9"}
    head = "eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ"
    async with service(settings, client_for, **nowhere) as client:
        credential = {"Authorization": f"Bearer {head}.e30.AAAA"}
        assert (await client.get("/tasks", headers=credential)).status_code == 503
        found = await scraped(client)
    assert value(found, "tasks_token_verifications_total", result="unavailable") == 1


async def test_the_database_is_counted_without_the_wait_for_it(caller):
    before = await scraped(caller)
    await caller.get("/tasks")
    found = await scraped(caller)
    for name in ("tasks_database_duration_seconds_count", "tasks_database_pool_wait_seconds_count"):
        assert value(found, name) == value(before, name) + 1


@pytest.mark.parametrize(
    ("url", "kind"),
    [("postgresql://postgres@127.0.0.1:9/x", "connection"), ("{url}_no_such", "3D")],
)
async def test_errors_of_the_database_are_counted_by_their_class(settings, client_for, url, kind):
    base, _, rest = settings.database_url.partition("?")
    broken = f"{url.format(url=base)}?{rest}" if kind == "3D" else url
    async with service(settings, client_for, database_url=broken, health_timeout=10) as client:
        assert (await client.get("/health")).status_code == 503
        found = await scraped(client)
    assert value(found, "tasks_database_errors_total", **{"class": kind}) == 1
    assert value(found, "tasks_database_pool_wait_seconds_count") == 1
    assert value(found, "tasks_database_duration_seconds_count") == 0


async def test_a_pool_without_a_free_connection_is_a_timeout_and_a_wait(settings, client_for):
    """A database that never lets anybody in: a socket that listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://postgres@127.0.0.1:{server.getsockname()[1]}/x"
        silent = {"database_url": url, "database_timeout": 0.1, "health_timeout": 10}
        async with service(settings, client_for, **silent) as client:
            await client.get("/health")
            found = await scraped(client)
    assert value(found, "tasks_database_errors_total", **{"class": "timeout"}) == 1
    assert value(found, "tasks_database_pool_wait_seconds_sum") >= 0.1


async def test_answers_that_a_client_has_already_are_counted(caller):
    await caller.get("/tasks")
    etag = (await caller.get("/tasks")).headers["ETag"]
    await caller.get("/tasks", headers={"If-None-Match": etag})
    found = await scraped(caller)
    assert value(found, "tasks_not_modified_total") == 1
    assert value(found, f"{SECONDS}_count", method="GET", route="/tasks", status="3xx") == 1


async def test_open_streams_are_counted_while_they_are_open(fresh):
    listeners, observer = fresh.state.listeners, fresh.state.observer

    def streams() -> float | None:
        found: float | None = observer.registry.get_sample_value("tasks_event_streams")
        return found

    with listeners.listen("alice", object()), listeners.listen("bob", object()):
        assert streams() == 2
    assert streams() == 0


async def test_every_refusal_and_result_is_there_before_it_happens(fresh, client_for):
    """A rate over a series that only begins with its first event misses that event."""
    async with client_for(None, fresh) as client:
        found = await scraped(client)
    assert {
        dict(labels)["code"] for name, labels in found if name == "tasks_http_requests_refused_total"
    } == set(refusals())
    assert len(refusals()) >= 15


def test_each_status_of_the_error_family_has_one_code_but_503():
    """Where only the status of a refusal is known, its code is."""
    statuses = list(refusals().values())
    assert {status for status in statuses if statuses.count(status) > 1} == {503}


async def test_what_python_and_the_kernel_know_of_the_process_is_there_too(caller):
    found = await scraped(caller)
    assert value(found, "process_resident_memory_bytes") > 10_000_000


async def test_applications_count_for_themselves(settings, client_for):
    async with service(settings, client_for) as one, service(settings, client_for) as other:
        await one.get("/")
        root = {"method": "GET", "route": "/", "status": "2xx"}
        assert value(await scraped(one), f"{SECONDS}_count", **root) == 1
        assert value(await scraped(other), f"{SECONDS}_count", **root) == 0


# Whoever calls


async def test_no_caller_can_make_series_or_put_something_into_one(fresh, client_for):
    async def attack(number: int) -> None:
        canary = f"canary{number}"
        headers = {"X-Request-ID": canary, "User-Agent": canary, "Idempotency-Key": canary}
        async with client_for(f"{canary}-user", fresh, headers=headers) as client:
            await client.request(canary.upper(), "/tasks")
            await client.request("get", "/tasks")
            await client.get(f"/{canary}")
            await client.get(f"/tasks/{canary}?{canary}={canary}")
            await client.get("/tasks", params={"q": canary})
            await client.post("/tasks", json={"text": canary})
            await client.request("PROPFIND", f"/tasks/{canary}/restore")
            for credential in (canary, f"{canary}.{canary}", f"{canary}.{canary}.{canary}"):
                await client.get("/tasks", headers={"Authorization": f"Bearer {credential}"})

    async with client_for(None, fresh) as client:
        await attack(0)
        before = await scraped(client)
        for number in range(1, 6):
            await attack(number)
        answer = await client.get("/metrics")
    found = samples(answer.text)
    assert "canary" not in answer.text.lower()
    assert found.keys() == before.keys() | found.keys()
    scrape = frozenset({"method", "route", "status"})
    new = {labels for _, labels in found.keys() - before.keys()}
    assert all(dict(labels).get("route") == "/metrics" and scrape <= dict(labels).keys() for labels in new)
    methods = {dict(labels)["method"] for name, labels in found if name == f"{SECONDS}_count"}
    assert methods == {"GET", "POST", "OTHER"}
    assert len(fresh.state.observer._values.requests) < 20  # noqa: SLF001 - what is kept by a caller's word


# For whom it is


async def test_it_is_text_for_prometheus(stranger):
    answer = await stranger.get("/metrics")
    assert answer.headers["Content-Type"] == CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    assert "_created" not in answer.text


@pytest.mark.parametrize(
    ("settings_given", "on"),
    [
        ({}, True),
        ({"metrics": "off"}, False),
        ({"metrics": "OFF"}, False),
        ({"environment": "production"}, False),
        ({"environment": "production", "metrics_token": TOKEN}, True),
        ({"environment": "production", "metrics": "on"}, True),
        ({"environment": "production", "metrics_token": TOKEN, "metrics": "off"}, False),
    ],
)
async def test_it_is_there_when_the_settings_say_so(client_for, settings_given, on):
    settings = Settings(database_url="postgresql://h/d", better_auth_secret=SECRET, **settings_given)
    async with service(settings, client_for) as client:
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == (200 if on else 404)
    if not on:
        assert answer.json()["error"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer another-token"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {token('alice')}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
    ],
)
async def test_a_token_is_asked_for_where_one_is_set(settings, client_for, headers, status):
    async with service(settings, client_for, metrics_token=TOKEN) as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == "UNAUTHORIZED"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "tasks_http" not in answer.text


async def test_it_is_not_in_the_description_and_takes_nothing_but_get(stranger):
    assert "/metrics" not in (await stranger.get("/openapi.json")).json()["paths"]
    assert (await stranger.post("/metrics")).status_code == 405


@pytest.mark.parametrize("value", ["two words", "tökén", "a=b", '"quoted"'])
def test_a_token_that_no_header_can_carry_is_refused(monkeypatch, value):
    monkeypatch.setenv("METRICS_TOKEN", value)
    with pytest.raises(ConfigurationError, match=r"^METRICS_TOKEN: may have letters") as refused:
        load_settings()
    assert value not in str(refused.value)


def test_the_token_is_not_shown():
    assert TOKEN not in repr(Settings(metrics_token=TOKEN))
