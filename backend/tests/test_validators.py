"""ETag, If-None-Match and If-Match: nothing sent twice, nobody's change overwritten."""

import asyncio
import re

import pytest

from app.api.entity_tags import Condition, condition
from app.errors import BadRequest
from app.queries.task_statements import LIST
from tests.conftest import administer
from tests.test_tasks import NEVER, make

# Reading the headers

CONDITIONS = [
    (['"5"'], {5}, {5}),
    (['W/"5"'], {5}, set()),
    (['"5", "7"'], {5, 7}, {5, 7}),
    (['"5"', 'W/"7"'], {5, 7}, {5}),
    ([', "5" ,, "7",'], {5, 7}, {5, 7}),
    (['"0"'], {0}, {0}),
    (['"05"'], set(), set()),
    (['"-5"'], set(), set()),
    (['"5 "'.replace(" ", "x")], set(), set()),
    (['""'], set(), set()),
    (['"a,b"'], set(), set()),
    (['"99999999999999999999999"'], set(), set()),
    (['"\xe9"'], set(), set()),
]


@pytest.mark.parametrize(("values", "weak", "strong"), CONDITIONS)
def test_a_list_of_tags_is_read(values, weak, strong):
    assert condition("If-None-Match", values, weak=True) == Condition(frozenset(weak))
    assert condition("If-Match", values, weak=False) == Condition(frozenset(strong))


def test_a_star_is_anything_and_no_header_is_no_condition():
    assert condition("If-Match", [" * "], weak=False) == Condition(anything=True)
    assert condition("If-Match", [], weak=False) is None


MALFORMED = ["", "5", "'5'", '"5', '5"', 'w/"5"', 'W/ "5"', '"5" "7"', '*, "5"', '"a b"', ","]


@pytest.mark.parametrize("values", [["*", "*"], *([text] for text in MALFORMED)])
def test_a_malformed_header_says_how_to_write_it(values):
    with pytest.raises(BadRequest, match=r"^If-Match: write it as it came in ETag"):
        condition("If-Match", values, weak=False)


def test_a_list_that_is_nearly_one_is_refused_at_once():
    """A pattern for all of it took seven times longer with each two more of these, without end."""
    with pytest.raises(BadRequest):
        condition("If-Match", ['"1"' + ",  " * 2000 + "x"], weak=False)


# Asking again


async def test_every_answer_with_a_task_has_its_revision_as_a_strong_tag(alice, rows_of):
    made = await alice.post("/tasks", json={"text": "x"})
    path = f"/tasks/{made.json()['id']}"
    answers = [
        made,
        await alice.get(path),
        await alice.put(path, json={"text": "y", "completed": True}),
        await alice.patch(path, json={"order": 1}),
        await alice.patch(path, json={}),
    ]
    assert [answer.headers["ETag"] for answer in answers] == ['"1"', '"1"', '"2"', '"3"', '"3"']
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    (row,) = await rows_of(made.json()["user_id"])
    assert row["revision"] == 3


async def test_every_write_tells_the_revision_that_it_made(alice, revision_of):
    made = await alice.post("/tasks", json={"text": "x"})
    path = f"/tasks/{made.json()['id']}"
    put = await alice.put(path, json={"text": "y", "completed": True})
    patched = await alice.patch(path, json={"order": 1})
    deleted = await alice.delete(path)
    assert [a.headers["X-Revision"] for a in (made, put, patched, deleted)] == ["1", "2", "3", "4"]
    assert await revision_of(made.json()["user_id"]) == 4
    assert "ETag" not in deleted.headers


async def test_the_list_has_the_users_revision_as_a_weak_tag(alice, bob):
    assert (await alice.get("/tasks")).headers["ETag"] == 'W/"0"'
    task = await make(alice)
    assert (await alice.get("/tasks")).headers["ETag"] == 'W/"1"'
    await alice.delete(f"/tasks/{task['id']}")
    listed = await alice.get("/tasks")
    assert listed.headers["ETag"] == 'W/"2"'
    assert listed.json() == {"tasks": [], "count": 0}
    assert (await bob.get("/tasks")).headers["ETag"] == 'W/"0"'


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{id}"])
async def test_what_the_caller_has_is_not_sent_again(alice, path):
    path = path.format(**await make(alice))
    first = await alice.get(path)
    for known in (first.headers["ETag"], '"1"', 'W/"1"', '"7", W/"1"', "*"):
        again = await alice.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert (again.headers["ETag"], again.headers["Cache-Control"]) == (first.headers["ETag"], "no-store")
        assert "Content-Type" not in again.headers
    for other in ('"2"', '"01"', 'W/"x"'):
        assert (await alice.get(path, headers={"If-None-Match": other})).content == first.content


async def test_an_empty_list_can_be_known_too(alice):
    assert (await alice.get("/tasks", headers={"If-None-Match": 'W/"0"'})).status_code == 304
    assert (await alice.get("/tasks", headers={"If-None-Match": 'W/"1"'})).json()["count"] == 0


async def test_a_change_of_any_task_sends_the_list_again(alice):
    task = await make(alice)
    for change in ("patch", "delete"):
        known = (await alice.get("/tasks")).headers["ETag"]
        options = {"json": {"completed": True}} if change == "patch" else {}
        await alice.request(change.upper(), f"/tasks/{task['id']}", **options)
        assert (await alice.get("/tasks", headers={"If-None-Match": known})).status_code == 200


