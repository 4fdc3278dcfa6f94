"""A request with an Idempotency-Key is made once, however often it is sent."""

import asyncio
import uuid
from typing import Any

import httpx2 as httpx
import pytest

from app.api.idempotency import idempotency_key
from app.errors import BadRequest
from tests.conftest import administer, held_up
from tests.test_tasks import make

# Reading the header

KEYS = [
    ("abc", "abc"),
    ('"abc"', "abc"),
    (' "abc"\t', "abc"),
    (r'"a\"b\\c"', r'a"b\c'),
    ("a;b=c", "a;b=c"),
    ("!", "!"),
    ("x" * 255, "x" * 255),
    ('"' + "x" * 255 + '"', "x" * 255),
    ('"' + r"\"" * 255 + '"', '"' * 255),
]


@pytest.mark.parametrize(("sent", "key"), KEYS)
def test_a_key_is_read_quoted_or_bare(sent, key):
    assert idempotency_key([sent]) == key


def test_without_the_header_there_is_no_key():
    assert idempotency_key([]) is None


MALFORMED = [
    "",
    '""',
    '"',
    '"a',
    'a"',
    'a"b"',
    "a b",
    "a,b",
    "é",
    "x" * 256,
    '"' + "x" * 256 + '"',
    '"a";b=1',
    r'"\a"',
]


@pytest.mark.parametrize("values", [["a", "a"], ['"a"', '"b"'], *([text] for text in MALFORMED)])
def test_a_malformed_or_double_key_says_what_to_send(values):
    with pytest.raises(BadRequest, match=r"^Idempotency-Key: send one, of 1 to 255 visible characters"):
        idempotency_key(values)


# Creating once


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def told(answer: httpx.Response) -> tuple[Any, ...]:
    return answer.status_code, answer.content, answer.headers["ETag"], answer.headers["X-Revision"]


BODIES = [
    {"text": "Buy milk"},
    {"text": '"\\ \u2028 \U0001f4a5 ' + "\x01" * 9, "completed": True, "order": -7},
    {"text": "mine", "id": "01890a5d-ac96-774b-bcce-b302099a8057"},
]


@pytest.mark.parametrize("body", BODIES)
async def test_the_same_again_is_the_first_answer_again(alice, rows_of, revision_of, body):
    once = key()
    first = await alice.post("/tasks", json=body, headers=once)
    assert (first.status_code, "Idempotent-Replayed" in first.headers) == (201, False)
    for _ in range(2):
        again = await alice.post("/tasks", json=body, headers=once)
        assert told(again) == told(first)
        assert again.headers["Idempotent-Replayed"] == "true"
    user_id = first.json()["user_id"]
    assert len(await rows_of(user_id)) == await revision_of(user_id) == 1


async def test_what_is_asked_for_counts_and_not_how_it_is_written(alice):
    once = key()
    first = await alice.post("/tasks", json={"text": "x"}, headers=once)
    quoted = {"Idempotency-Key": f'"{once["Idempotency-Key"]}"', "Content-Type": "application/json"}
    again = await alice.post(
        "/tasks", content=b'{"order":0 , "completed": false, "text": "\\u0078"}', headers=quoted
    )
    assert told(again) == told(first)


@pytest.mark.parametrize(
    "change", [{"text": "y"}, {"completed": True}, {"order": 1}, {"id": str(uuid.uuid4())}]
)
async def test_another_request_with_the_key_is_refused(alice, rows_of, revision_of, change):
    once = key()
    made = (await alice.post("/tasks", json={"text": "x"}, headers=once)).json()
    refused = await alice.post("/tasks", json={"text": "x"} | change, headers=once)
    assert (refused.status_code, refused.json()["error"]) == (422, "VALIDATION_ERROR")
    assert "take a new key" in refused.json()["message"]
    assert len(await rows_of(made["user_id"])) == await revision_of(made["user_id"]) == 1


async def test_a_task_that_was_changed_or_deleted_stays_so(alice, rows_of):
    once = key()
    first = await alice.post("/tasks", json={"text": "x"}, headers=once)
    path = f"/tasks/{first.json()['id']}"
    await alice.patch(path, json={"text": "changed"})
    assert told(await alice.post("/tasks", json={"text": "x"}, headers=once)) == told(first)
    assert (await alice.get(path)).json()["text"] == "changed"
    await alice.delete(path)
    assert told(await alice.post("/tasks", json={"text": "x"}, headers=once)) == told(first)
    assert (await alice.get(path)).status_code == 404
    assert len(await rows_of(first.json()["user_id"])) == 1


