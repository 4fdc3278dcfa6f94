"""Each endpoint costs one round trip to PostgreSQL, counted on the wire."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.config import Settings
from app.main import create_app
from bench.wire import Wire
from tests.conftest import SECRET, ClientFor, administer
from tests.test_tasks import make


@pytest.fixture
def wire(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[tuple[Wire, str]]:
    address, upstream = database_url.split("?host=")
    folder = tmp_path_factory.mktemp("w")
    with Wire(folder, Path(upstream)) as wire:
        yield wire, f"{address}?host={folder}"


@pytest.fixture
async def alice(wire: tuple[Wire, str], client_for: ClientFor) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(database_url=wire[1], better_auth_secret=SECRET, database_pool_size=1))
    async with client_for(f"alice-{uuid.uuid4()}", app) as client:
        yield client
    await app.state.database.close()


async def cost(
    wire: Wire, client: httpx.AsyncClient, method: str, path: str, **options: Any
) -> tuple[int, int]:
    """The status, and the round trips of a request when its statement is known to the connection."""
    before = wire.round_trips
    answer = await client.request(method, path, **options)
    return answer.status_code, wire.round_trips - before


async def test_each_endpoint_is_one_round_trip(wire, alice):
    change = {"text": "x", "completed": True}
    requests = [
        ("POST", "/tasks", {"text": "x"}, 201),
        ("GET", "/tasks", None, 200),
        ("GET", "/tasks/{id}", None, 200),
        ("PUT", "/tasks/{id}", change, 200),
        ("PATCH", "/tasks/{id}", {"order": 1}, 200),
        ("PATCH", "/tasks/{id}", {}, 200),
        ("DELETE", "/tasks/{id}", None, 204),
        ("GET", "/tasks/{id}", None, 404),
        ("PUT", "/tasks/{id}", change, 404),
        ("PATCH", "/tasks/{id}", {"order": 1}, 404),
        ("DELETE", "/tasks/{id}", None, 404),
        ("GET", "/health", None, 200),
    ]
    for warm in (False, True):
        task = await make(alice)
        for method, path, body, status in requests:
            found = await cost(wire[0], alice, method, path.format(**task), json=body)
            if warm:
                assert (method, path, *found) == (method, path, status, 1)


async def test_a_condition_costs_nothing_unless_it_fails(wire, alice):
    for warm in (False, True):
        path = f"/tasks/{(await make(alice))['id']}"
        etag = (await alice.get(path)).headers["ETag"]
        known = (await alice.get("/tasks")).headers["ETag"]
        requests: list[tuple[str, str, dict[str, str], int, int]] = [
            ("GET", "/tasks", {"If-None-Match": known}, 304, 1),
            ("GET", path, {"If-None-Match": etag}, 304, 1),
            ("PATCH", path, {"If-Match": '"0"'}, 412, 2),
            ("PATCH", path, {"If-Match": etag}, 200, 1),
            ("DELETE", path, {"If-Match": etag}, 412, 2),
            ("DELETE", path, {"If-Match": "*"}, 204, 1),
            ("DELETE", path, {"If-Match": "1"}, 400, 0),
        ]
        for method, target, headers, status, trips in requests:
            body = {"order": 1} if method == "PATCH" else None
            found = await cost(wire[0], alice, method, target, json=body, headers=headers)
            if warm:
                assert (method, headers, *found) == (method, headers, status, trips)


async def test_a_create_with_an_id_costs_one_round_trip_and_its_repetition_two(wire, alice):
    for warm in (False, True):
        body = {"text": "x", "id": str(uuid.uuid4())}
        for change, status, trips in [({}, 201, 1), ({}, 200, 2), ({"text": "y"}, 409, 2)]:
            found = await cost(wire[0], alice, "POST", "/tasks", json=body | change)
            if warm:
                assert found == (status, trips)


async def test_a_create_with_a_key_costs_one_round_trip_and_its_repetition_two(wire, alice):
    for warm in (False, True):
        once = {"Idempotency-Key": str(uuid.uuid4())}
        there = {"text": "x", "id": (await make(alice, "x"))["id"]}
        requests = [({"text": "x"}, 201, 1), ({"text": "x"}, 201, 2), ({"text": "y"}, 422, 2)]
        for body, status, trips in requests:
            found = await cost(wire[0], alice, "POST", "/tasks", json=body, headers=once)
            if warm:
                assert found == (status, trips)
        other = {"Idempotency-Key": str(uuid.uuid4())}
        assert await cost(wire[0], alice, "POST", "/tasks", json=there, headers=other) == (200, 2) or not warm


async def test_changes_cost_one_round_trip_also_when_they_cannot_be_told(wire, alice, database_url):
    user_id = (await make(alice))["user_id"]
    purged = "UPDATE task_lists SET purged_revision = 1 WHERE user_id = $1"
    await administer(database_url, purged, user_id)
    for warm in (False, True):
        for query, status in [("", 200), ("?since=1", 200), ("?since=0", 410), ("?since=9", 400)]:
            found = await cost(wire[0], alice, "GET", f"/tasks/changes{query}")
            assert found == (status, 1) or not warm


async def test_a_batch_costs_one_round_trip_and_two_when_it_fails_or_is_repeated(wire, alice):
    for warm in (False, True):
        task_id = (await make(alice))["id"]
        once = {"Idempotency-Key": str(uuid.uuid4())}
        good = [{"op": "create", "text": "x"}, {"op": "patch", "id": task_id, "order": 1}]
        gone = [*good, {"op": "delete", "id": str(uuid.uuid4())}]
        requests: list[tuple[list[dict[str, Any]], dict[str, str], int, int]] = [
            *((good, {}, 200, 1), (gone, {}, 404, 2), (gone, once, 404, 2)),
            *((good, once, 200, 1), (good, once, 200, 2), (gone, once, 422, 2)),
        ]
        for operations, headers, status, trips in requests:
            body = {"operations": operations}
            found = await cost(wire[0], alice, "POST", "/tasks/batch", json=body, headers=headers)
            assert found == (status, trips) or not warm


async def test_each_endpoint_of_the_trash_is_one_round_trip_and_a_refused_restore_two(wire, alice):
    for warm in (False, True):
        path = f"/tasks/{(task := await make(alice))['id']}"
        in_trash = f"/tasks/trash/{task['id']}"
        requests: list[tuple[str, str, dict[str, str], int, int]] = [
            ("DELETE", in_trash, {}, 404, 1),
            ("DELETE", path, {}, 204, 1),
            ("GET", "/tasks/trash", {}, 200, 1),
            ("POST", f"{path}/restore", {"If-Match": '"0"'}, 412, 2),
            ("POST", f"{path}/restore", {"If-Match": "1"}, 400, 0),
            ("POST", f"{path}/restore", {}, 200, 1),
            ("POST", f"{path}/restore", {}, 200, 2),
            ("DELETE", path, {}, 204, 1),
            ("DELETE", in_trash, {}, 204, 1),
            ("POST", f"{path}/restore", {}, 404, 2),
            ("DELETE", "/tasks/trash", {}, 204, 1),
        ]
        for method, target, headers, status, trips in requests:
            found = await cost(wire[0], alice, method, target, headers=headers)
            if warm:
                assert (method, target, headers, *found) == (method, target, headers, status, trips)


async def test_a_move_costs_one_round_trip_whatever_comes_of_it(wire, alice):
    for warm in (False, True):
        task, other, last = [(await make(alice))["id"] for _ in range(3)]
        requests: list[tuple[str, dict[str, str | None], dict[str, str], int, int]] = [
            (task, {"after": None}, {}, 200, 1),
            (task, {"after": None}, {}, 200, 1),
            (task, {"before": other}, {"If-Match": "*"}, 200, 1),
            (last, {"after": other}, {"If-Match": '"0"'}, 412, 1),
            (last, {"after": str(uuid.UUID(int=0))}, {}, 422, 1),
            (str(uuid.UUID(int=0)), {"after": None}, {}, 404, 1),
            (last, {"after": last}, {}, 422, 0),
            (last, {}, {}, 422, 0),
            (last, {"after": None}, {"If-Match": "1"}, 400, 0),
        ]
        for task_id, body, headers, status, trips in requests:
            path = f"/tasks/{task_id}/move"
            found = await cost(wire[0], alice, "POST", path, json=body, headers=headers)
            if warm:
                assert (body, headers, *found) == (body, headers, status, trips)


async def test_a_part_of_the_list_is_one_round_trip_whatever_is_asked(wire, alice):
    for warm in (False, True):
        for _ in range(2):
            await make(alice)
        first = await alice.get("/tasks?limit=1&q=milk&sort=text")
        everything = "/tasks?completed=false&q=milk&updated_since=2020-01-01T00:00:00Z&sort=-text&limit=1"
        requests: list[tuple[str, dict[str, str], int, int]] = [
            (everything, {"Prefer": "count=exact"}, 200, 1),
            (everything, {"Prefer": "count=exact", "If-None-Match": first.headers["ETag"]}, 304, 1),
            ("/tasks", {"Prefer": "count=exact"}, 200, 1),
            ("/tasks?limit=5&sort=completed_at&q=no", {}, 200, 1),
            (first.links["next"]["url"], {}, 200, 1),
            ("/tasks?limit=0", {}, 422, 0),
            ("/tasks?cursor=x", {}, 422, 0),
            ("/tasks?q=x&q=x", {}, 422, 0),
        ]
        for path, headers, status, trips in requests:
            found = await cost(wire[0], alice, "GET", path, headers=headers)
            if warm:
                assert (path, *found) == (path, status, trips)


async def test_what_is_refused_never_reaches_the_database(wire, alice):
    await make(alice)
    requests: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "/health/live", {}, 200),
        ("GET", "/health/ready", {}, 200),
        ("GET", "/", {}, 200),
        ("GET", "/docs", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("PATCH", "/tasks", {}, 405),
        ("POST", "/tasks", {"json": {}}, 422),
        ("POST", "/tasks", {"content": b"{"}, 415),
        ("GET", "/tasks/no-uuid", {}, 422),
        ("GET", "/tasks", {"headers": {"Authorization": "Bearer abc"}}, 401),
        ("GET", "/tasks", {"headers": {"Authorization": ""}}, 401),
    ]
    for method, path, options, status in requests:
        assert (path, *await cost(wire[0], alice, method, path, **options)) == (path, status, 0)


async def test_the_wire_counts_what_a_session_would_cost(wire):
    """The count has teeth: a transaction around one statement is three round trips."""
    import asyncpg  # noqa: PLC0415 - only here, beside the service

    connection = await asyncpg.connect(wire[1])
    await connection.fetch("SELECT 1")
    before = wire[0].round_trips
    async with connection.transaction():
        await connection.fetch("SELECT 1")
    assert wire[0].round_trips - before == 3
    await connection.close()