async def test_a_task_that_is_not_there_is_404_whatever_is_known(alice):
    for known in ("*", '"1"'):
        assert (await alice.get(f"/tasks/{NEVER}", headers={"If-None-Match": known})).status_code == 404


@pytest.mark.parametrize(
    ("known", "wanted", "reads"), [([1], True, False), ([2], False, False), ([2], True, True)]
)
async def test_a_known_list_is_answered_without_reading_a_task(database_url, alice, known, wanted, reads):
    arguments = {"user_id": (await make(alice))["user_id"], "known": known, "wanted": wanted}
    plan = await administer(
        database_url, f"EXPLAIN (ANALYZE, TIMING OFF) {LIST.sql}", *LIST.arguments(arguments)
    )
    scans = [line[0] for line in plan if re.search(r"Scan .*on tasks ", line[0])]
    assert any("never executed" not in line for line in scans) is reads


# Changing only what one knows

WRITES = [
    ("PUT", {"text": "new", "completed": True}),
    ("PATCH", {"text": "new"}),
    ("PATCH", {}),
    ("DELETE", None),
]


@pytest.mark.parametrize(("method", "body"), WRITES)
@pytest.mark.parametrize("known", ['"2"', '"1", "2"', "*", 'W/"2", "2"'])
async def test_a_change_of_what_one_knows_is_made(alice, method, body, known):
    task = await make(alice)
    path = f"/tasks/{task['id']}"
    await alice.patch(path, json={"text": "second"})
    answer = await alice.request(method, path, json=body, headers={"If-Match": known})
    assert answer.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize(("method", "body"), WRITES)
@pytest.mark.parametrize("known", ['"1"', 'W/"2"', '"02"', '"x"', '"1", "3"', '""'])
async def test_a_change_of_what_was_changed_meanwhile_is_refused(
    alice, rows_of, revision_of, method, body, known
):
    task = await make(alice)
    path = f"/tasks/{task['id']}"
    await alice.patch(path, json={"text": "second"})
    before = await rows_of(task["user_id"])
    answer = await alice.request(method, path, json=body, headers={"If-Match": known})
    assert (answer.status_code, answer.json()["error"]) == (412, "PRECONDITION_FAILED")
    assert answer.headers["ETag"] == '"2"'
    assert "X-Revision" not in answer.headers
    assert await rows_of(task["user_id"]) == before
    assert await revision_of(task["user_id"]) == 2


@pytest.mark.parametrize(("method", "body"), WRITES)
async def test_what_is_not_there_is_404_and_what_is_malformed_400(alice, bob, method, body):
    theirs = await make(bob)
    for task_id in (NEVER, theirs["id"]):
        for known in ("*", '"1"', '"x"'):
            answer = await alice.request(method, f"/tasks/{task_id}", json=body, headers={"If-Match": known})
            assert (answer.status_code, "ETag" in answer.headers) == (404, False)
    malformed = await bob.request(method, f"/tasks/{theirs['id']}", json=body, headers={"If-Match": "1"})
    assert (malformed.status_code, malformed.json()["error"]) == (400, "BAD_REQUEST")


async def test_of_fifty_racing_changes_of_one_state_one_is_made(alice):
    task = await make(alice)
    path, known = f"/tasks/{task['id']}", {"If-Match": '"1"'}
    answers = await asyncio.gather(
        *(alice.patch(path, json={"text": str(number)}, headers=known) for number in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    (made,) = [answer for answer in answers if answer.status_code == 200]
    end = await alice.get(path)
    assert (end.json(), end.headers["ETag"]) == (made.json(), made.headers["ETag"])
    assert {a.headers["ETag"] for a in answers} == {end.headers["ETag"]}


async def test_of_a_racing_delete_and_change_of_one_state_one_is_made(alice):
    for _ in range(10):
        path = f"/tasks/{(task := await make(alice))['id']}"
        known = {"If-Match": (await alice.get(path)).headers["ETag"]}
        deleted, patched = await asyncio.gather(
            alice.delete(path, headers=known), alice.patch(path, json={"text": "x"}, headers=known)
        )
        assert (deleted.status_code, patched.status_code) in {(204, 404), (412, 200)}, task


@pytest.mark.parametrize(("method", "body"), WRITES)
async def test_if_match_can_be_required(strict, method, body):
    path = f"/tasks/{(await make(strict))['id']}"
    refused = await strict.request(method, path, json=body)
    assert (refused.status_code, refused.json()["error"]) == (428, "PRECONDITION_REQUIRED")
    assert (await strict.get(path)).status_code == 200
    made = await strict.request(method, path, json=body, headers={"If-Match": '"1"'})
    assert made.is_success


async def test_pages_may_send_and_read_the_headers(alice):
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "PATCH"}
    asked["Access-Control-Request-Headers"] = "if-match,if-none-match"
    assert (await alice.options("/tasks/x", headers=asked)).status_code == 200
    answer = await alice.get("/tasks", headers={"Origin": "http://localhost:3000"})
    assert {"ETag", "X-Revision"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))
