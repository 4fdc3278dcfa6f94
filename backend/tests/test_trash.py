"""The trash: what was deleted can come back, to its place, until it is removed for good."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2 as httpx
import jsonschema_rs
import pytest

from app.config import Settings
from app.main import close, create_app
from tests.conftest import ClientFor, administer, until_waiting
from tests.test_isolation import comparable
from tests.test_tasks import NEVER, make, texts

EMPTY = {"tasks": [], "count": 0}

PurgedOf = Callable[[str], Awaitable[int]]


async def trashed(client: httpx.AsyncClient, text: str = "Buy milk", **fields: Any) -> dict[str, Any]:
    task = await make(client, text, **fields)
    assert (await client.delete(f"/tasks/{task['id']}")).status_code == 204
    return task


async def in_trash(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/tasks/trash")
    assert answer.status_code == 200
    assert answer.json()["count"] == len(answer.json()["tasks"])
    return [task["text"] for task in answer.json()["tasks"]]


@pytest.fixture
def purged_of(database_url: str) -> PurgedOf:
    """How far a user's tombstones were removed."""

    async def purged(user_id: str) -> int:
        sql = "SELECT purged_revision FROM task_lists WHERE user_id = $1"
        return (await administer(database_url, sql, user_id))[0]["purged_revision"]

    return purged


