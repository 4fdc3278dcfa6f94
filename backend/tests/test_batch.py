"""Batches: several operations, all of them or none."""

import asyncio
import random
import uuid
from typing import Any

import httpx2 as httpx
import pytest

from tests import test_tasks
from tests.conftest import held_up, until_waiting
from tests.test_tasks import make

NEVER = str(test_tasks.NEVER)

Op = dict[str, Any]


async def send(client: httpx.AsyncClient, *operations: Op, **headers: str) -> httpx.Response:
    return await client.post("/tasks/batch", json={"operations": list(operations)}, headers=headers)


async def done(client: httpx.AsyncClient, *operations: Op) -> list[dict[str, Any] | None]:
    answer = await send(client, *operations)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def refused(answer: httpx.Response, status: int, code: str, place: int) -> bool:
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, code), body
    assert [line.split(":")[0] for line in body["details"]] == [f"operations[{place}]"]
    return True


def bare(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name != "revision"}


async def test_each_operation_is_done_and_takes_a_revision(alice, revision_of):
    first, second = await make(alice, "a"), await make(alice, "b")
    answer = await send(
        alice,
        {"op": "create", "text": "c", "order": 4},
        {"op": "patch", "id": first["id"], "completed": True},
        {"op": "delete", "id": second["id"]},
    )
    body = answer.json()
    assert (answer.status_code, body["revision"], answer.headers["X-Revision"]) == (200, 5, "5")
    created, patched, deleted = body["results"]
    assert (created["text"], created["order"], created["completed"], created["revision"]) == (
        "c",
        4,
        False,
        3,
    )
    assert (patched["text"], patched["completed"], patched["revision"]) == ("a", True, 4)
    assert patched["completed_at"] == patched["updated_at"]
    assert deleted is None
    listed = {task["id"]: task for task in (await alice.get("/tasks")).json()["tasks"]}
    assert listed == {created["id"]: bare(created), patched["id"]: bare(patched)}
    for task in (created, patched):
        assert (await alice.get(f"/tasks/{task['id']}")).headers["ETag"] == f'"{task["revision"]}"'
    assert await revision_of(first["user_id"]) == 5


async def test_a_first_batch_of_a_user_counts_from_one(alice, revision_of):
    results = await done(alice, *({"op": "create", "text": str(number)} for number in range(100)))
    assert [task and task["revision"] for task in results] == list(range(1, 101))
    assert results[0]
    assert await revision_of(results[0]["user_id"]) == 100
    listed = (await alice.get("/tasks")).json()["tasks"]
    assert [task["text"] for task in listed] == [str(number) for number in reversed(range(100))]


async def test_operations_on_one_task_are_done_one_after_the_other(alice, revision_of):
    task_id = str(uuid.uuid4())
    one = {"id": task_id}
    results = await done(
        alice,
        {"op": "create", **one, "text": "a", "completed": True},
        {"op": "patch", **one, "text": "b"},
        {"op": "delete", **one},
        {"op": "restore", **one},
        {"op": "patch", **one, "order": 3},
    )
    assert results == results[:1] * 5
    (task,) = (await alice.get("/tasks")).json()["tasks"]
    assert results[0] == task | {"revision": 5}
    assert (task["id"], task["text"], task["completed"], task["order"]) == (task_id, "b", True, 3)
    assert task["completed_at"] == task["created_at"]
    assert await revision_of(task["user_id"]) == 5


async def test_completing_anew_within_a_batch_moves_the_time(alice):
    task = await make(alice, "x", completed=True)
    again, anew = [{"completed": True}], [{"completed": False}, {"completed": True}]
    for changes, moves in ((again, False), (anew, True)):
        *_, after = await done(alice, *({"op": "patch", "id": task["id"], **change} for change in changes))
        assert after
        assert (after["completed_at"] != task["completed_at"]) is moves
        assert after["completed"]
    (after,) = await done(alice, {"op": "patch", "id": task["id"], "completed": False})
    assert after
    assert after["completed_at"] is None