async def test_a_task_that_was_removed_for_good_stays_removed(alice, database_url, rows_of):
    once = key()
    first = await alice.post("/tasks", json={"text": "x"}, headers=once)
    user_id = first.json()["user_id"]
    await administer(database_url, "DELETE FROM tasks WHERE user_id = $1", user_id)
    assert told(await alice.post("/tasks", json={"text": "x"}, headers=once)) == told(first)
    assert await rows_of(user_id) == []


async def test_a_refused_request_leaves_its_key_free(alice):
    once, taken = key(), await make(alice)
    for status, body in [(422, {"text": ""}), (409, {"text": "y", "id": taken["id"]}), (201, {"text": "x"})]:
        assert (await alice.post("/tasks", json=body, headers=once)).status_code == status


async def test_with_an_id_that_is_there_the_key_changes_nothing(alice):
    body = {"text": "x", "id": str(uuid.uuid4())}
    first = await alice.post("/tasks", json=body)
    again = await alice.post("/tasks", json=body, headers=key())
    assert (again.status_code, again.content) == (200, first.content)
    assert "Idempotent-Replayed" not in again.headers
    await alice.delete(f"/tasks/{body['id']}")
    assert (await alice.post("/tasks", json=body, headers=key())).status_code == 409


async def test_a_key_is_the_callers_own(alice, bob):
    once = key()
    first = await alice.post("/tasks", json={"text": "alice's"}, headers=once)
    other = await bob.post("/tasks", json={"text": "bob's"}, headers=once)
    assert (other.status_code, other.headers["ETag"]) == (201, '"1"')
    assert told(await alice.post("/tasks", json={"text": "alice's"}, headers=once)) == told(first)


async def test_a_malformed_key_is_400_and_nothing_is_made(alice):
    for value in ("a b", '"a'):
        refused = await alice.post("/tasks", json={"text": "x"}, headers={"Idempotency-Key": value})
        assert (refused.status_code, refused.json()["error"]) == (400, "BAD_REQUEST")
    assert (await alice.get("/tasks")).json()["count"] == 0


async def test_times_are_told_as_the_first_time_whatever_zone_the_database_is_in(
    alice, client_for, settings, make_database
):
    from app.main import close, create_app  # noqa: PLC0415 - an app of its own

    url = await make_database()
    name = url.split("/")[3].split("?")[0]
    await administer(url, f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'")
    app = create_app(settings.model_copy(update={"database_url": url}))
    async with client_for("carol", app) as carol:
        once = key()
        first = await carol.post("/tasks", json={"text": "x", "completed": True}, headers=once)
        assert told(await carol.post("/tasks", json={"text": "x", "completed": True}, headers=once)) == told(
            first
        )
    await close(app)


# Racing


async def test_of_a_hundred_racing_creates_with_one_key_one_makes_a_task(alice, rows_of, revision_of):
    once = key()
    answers = await asyncio.gather(
        *(alice.post("/tasks", json={"text": "x"}, headers=once) for _ in range(100))
    )
    assert {told(answer) for answer in answers} == {told(answers[0])}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 99
    user_id = answers[0].json()["user_id"]
    assert len(await rows_of(user_id)) == await revision_of(user_id) == 1


async def test_of_creates_that_all_found_the_key_free_one_makes_a_task(
    alice, rows_of, revision_of, database_url
):
    """They wait for the counter, which somebody holds, and have looked for the key before."""
    user_id, once = (await make(alice))["user_id"], key()
    async with held_up(database_url, user_id, 8):
        racing = [
            asyncio.create_task(alice.post("/tasks", json={"text": "x"}, headers=once)) for _ in range(8)
        ]
    answers = await asyncio.gather(*racing)
    assert {told(answer) for answer in answers} == {told(answers[0])}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert len(await rows_of(user_id)) == await revision_of(user_id) == 2


async def test_a_repetition_waits_for_nobody(alice, database_url):
    """It looks for its key before it takes the counter, which somebody holds."""
    once = key()
    first = await alice.post("/tasks", json={"text": "x"}, headers=once)
    async with held_up(database_url, first.json()["user_id"], 0):
        assert told(await alice.post("/tasks", json={"text": "x"}, headers=once)) == told(first)