@asynccontextmanager
async def held(database_url: str, user_id: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold a user's counter, so that whoever comes waits with the snapshot that they have."""
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            sql = "UPDATE task_lists SET revision = revision WHERE user_id = $1"
            await holder.execute(sql, user_id)
            yield holder
    finally:
        await holder.close()


RESTORE = """
    WITH list AS (UPDATE task_lists SET revision = revision + 1 WHERE user_id = $1 RETURNING revision)
    UPDATE tasks SET deleted_at = NULL, revision = list.revision FROM list WHERE user_id = $1 AND id = $2
"""
DELETE = RESTORE.replace("NULL", "'2000-01-01'")

# What is in it


async def test_a_deleted_task_is_in_the_trash_with_the_times_that_matter(alice, rows_of):
    assert (await alice.get("/tasks/trash")).json() == EMPTY
    task = await trashed(alice, completed=True, order=4)
    body = (await alice.get("/tasks/trash")).json()
    (shown,) = body["tasks"]
    (row,) = await rows_of(task["user_id"])
    deleted_at, purge_at = (datetime.fromisoformat(shown[name]) for name in ("deleted_at", "purge_at"))
    assert body["count"] == 1
    assert deleted_at == row["deleted_at"]
    assert purge_at == deleted_at + timedelta(days=30)
    assert shown["revision"] == 2
    same = task.keys() - {"updated_at"}
    assert {name: shown[name] for name in same} == {name: task[name] for name in same}
    assert shown.keys() == task.keys() | {"revision", "deleted_at", "purge_at"}


async def test_the_last_deleted_stands_first(alice):
    made = [await make(alice, text, order=order) for text, order in [("a", 5), ("b", 0), ("c", 9), ("d", 1)]]
    for number in (2, 0, 3):
        await alice.delete(f"/tasks/{made[number]['id']}")
    assert await in_trash(alice) == ["d", "a", "c"]
    assert await texts(alice) == ["b"]


async def test_what_the_trash_shows_fits_its_document(alice, app):
    await trashed(alice)
    document = app.openapi()
    schema = document["components"]["schemas"]["TrashResponse"] | {"components": document["components"]}
    body = (await alice.get("/tasks/trash")).json()
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(body)
    shown = document["components"]["schemas"]["TrashedTask"]
    assert set(body["tasks"][0]) == set(shown["properties"]) == set(shown["required"])


async def test_the_retention_can_be_set(settings: Settings, client_for: ClientFor):
    app = create_app(settings.model_copy(update={"trash_retention_days": 7}))
    async with client_for(f"alice-{uuid.uuid4()}", app) as client:
        await trashed(client)
        (shown,) = (await client.get("/tasks/trash")).json()["tasks"]
    await close(app)
    deleted_at, purge_at = (datetime.fromisoformat(shown[name]) for name in ("deleted_at", "purge_at"))
    assert purge_at - deleted_at == timedelta(days=7)


# Back again


async def test_a_restored_task_is_the_same_in_the_same_place(alice, revision_of):
    made = [await make(alice, text, order=order) for text, order in [("a", 0), ("b", 3), ("c", 3), ("d", 7)]]
    done = (await alice.patch(f"/tasks/{made[1]['id']}", json={"completed": True})).json()
    before = await texts(alice)
    await alice.delete(f"/tasks/{done['id']}")
    restored = await alice.post(f"/tasks/{done['id']}/restore")
    assert restored.status_code == 200
    assert restored.json() | {"updated_at": ""} == done | {"updated_at": ""}
    assert restored.json()["updated_at"] > done["updated_at"]
    assert [restored.headers[name] for name in ("ETag", "X-Revision")] == ['"7"', "7"]
    assert await revision_of(done["user_id"]) == 7
    assert await texts(alice) == before == ["a", "c", "b", "d"]
    assert await in_trash(alice) == []
    assert (await alice.get(f"/tasks/{done['id']}")).json() == restored.json()


async def test_a_restore_that_is_repeated_moves_nothing(alice, rows_of, revision_of):
    task = await trashed(alice)
    path = f"/tasks/{task['id']}/restore"
    first = await alice.post(path)
    before = await rows_of(task["user_id"])
    again = await alice.post(path)
    assert comparable(again) == comparable(first)
    assert (await rows_of(task["user_id"]), await revision_of(task["user_id"])) == (before, 3)


async def test_a_task_that_was_never_deleted_is_answered_as_it_stands(alice, revision_of):
    task = await make(alice)
    answer = await alice.post(f"/tasks/{task['id']}/restore")
    assert (answer.status_code, answer.json(), answer.headers["ETag"]) == (200, task, '"1"')
    assert await revision_of(task["user_id"]) == 1


async def test_a_task_can_be_deleted_and_restored_as_often_as_one_likes(alice, revision_of):
    task = await trashed(alice)
    for _ in range(3):
        assert (await alice.post(f"/tasks/{task['id']}/restore")).status_code == 200
        assert (await alice.delete(f"/tasks/{task['id']}")).status_code == 204
    assert await in_trash(alice) == ["Buy milk"]
    assert await revision_of(task["user_id"]) == 8


@pytest.mark.parametrize("known", ['"2"', '"1", "2"', "*"])
async def test_what_one_knows_is_restored(alice, known):
    task = await trashed(alice)
    answer = await alice.post(f"/tasks/{task['id']}/restore", headers={"If-Match": known})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')


@pytest.mark.parametrize("alive", [False, True])
@pytest.mark.parametrize("known", ['"1"', 'W/"2"', '"x"', '"4"'])
async def test_what_was_changed_meanwhile_is_not(alice, rows_of, revision_of, known, alive):
    task = await trashed(alice)
    path = f"/tasks/{task['id']}/restore"
    if alive:
        await alice.post(path)
    before = await rows_of(task["user_id"])
    refused = await alice.post(path, headers={"If-Match": known})
    assert (refused.status_code, refused.json()["error"]) == (412, "PRECONDITION_FAILED")
    assert refused.headers["ETag"] == ('"3"' if alive else '"2"')
    assert "X-Revision" not in refused.headers
    assert await rows_of(task["user_id"]) == before
    assert await revision_of(task["user_id"]) == (3 if alive else 2)


async def test_if_match_can_be_required_of_a_restore(settings: Settings, client_for: ClientFor):
    app = create_app(settings.model_copy(update={"require_if_match": True}))
    async with client_for(f"alice-{uuid.uuid4()}", app) as client:
        task = await make(client)
        deleted = await client.delete(f"/tasks/{task['id']}", headers={"If-Match": "*"})
        path, known = f"/tasks/{task['id']}/restore", f'"{deleted.headers["X-Revision"]}"'
        assert (await client.post(path)).status_code == 428
        assert await in_trash(client) == ["Buy milk"]
        assert (await client.post(path, headers={"If-Match": known})).status_code == 200
        await client.delete(f"/tasks/{task['id']}", headers={"If-Match": "*"})
        assert (await client.delete(f"/tasks/trash/{task['id']}")).status_code == 204
        assert (await client.delete("/tasks/trash")).status_code == 204
    await close(app)


async def test_a_restored_tasks_time_never_runs_back(alice, database_url):
    task = await trashed(alice)
    future = datetime.now(UTC) + timedelta(hours=1)
    sql = "UPDATE tasks SET updated_at = $1 WHERE user_id = $2"
    await administer(database_url, sql, future, task["user_id"])
    restored = (await alice.post(f"/tasks/{task['id']}/restore")).json()
    assert datetime.fromisoformat(restored["updated_at"]) == future


# For good


async def test_a_task_is_removed_for_good(alice, rows_of, revision_of, purged_of):
    kept, task = await trashed(alice, "kept"), await trashed(alice)
    answer = await alice.delete(f"/tasks/trash/{task['id']}")
    assert (answer.status_code, answer.content, answer.headers["X-Revision"]) == (204, b"", "4")
    assert [str(row["id"]) for row in await rows_of(task["user_id"])] == [kept["id"]]
    assert (await revision_of(task["user_id"]), await purged_of(task["user_id"])) == (4, 4)
    assert await in_trash(alice) == ["kept"]
    assert (await alice.post(f"/tasks/{task['id']}/restore")).status_code == 404
    again = await alice.delete(f"/tasks/trash/{task['id']}")
    assert (again.status_code, "X-Revision" in again.headers) == (404, False)


async def test_the_mark_does_not_go_back(alice, purged_of):
    first, second = await trashed(alice), await trashed(alice)
    for task in (second, first):
        assert (await alice.delete(f"/tasks/trash/{task['id']}")).status_code == 204
        assert await purged_of(task["user_id"]) == 4


async def test_a_task_that_is_alive_is_not_in_the_trash(alice, rows_of, purged_of):
    task = await make(alice)
    before = await rows_of(task["user_id"])
    assert (await alice.delete(f"/tasks/trash/{task['id']}")).status_code == 404
    assert await rows_of(task["user_id"]) == before
    assert await purged_of(task["user_id"]) == 0


async def test_the_trash_is_emptied_and_what_is_alive_stays(alice, rows_of, revision_of, purged_of):
    alive = await make(alice)
    for _ in range(3):
        await trashed(alice)
    await make(alice)
    answer = await alice.delete("/tasks/trash")
    assert (answer.status_code, answer.content, answer.headers["X-Revision"]) == (204, b"", "8")
    assert {row["deleted_at"] for row in await rows_of(alive["user_id"])} == {None}
    assert (await revision_of(alive["user_id"]), await purged_of(alive["user_id"])) == (8, 7)
    assert ((await alice.get("/tasks")).json()["count"], await in_trash(alice)) == (2, [])


async def test_an_empty_trash_can_be_emptied(alice, purged_of):
    answer = await alice.delete("/tasks/trash")
    assert (answer.status_code, answer.headers["X-Revision"]) == (204, "0")
    task = await make(alice)
    answer = await alice.delete("/tasks/trash")
    assert (answer.status_code, answer.headers["X-Revision"]) == (204, "1")
    assert await purged_of(task["user_id"]) == 0


async def test_the_id_of_a_purged_task_is_free_again(alice):
    body = {"text": "x", "id": str(uuid.uuid4())}
    await alice.post("/tasks", json=body)
    await alice.delete(f"/tasks/{body['id']}")
    assert (await alice.post("/tasks", json=body)).status_code == 409
    await alice.delete("/tasks/trash")
    assert (await alice.post("/tasks", json=body)).status_code == 201


# Each their own

ENDPOINTS = [("POST", "/tasks/{}/restore"), ("DELETE", "/tasks/trash/{}")]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_anothers_trash_is_answered_like_none(alice, bob, rows_of, purged_of, method, path):
    for owner, other in itertools.permutations([alice, bob]):
        task, _ = await trashed(owner), await trashed(other)
        before, mark = await rows_of(task["user_id"]), await purged_of(task["user_id"])
        for headers in ({}, {"If-Match": '"1"'}):
            foreign = await other.request(method, path.format(task["id"]), headers=headers)
            never = await other.request(method, path.format(uuid.uuid4()), headers=headers)
            assert foreign.status_code == 404
            assert comparable(foreign) == comparable(never)
        assert (await rows_of(task["user_id"]), await purged_of(task["user_id"])) == (before, mark)


async def test_everybody_sees_and_empties_their_own(alice, bob):
    await trashed(alice, "alice's")
    await trashed(bob, "bob's")
    assert (await in_trash(alice), await in_trash(bob)) == (["alice's"], ["bob's"])
    await bob.delete("/tasks/trash")
    assert (await in_trash(alice), await in_trash(bob)) == (["alice's"], [])


async def test_strangers_see_nothing(stranger):
    paths = [("GET", "/tasks/trash"), ("DELETE", "/tasks/trash"), *ENDPOINTS]
    for method, path in paths:
        assert (await stranger.request(method, path.format(NEVER))).status_code == 401


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_an_id_that_is_no_uuid_is_refused(alice, method, path):
    answer = await alice.request(method, path.format("nope"))
    assert answer.status_code == 422
    assert [line.split(" - ")[0] for line in answer.json()["details"]] == [
        "trashed_id" if "/trash/" in path else "task_id"
    ]


@pytest.mark.parametrize(
    ("path", "takes"),
    [
        ("/tasks/trash", {"GET", "DELETE"}),
        (f"/tasks/trash/{NEVER}", {"DELETE"}),
        (f"/tasks/{NEVER}/restore", {"POST"}),
        ("/tasks/trash/restore", {"DELETE"}),
    ],
)
async def test_the_trash_is_no_task_to_any_method(alice, path, takes):
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - takes:
        answer = await alice.request(method, path, json={"text": "x", "completed": True})
        assert (method, answer.status_code) == (method, 405)
        assert set(answer.headers["Allow"].split(", ")) - {"HEAD"} == takes


async def test_an_id_that_begins_like_the_trash_is_only_no_id(alice):
    assert (await alice.get("/tasks/trashes")).status_code == 422


# At the same time


async def test_of_racing_restores_one_takes_a_revision(alice, rows_of):
    task = await trashed(alice)
    answers = await asyncio.gather(*(alice.post(f"/tasks/{task['id']}/restore") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    (row,) = await rows_of(task["user_id"])
    assert {answer.headers["ETag"] for answer in answers} == {f'"{row["revision"]}"'}
    assert row["deleted_at"] is None


async def test_of_racing_restores_of_one_state_one_is_made(alice):
    task = await trashed(alice)
    known = {"If-Match": '"2"'}
    answers = await asyncio.gather(
        *(alice.post(f"/tasks/{task['id']}/restore", headers=known) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19


async def test_a_task_is_restored_or_removed_for_good_and_never_both(alice, rows_of, purged_of):
    for way in ["/tasks/trash", "/tasks/trash/{id}"] * 8:
        task = await trashed(alice)
        deleted = (await rows_of(task["user_id"]))[-1]["revision"]
        restored, removed = await asyncio.gather(
            alice.post(f"/tasks/{task['id']}/restore"), alice.delete(way.format(**task))
        )
        there = (await alice.get(f"/tasks/{task['id']}")).status_code == 200
        assert (restored.status_code == 200) is there
        assert removed.status_code == (404 if there and "{" in way else 204)
        assert there or await purged_of(task["user_id"]) >= deleted
        await alice.delete(f"/tasks/{task['id']}")


WAYS = ["/tasks/trash", "/tasks/trash/{id}"]


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_restored_while_the_removal_waited_stays(alice, database_url, rows_of, way):
    task = await trashed(alice)
    async with held(database_url, task["user_id"]) as holder:
        removal = asyncio.create_task(alice.delete(way.format(**task)))
        await until_waiting(database_url)
        await holder.execute(RESTORE, task["user_id"], task["id"])
    assert (await removal).status_code == (404 if "{" in way else 204)
    assert (await alice.get(f"/tasks/{task['id']}")).status_code == 200


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_deleted_while_the_removal_waited_is_not_removed_below_the_mark(
    alice, database_url, rows_of, purged_of, way
):
    """It looks for what it removes before it waits: what has another revision by then, it leaves."""
    task, other = await trashed(alice), await make(alice, "other")
    async with held(database_url, task["user_id"]) as holder:
        removal = asyncio.create_task(alice.delete(way.format(**task)))
        await until_waiting(database_url)
        await holder.execute(RESTORE, task["user_id"], task["id"])
        await holder.execute(DELETE, task["user_id"], task["id"])
        await holder.execute(DELETE, task["user_id"], other["id"])
    await removal
    left = {row["revision"] for row in await rows_of(task["user_id"])}
    assert left == {5, 6}
    assert await purged_of(task["user_id"]) == 2
    assert (await alice.delete("/tasks/trash")).status_code == 204
    assert (await rows_of(task["user_id"]), await purged_of(task["user_id"])) == ([], 6)


async def test_no_tombstone_vanishes_above_the_mark_however_writers_mix(alice, rows_of, purged_of):
    """Whoever knows a revision from the mark on misses no deletion."""
    tasks = [await make(alice, str(number)) for number in range(6)]
    user_id = tasks[0]["user_id"]

    async def work(task: dict[str, Any]) -> None:
        for _ in range(4):
            await alice.delete(f"/tasks/{task['id']}")
            await alice.post(f"/tasks/{task['id']}/restore")

    async def empty() -> None:
        for _ in range(8):
            before = {row["id"]: row["revision"] for row in await rows_of(user_id) if row["deleted_at"]}
            assert (await alice.delete("/tasks/trash")).status_code == 204
            left = {row["id"] for row in await rows_of(user_id)}
            removed = [revision for task_id, revision in before.items() if task_id not in left]
            assert max(removed, default=0) <= await purged_of(user_id)

    await asyncio.gather(*(work(task) for task in tasks), empty(), empty())


async def test_a_restore_that_races_a_delete_never_tells_the_deleted_task_as_alive(alice):
    """Whoever believed it would have a revision that hides the deletion from `changes`."""
    task = await make(alice)
    path = f"/tasks/{task['id']}"
    for _ in range(60):
        restored, *_, deleted = await asyncio.gather(
            alice.post(f"{path}/restore"), alice.post(f"{path}/restore"), alice.delete(path)
        )
        assert (restored.status_code, deleted.status_code) == (200, 204)
        assert restored.headers["X-Revision"] != deleted.headers["X-Revision"]
        await alice.post(f"{path}/restore")