async def test_a_task_that_is_made_and_deleted_leaves_a_tombstone(alice, rows_of):
    body = {"id": str(uuid.uuid4()), "text": "x"}
    kept = await make(alice)
    assert await done(alice, {"op": "create", **body}, {"op": "delete", "id": body["id"]}) == [None, None]
    assert (await alice.post("/tasks", json=body)).status_code == 409
    (row,) = [row for row in await rows_of(kept["user_id"]) if str(row["id"]) == body["id"]]
    assert (row["deleted_at"] is not None, row["revision"]) == (True, 3)


async def test_restore_takes_a_task_out_of_the_trash_and_is_no_harm_to_one_that_lives(alice):
    task = await make(alice, "x", order=7)
    await alice.delete(f"/tasks/{task['id']}")
    for revision in (3, 4):
        (restored,) = await done(alice, {"op": "restore", "id": task["id"]})
        assert restored
        assert bare(restored) | {"updated_at": task["updated_at"]} == task
        assert restored["revision"] == revision


FAILING: dict[str, tuple[int, str, Op]] = {
    "patch of none": (404, "NOT_FOUND", {"op": "patch", "id": NEVER, "order": 1}),
    "delete of none": (404, "NOT_FOUND", {"op": "delete", "id": NEVER}),
    "restore of none": (404, "NOT_FOUND", {"op": "restore", "id": NEVER}),
    "patch of a deleted": (404, "NOT_FOUND", {"op": "patch", "id": "deleted", "order": 1}),
    "delete of a deleted": (404, "NOT_FOUND", {"op": "delete", "id": "deleted"}),
    "stale patch": (412, "PRECONDITION_FAILED", {"op": "patch", "id": "other", "order": 1, "if_match": 1}),
    "stale delete": (412, "PRECONDITION_FAILED", {"op": "delete", "id": "other", "if_match": 1}),
    "stale restore": (412, "PRECONDITION_FAILED", {"op": "restore", "id": "deleted", "if_match": 3}),
    "id of another": (409, "CONFLICT", {"op": "create", "id": "other", "text": "new"}),
    "id of a deleted": (409, "CONFLICT", {"op": "create", "id": "deleted", "text": "deleted"}),
    "created twice": (409, "CONFLICT", {"op": "create", "id": "first", "text": "first"}),
    "patch of what the batch deletes": (404, "NOT_FOUND", {"op": "patch", "id": "gone", "order": 1}),
    "delete of what the batch deletes": (404, "NOT_FOUND", {"op": "delete", "id": "gone"}),
    "a revision within the batch": (
        412,
        "PRECONDITION_FAILED",
        {"op": "delete", "id": "first", "if_match": 5},
    ),
}


@pytest.mark.parametrize("name", FAILING)
async def test_one_that_fails_is_named_and_nothing_is_done(alice, rows_of, revision_of, name):
    status, code, failing = FAILING[name]
    tasks = {text: await make(alice, text) for text in ("first", "other", "deleted", "gone")}
    await alice.delete(f"/tasks/{tasks['deleted']['id']}")
    failing = failing | {"id": tasks.get(failing["id"], {}).get("id", failing["id"])}
    user_id = tasks["first"]["user_id"]
    before, made = (await rows_of(user_id), await revision_of(user_id)), str(uuid.uuid4())
    answer = await send(
        alice,
        {"op": "patch", "id": tasks["first"]["id"], "text": "changed"},
        {"op": "create", "id": made, "text": "made"},
        {"op": "patch", "id": made, "completed": True},
        {"op": "delete", "id": tasks["gone"]["id"]},
        failing,
        {"op": "create", "text": "never"},
    )
    assert refused(answer, status, code, 4)
    assert (await rows_of(user_id), await revision_of(user_id)) == before
    if name.startswith("stale"):
        assert answer.headers["ETag"] == ('"5"' if name == "stale restore" else '"2"')


