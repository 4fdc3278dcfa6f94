"""The task endpoints: what they store, return and refuse."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import jsonschema_rs
import pytest

from app.schemas.task import TaskCreate
from tests.conftest import administer

NEVER = uuid.UUID(int=0)
MAX_ORDER = 2**31 - 1


async def make(client: httpx.AsyncClient, text: str = "Buy milk", **fields: Any) -> dict[str, Any]:
    answer = await client.post("/tasks", json={"text": text, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def texts(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/tasks")
    assert answer.status_code == 200
    body = answer.json()
    assert body["count"] == len(body["tasks"])
    return [task["text"] for task in body["tasks"]]


async def test_a_new_task_is_returned_as_stored(alice):
    task = await make(alice)
    assert task["text"] == "Buy milk"
    assert task["completed"] is False
    assert task["order"] == 0
    assert task["completed_at"] is None
    assert task["created_at"] == task["updated_at"]
    assert task["created_at"].endswith("Z")
    assert uuid.UUID(task["id"]).version == 7
    assert (await alice.get(f"/tasks/{task['id']}")).json() == task
    assert (await alice.get("/tasks")).json() == {"tasks": [task], "count": 1}


async def test_a_task_may_be_born_completed_and_in_its_place(alice):
    task = await make(alice, completed=True, order=7)
    assert (task["completed"], task["order"]) == (True, 7)
    assert task["completed_at"] == task["created_at"]


async def test_an_empty_list_is_a_list(alice):
    assert (await alice.get("/tasks")).json() == {"tasks": [], "count": 0}


async def test_the_list_stands_by_order_and_among_equals_the_newest_first(alice):
    for text, order in [("first", 0), ("second", 0), ("last", 5), ("top", -1), ("third", 0)]:
        await make(alice, text, order=order)
    assert await texts(alice) == ["top", "third", "second", "first", "last"]


async def test_put_replaces_and_keeps_an_absent_order(alice):
    task = await make(alice, order=9)
    answer = await alice.put(f"/tasks/{task['id']}", json={"text": "Buy bread", "completed": True})
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["text"], changed["completed"], changed["order"]) == ("Buy bread", True, 9)
    assert changed["created_at"] == task["created_at"]
    assert changed["updated_at"] > task["updated_at"]
    moved = await alice.put(f"/tasks/{task['id']}", json={"text": "x", "completed": False, "order": 1})
    assert moved.json()["order"] == 1


@pytest.mark.parametrize("body", [{"text": "x"}, {"completed": True}, {"text": "x", "completed": None}, {}])
async def test_put_wants_text_and_completed(alice, body):
    task = await make(alice)
    assert (await alice.put(f"/tasks/{task['id']}", json=body)).status_code == 422
    assert (await alice.get(f"/tasks/{task['id']}")).json() == task


@pytest.mark.parametrize(
    ("field", "value"),
    [("text", "Buy bread"), ("completed", True), ("order", MAX_ORDER), ("order", -MAX_ORDER - 1)],
)
async def test_patch_changes_only_what_is_there(alice, field, value):
    task = await make(alice, order=3)
    answer = await alice.patch(f"/tasks/{task['id']}", json={field: value})
    assert answer.status_code == 200
    changed = answer.json()
    moved = {"updated_at", "completed_at"}
    assert {k: v for k, v in changed.items() if k not in moved} == {
        k: v for k, v in (task | {field: value}).items() if k not in moved
    }


async def test_an_empty_patch_moves_nothing(alice, revision_of):
    task = await make(alice)
    before = await revision_of(task["user_id"])
    answer = await alice.patch(f"/tasks/{task['id']}", json={})
    assert (answer.status_code, answer.json()) == (200, task)
    assert await revision_of(task["user_id"]) == before


@pytest.mark.parametrize("field", ["text", "completed", "order"])
async def test_null_in_a_patch_is_refused(alice, field):
    task = await make(alice)
    answer = await alice.patch(f"/tasks/{task['id']}", json={field: None})
    assert answer.status_code == 422
    assert answer.json()["details"][0].startswith(f"{field} - ")
    assert (await alice.get(f"/tasks/{task['id']}")).json() == task


async def test_completing_twice_keeps_the_first_time_and_reopening_clears_it(alice):
    task = await make(alice)
    path = f"/tasks/{task['id']}"
    first = (await alice.patch(path, json={"completed": True})).json()
    assert first["completed_at"] == first["updated_at"]
    second = (await alice.patch(path, json={"completed": True})).json()
    assert second["completed_at"] == first["completed_at"]
    assert second["updated_at"] > first["updated_at"]
    renamed = (await alice.put(path, json={"text": "x", "completed": True})).json()
    assert renamed["completed_at"] == first["completed_at"]
    assert (await alice.patch(path, json={"completed": False})).json()["completed_at"] is None


async def test_a_tasks_time_never_runs_back(alice, rows_of, database_url):
    """Writers of two machines may disagree on the time; the later write must not look older."""
    task = await make(alice)
    future = datetime.now(UTC) + timedelta(hours=1)
    sql = "UPDATE tasks SET updated_at = $1 WHERE user_id = $2"
    await administer(database_url, sql, future, task["user_id"])
    await alice.patch(f"/tasks/{task['id']}", json={"order": 1})
    await alice.delete(f"/tasks/{task['id']}")
    (row,) = await rows_of(task["user_id"])
    assert row["updated_at"] == future


async def test_a_deleted_task_does_not_exist_for_any_endpoint(alice):
    task = await make(alice)
    path = f"/tasks/{task['id']}"
    answer = await alice.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await texts(alice) == []
    for method, body in [
        ("GET", None),
        ("PUT", {"text": "x", "completed": True}),
        ("PATCH", {"text": "x"}),
        ("PATCH", {}),
        ("DELETE", None),
    ]:
        answer = await alice.request(method, path, json=body)
        assert (method, answer.status_code, answer.json()["error"]) == (method, 404, "NOT_FOUND")


async def test_a_deleted_task_stays_as_a_tombstone(alice, rows_of):
    task = await make(alice)
    await alice.delete(f"/tasks/{task['id']}")
    (row,) = await rows_of(task["user_id"])
    assert (row["text"], row["revision"]) == ("Buy milk", 2)
    assert row["deleted_at"] is not None


async def test_every_write_takes_the_next_revision_and_a_miss_takes_none(alice, rows_of, revision_of):
    first, second = await make(alice), await make(alice)
    await alice.patch(f"/tasks/{first['id']}", json={"order": 1})
    await alice.put(f"/tasks/{second['id']}", json={"text": "x", "completed": True})
    await alice.delete(f"/tasks/{first['id']}")
    for method in ("PATCH", "DELETE"):
        assert (await alice.request(method, f"/tasks/{NEVER}", json={"order": 1})).status_code == 404
    stamps = {str(row["id"]): row["revision"] for row in await rows_of(first["user_id"])}
    assert stamps == {first["id"]: 5, second["id"]: 4}
    assert await revision_of(first["user_id"]) == 5


STORED_AS_SENT = [
    "  spaces around  ",
    "😀👨‍👩‍👧‍👦🇩🇪",
    "e\u0301 is not é",
    "שלום עולם",
    "'; DROP TABLE tasks; --",
    '"quotes" and \\ backslashes \\u0041',
    "tab\tand\nnew line",
    "\u200b zero width \u202e turned",
    "\ufffe\uffff\x7f\x01",
    "$1 %s {0} :name",
    "<script>alert(1)</script>",
    "x" * 500,
    "😀" * 500,
]


@pytest.mark.parametrize("text", STORED_AS_SENT)
async def test_text_is_stored_exactly_as_sent(alice, text, rows_of):
    task = await make(alice, text)
    assert task["text"] == text
    (row,) = await rows_of(task["user_id"])
    assert row["text"] == text
    changed = await alice.patch(f"/tasks/{task['id']}", json={"text": text[::-1]})
    assert changed.json()["text"] == text[::-1]


REFUSED: list[tuple[str, str]] = [
    ('{"text": ""}', "text"),
    ('{"text": "   "}', "text"),
    ('{"text": "\\u00a0\\u2003\\t\\n"}', "text"),
    ('{"text": "a\\u0000b"}', "text"),
    ('{"text": "\\u0000"}', "text"),
    ('{"text": "%s"}' % ("x" * 501), "text"),
    ('{"text": "%s"}' % ("😀" * 501), "text"),
    ('{"text": null}', "text"),
    ('{"text": 1}', "text"),
    ('{"text": ["x"]}', "text"),
    ("{}", "text"),
    ('{"text": "x", "completed": "yes"}', "completed"),
    ('{"text": "x", "completed": "true"}', "completed"),
    ('{"text": "x", "completed": 1}', "completed"),
    ('{"text": "x", "completed": 1.0}', "completed"),
    ('{"text": "x", "completed": null}', "completed"),
    ('{"text": "x", "order": 1.0}', "order"),
    ('{"text": "x", "order": 1.5}', "order"),
    ('{"text": "x", "order": "1"}', "order"),
    ('{"text": "x", "order": true}', "order"),
    ('{"text": "x", "order": null}', "order"),
    ('{"text": "x", "order": 2147483648}', "order"),
    ('{"text": "x", "order": -2147483649}', "order"),
    ('{"text": "x", "order": 1e400}', "body"),
    ('{"text": "x", "order": %s}' % ("9" * 5000), "body"),
    ('{"text": "\\ud800"}', "body"),
    ('{"text": "\\udc00 \\ud800"}', "body"),
    ('{"text": NaN}', "body"),
    ('{"text": "x"', "body"),
    ("{'text': 'x'}", "body"),
    ("", "body"),
    ("null", "body"),
    ("[]", "body"),
    ('"x"', "body"),
    ("1", "body"),
    ("[" * 3000, "body"),
    ('{"text": "x"} {}', "body"),
    ("\ufeff{}", "body"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED)
async def test_what_does_not_fit_is_refused_with_the_name_of_the_field(alice, body, field):
    answer = await alice.post("/tasks", content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    error = answer.json()
    assert error["error"] == "VALIDATION_ERROR"
    assert [line.split(" - ")[0] for line in error["details"]] == [field]
    assert await texts(alice) == []


async def test_bytes_that_are_no_utf8_are_refused(alice):
    answer = await alice.post(
        "/tasks", content=b'{"text": "\xff\xfe"}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


async def test_the_sent_value_is_never_repeated(alice):
    secret = "canary-" + "x" * 600
    answer = await alice.post("/tasks", json={"text": secret, "completed": "canary", "order": "canary"})
    assert answer.status_code == 422
    assert len(answer.json()["details"]) == 3
    assert "canary" not in answer.text


async def test_unknown_fields_are_ignored_the_owner_above_all(alice, bob):
    owner = (await make(bob))["user_id"]
    task = await make(alice, user_id=owner, revision=9, created_at="1970-01-01T00:00:00Z", zzz=1)
    assert task["user_id"] != owner
    assert not task["created_at"].startswith("1970")
    changed = await alice.patch(f"/tasks/{task['id']}", json={"user_id": owner, "id": str(NEVER)})
    assert changed.json() == task
    assert await texts(bob) == ["Buy milk"]


@pytest.mark.parametrize("task_id", ["nope", "1", "0" * 33, "%00", "00000000-0000-0000-0000-00000000000g"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_id_that_is_no_uuid_is_refused(alice, method, task_id):
    body = {"text": "x", "completed": True}
    answer = await alice.request(method, f"/tasks/{task_id}", json=body)
    assert answer.status_code == 422
    assert [line.split(" - ")[0] for line in answer.json()["details"]] == ["task_id"]


@pytest.mark.parametrize("path", ["/tasks/", "/tasks//", f"/tasks/{NEVER}/", "/health/", "/Tasks"])
async def test_only_the_canonical_path_answers_and_nothing_redirects(alice, path):
    for method in ("GET", "POST"):
        answer = await alice.request(method, path, json={"text": "x"})
        assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")


def test_the_document_means_by_white_space_what_the_service_does():
    """A text that fits the documented pattern is accepted, whatever language checks it (here not Python)."""
    pattern = TaskCreate.model_json_schema()["properties"]["text"]["pattern"]
    fits = jsonschema_rs.validator_for({"pattern": pattern}).is_valid
    for code in itertools.chain(range(0xD800), range(0xE000, 0x10000)):
        assert fits(chr(code)) is (code != 0 and bool(chr(code).strip())), hex(code)