async def test_a_user_who_never_wrote_stays_so_when_a_batch_fails(alice, database_url, revision_of):
    answer = await send(alice, {"op": "create", "text": "x"}, {"op": "delete", "id": NEVER})
    assert refused(answer, 404, "NOT_FOUND", 1)
    assert (await alice.get("/tasks")).headers["ETag"] == 'W/"0"'


async def test_if_match_is_the_revision_that_was_read(alice):
    task = await make(alice)
    (patched,) = await done(alice, {"op": "patch", "id": task["id"], "text": "y", "if_match": 1})
    assert patched
    assert await done(alice, {"op": "delete", "id": task["id"], "if_match": patched["revision"]}) == [None]
    (restored,) = await done(alice, {"op": "restore", "id": task["id"], "if_match": 3})
    assert restored


async def test_a_create_that_was_made_before_is_taken_as_done(alice, revision_of):
    """An offline queue sends it alone, loses the answer, and sends all it has by then."""
    body = {"id": str(uuid.uuid4()), "text": "x"}
    made = (await alice.post("/tasks", json=body)).json()
    (same,) = await done(alice, {"op": "create", **body})
    assert same == made | {"revision": 1}
    assert await revision_of(made["user_id"]) == 1
    await make(alice, "in between")
    other, same = await done(alice, {"op": "create", "text": "other"}, {"op": "create", **body})
    assert other
    assert same == made | {"revision": 1}
    assert await revision_of(made["user_id"]) == 4
    first, again, second = await done(
        alice,
        {"op": "create", "text": "before"},
        {"op": "create", **body},
        {"op": "patch", "id": body["id"], "completed": True},
    )
    assert first
    assert again
    assert again == second
    assert again["completed"]
    assert (first["revision"], again["revision"]) == (5, 7)


async def test_a_create_sent_twice_in_a_batch_makes_one_task(alice):
    body = {"op": "create", "id": str(uuid.uuid4()), "text": "x"}
    one, again = await done(alice, body, body)
    assert one == again
    assert refused(await send(alice, body, body | {"text": "y"}), 409, "CONFLICT", 1)
    other = body | {"id": str(uuid.uuid4())}
    assert refused(await send(alice, other, other | {"completed": True}), 409, "CONFLICT", 1)
    assert refused(await send(alice, other, {"op": "delete", "id": other["id"]}, other), 409, "CONFLICT", 2)


async def test_after_a_create_that_was_made_before_the_tasks_revision_counts(alice):
    body = {"op": "create", "id": str(uuid.uuid4()), "text": "x"}
    await done(alice, body)
    patch = {"op": "patch", "id": body["id"], "order": 1}
    stale = await send(alice, body, patch | {"if_match": 9})
    assert refused(stale, 412, "PRECONDITION_FAILED", 1)
    assert stale.headers["ETag"] == '"1"'
    _, patched = await done(alice, body, patch | {"if_match": 1})
    assert patched
    assert patched["revision"] == 3


@pytest.mark.parametrize("change", ["text = 'other'", "deleted_at = updated_at"])
async def test_a_create_that_was_made_before_is_held_to_what_it_was_compared_with(
    alice, database_url, revision_of, change
):
    """It is compared, and then the batch waits for the counter while somebody changes the task."""
    body = {"op": "create", "id": str(uuid.uuid4()), "text": "x"}
    await done(alice, body)
    user_id = (await alice.get(f"/tasks/{body['id']}")).json()["user_id"]
    sql = f"UPDATE tasks SET revision = 2, {change} WHERE id = $1"  # noqa: S608 - ours
    async with held_up(database_url, user_id, 1) as winner:
        sending = asyncio.create_task(send(alice, body, {"op": "create", "text": "y"}))
        await until_waiting(database_url)
        await winner.execute("UPDATE task_lists SET revision = 2 WHERE user_id = $1", user_id)
        await winner.execute(sql, body["id"])
    assert refused(await sending, 409, "CONFLICT", 0)
    assert await revision_of(user_id) == 2


async def test_a_new_task_has_no_revision_that_could_match(alice):
    answer = await send(alice, {"op": "create", "text": "x", "if_match": 1})
    assert answer.status_code == 422
    assert answer.json()["details"] == [
        "operations[0] - must not have if_match: a new task has no revision yet"
    ]


# Once


async def test_a_batch_with_a_key_is_done_once(alice, rows_of, revision_of):
    kept, gone = await make(alice, "a"), await make(alice, "b")
    operations: list[Op] = [
        {"op": "create", "text": "c", "completed": True},
        {"op": "patch", "id": kept["id"], "text": "d"},
        {"op": "delete", "id": gone["id"]},
    ]
    once = {"Idempotency-Key": str(uuid.uuid4())}
    first = await send(alice, *operations, **once)
    assert (first.status_code, "Idempotent-Replayed" in first.headers) == (200, False)
    await alice.patch(f"/tasks/{kept['id']}", json={"text": "later"})
    again = await send(alice, *operations, **once)
    assert (again.status_code, again.content) == (200, first.content)
    assert (again.headers["Idempotent-Replayed"], again.headers["X-Revision"]) == ("true", "5")
    assert await revision_of(kept["user_id"]) == 6
    assert refused_key(await send(alice, *operations[:2], **once))
    assert refused_key(await alice.post("/tasks", json={"text": "x"}, headers=once))
    assert len(await rows_of(kept["user_id"])) == 3


def refused_key(answer: httpx.Response) -> bool:
    return answer.status_code == 422 and "take a new key" in answer.json()["message"]


async def test_a_batch_that_fails_leaves_its_key_free(alice):
    once = {"Idempotency-Key": str(uuid.uuid4())}
    failing: list[Op] = [{"op": "create", "text": "x"}, {"op": "delete", "id": NEVER}]
    for _ in range(2):
        assert refused(await send(alice, *failing, **once), 404, "NOT_FOUND", 1)
    assert (await send(alice, failing[0], **once)).status_code == 200


async def test_of_racing_batches_with_one_key_one_is_done(alice, database_url, rows_of, revision_of):
    user_id, once = (await make(alice))["user_id"], {"Idempotency-Key": str(uuid.uuid4())}
    operations = [{"op": "create", "text": str(number)} for number in range(3)]
    async with held_up(database_url, user_id, 8):
        racing = [asyncio.create_task(send(alice, *operations, **once)) for _ in range(8)]
    answers = await asyncio.gather(*racing, *(send(alice, *operations, **once) for _ in range(20)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 27
    assert (len(await rows_of(user_id)), await revision_of(user_id)) == (4, 4)


TWINS: dict[str, list[Op]] = {
    "delete": [{"op": "delete", "id": "one"}],
    "patch at a revision": [{"op": "patch", "id": "one", "text": "x", "if_match": 1}],
    "restore at a revision": [{"op": "restore", "id": "gone", "if_match": 3}],
    "create and delete": [{"op": "create", "id": "new", "text": "x"}, {"op": "delete", "id": "new"}],
    "impossible": [{"op": "delete", "id": "one"}, {"op": "delete", "id": "one"}],
}


@pytest.mark.parametrize("name", TWINS)
async def test_twins_that_race_with_one_key_are_answered_alike(alice, database_url, name):
    """Whoever comes second finds its tasks changed, by itself."""
    one, gone = await make(alice, "one"), await make(alice, "gone")
    await alice.delete(f"/tasks/{gone['id']}")
    ids = {"one": one["id"], "gone": gone["id"], "new": str(uuid.uuid4())}
    operations = [operation | {"id": ids[operation["id"]]} for operation in TWINS[name]]
    once = {"Idempotency-Key": str(uuid.uuid4())}
    async with held_up(database_url, one["user_id"], 0 if name == "impossible" else 3):
        racing = [asyncio.create_task(send(alice, *operations, **once)) for _ in range(3)]
    answers = [*await asyncio.gather(*racing), await send(alice, *operations, **once)]
    status = 404 if name == "impossible" else 200
    assert {(answer.status_code, answer.content) for answer in answers} == {(status, answers[0].content)}


# Racing


async def test_a_batch_that_loses_a_race_is_refused_whole(alice, database_url, rows_of, revision_of):
    """It found all as it should be, and waits for the counter while one of its tasks is deleted."""
    first, second = await make(alice, "a"), await make(alice, "b")
    operations = [
        {"op": "create", "text": "new"},
        {"op": "patch", "id": first["id"], "text": "c"},
        {"op": "patch", "id": second["id"], "text": "d", "if_match": 2},
    ]
    async with held_up(database_url, first["user_id"], 2) as winner:
        racing = [asyncio.create_task(send(alice, *operations)) for _ in range(2)]
        await winner.execute("UPDATE tasks SET deleted_at = updated_at WHERE id = $1", second["id"])
    for answer in await asyncio.gather(*racing):
        assert refused(answer, 404, "NOT_FOUND", 2)
    assert [row["text"] for row in await rows_of(first["user_id"])] == ["a", "b"]
    assert await revision_of(first["user_id"]) == 2


async def test_racing_batches_are_each_whole(alice, rows_of, revision_of):
    task = await make(alice)

    async def one(number: int) -> int:
        answer = await send(
            alice,
            {"op": "patch", "id": task["id"], "text": str(number)},
            *({"op": "create", "text": str(number)} for _ in range(4)),
        )
        assert answer.status_code == 200
        return int(answer.headers["X-Revision"])

    ends = sorted(await asyncio.gather(*(one(number) for number in range(20))))
    assert ends == [1 + 5 * number for number in range(1, 21)]
    rows = [row for row in await rows_of(task["user_id"]) if str(row["id"]) != task["id"]]
    by_text: dict[str, list[int]] = {}
    for row in rows:
        by_text.setdefault(row["text"], []).append(row["revision"])
    for revisions in by_text.values():
        assert sorted(revisions) == list(range(min(revisions), min(revisions) + 4))


# What is no batch


BAD: list[tuple[Any, str]] = [
    ({}, "operations - is required"),
    ({"operations": []}, "operations - must have 1 item(s) or more"),
    ({"operations": [{"op": "create", "text": "x"}] * 101}, "operations - must have at most 100 items"),
    ({"operations": {}}, "operations - must be a list"),
    ({"operations": [1]}, "operations[0] - must be a JSON object"),
    (
        {"operations": [{"op": "create", "text": "x"}, {}]},
        "operations[1] - must have an op: create, patch, delete or restore",
    ),
    ({"operations": [{"op": "drop"}]}, "operations[0] - must have an op: create, patch, delete or restore"),
    ({"operations": [{"op": "create"}]}, "operations[0].text - is required"),
    ({"operations": [{"op": "delete"}]}, "operations[0].id - is required"),
    (
        {"operations": [{"op": "delete", "id": NEVER, "if_match": "1"}]},
        "operations[0].if_match - must be a whole number",
    ),
    ({"operations": [{"op": "patch", "id": NEVER}]}, "operations[0] - must change text, completed or order"),
    ({"operations": [{"op": "patch", "id": NEVER, "text": None}]}, "operations[0].text - must be a string"),
]


@pytest.mark.parametrize(("body", "line"), BAD, ids=[line for _, line in BAD])
async def test_a_malformed_batch_names_the_field(alice, body, line):
    answer = await alice.post("/tasks/batch", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "VALIDATION_ERROR")
    assert answer.json()["details"][0] == line


async def test_a_hundred_of_the_longest_texts_are_taken(alice):
    operations = [{"op": "create", "text": "\U0001f4a5" * 500} for _ in range(100)]
    results = await done(alice, *operations)  # httpx writes them as they are: 200 KB
    assert {task and len(task["text"]) for task in results} == {500}
    answer = await alice.post(
        "/tasks/batch", content=b" " * 700_000, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


async def test_batches_are_on_the_callers_own_tasks(alice, bob):
    theirs = await make(bob, "bob's")
    for operation in (
        {"op": "patch", "id": theirs["id"], "text": "x"},
        {"op": "delete", "id": theirs["id"]},
        {"op": "restore", "id": theirs["id"]},
    ):
        assert refused(await send(alice, operation), 404, "NOT_FOUND", 0)
    (mine,) = await done(alice, {"op": "create", "id": theirs["id"], "text": "alice's"})
    assert mine
    assert (await bob.get(f"/tasks/{theirs['id']}")).json() == theirs


async def test_where_if_match_is_required_each_first_operation_on_a_task_has_it(strict):
    task = (await strict.post("/tasks", json={"text": "x"})).json()
    create, one = {"op": "create", "text": "y", "id": str(uuid.uuid4())}, {"id": task["id"]}
    patched = {"op": "patch", **one, "order": 1}
    assert refused(await send(strict, create, patched), 428, "PRECONDITION_REQUIRED", 1)
    after_create = {"op": "delete", "id": create["id"]}
    assert await done(strict, create, patched | {"if_match": 1}, {"op": "delete", **one}, after_create)


# Against the same, one by one

_TEXTS = ["a", "b", "c"]


def _random_operation(draw: random.Random, ids: list[str]) -> Op:
    op = draw.choice(["create", "patch", "patch", "delete", "restore"])
    operation: Op = {"op": op, "id": draw.choice(ids)}
    if op == "create":
        operation |= {"text": draw.choice(_TEXTS), "completed": draw.random() < 0.5}
    if op == "patch":
        fields = {"text": draw.choice(_TEXTS), "completed": draw.random() < 0.5, "order": draw.randrange(3)}
        operation |= dict(draw.sample(sorted(fields.items()), draw.randrange(1, 4)))
    return operation


async def _one_by_one(client: httpx.AsyncClient, operation: Op) -> httpx.Response:
    body = {name: value for name, value in operation.items() if name not in {"op", "if_match"}}
    task_id = body.pop("id")
    match operation["op"]:
        case "create":
            return await client.post("/tasks", json=body | {"id": task_id})
        case "patch":
            return await client.patch(f"/tasks/{task_id}", json=body)
        case "delete":
            return await client.delete(f"/tasks/{task_id}")
    return await client.post(f"/tasks/{task_id}/restore")


TIMES = {"created_at", "updated_at", "completed_at", "user_id", "revision"}


def timeless(tasks: list[dict[str, Any]]) -> list[Any]:
    return [
        {name: value for name, value in task.items() if name not in TIMES}
        | {"done": task["completed_at"] is not None}
        for task in tasks
    ]


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(40))
async def test_a_batch_does_what_its_operations_do_one_by_one(alice, bob, seed):
    """Or names the first of them that fails, with its status, and does nothing."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    ids = [str(uuid.uuid4()) for _ in range(4)]
    for _ in range(6):
        operations = [_random_operation(draw, ids) for _ in range(draw.randrange(1, 6))]
        before = (await alice.get("/tasks/changes")).json()
        batch = await send(alice, *operations)
        for place, operation in enumerate(operations):
            alone = await _one_by_one(bob, operation)
            if not alone.is_success:
                assert refused(batch, alone.status_code, alone.json()["error"], place)
                assert (await alice.get("/tasks/changes")).json() == before
                return
        assert batch.status_code == 200, batch.text
        lists = [(await client.get("/tasks")).json()["tasks"] for client in (alice, bob)]
        assert timeless(lists[0]) == timeless(lists[1])
