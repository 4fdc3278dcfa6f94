"""Two users, every endpoint, both directions: what is another's is not there."""

import itertools
import uuid

import httpx2 as httpx
import pytest

from tests.conftest import administer
from tests.test_tasks import make

ENDPOINTS = [
    ("GET", None),
    ("PUT", {"text": "mine now", "completed": True, "order": 9}),
    ("PATCH", {"text": "mine now"}),
    ("PATCH", {}),
    ("DELETE", None),
]


def comparable(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller could tell two answers apart by."""
    own = {"x-request-id"}
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in own}


@pytest.mark.parametrize(("method", "body"), ENDPOINTS)
async def test_anothers_task_is_answered_like_one_that_never_was(alice, bob, rows_of, method, body):
    for owner, other in itertools.permutations([alice, bob]):
        task = await make(owner, order=4)
        await make(other)
        before = await rows_of(task["user_id"])
        foreign = await other.request(method, f"/tasks/{task['id']}", json=body)
        never = await other.request(method, f"/tasks/{uuid.uuid4()}", json=body)
        assert foreign.status_code == 404
        assert comparable(foreign) == comparable(never)
        assert await rows_of(task["user_id"]) == before
        assert (await owner.get(f"/tasks/{task['id']}")).json() == task


async def test_a_list_holds_only_its_owners_tasks(alice, bob):
    ours = {(await make(alice))["id"] for _ in range(3)}
    theirs = {(await make(bob))["id"] for _ in range(2)}
    assert {task["id"] for task in (await alice.get("/tasks")).json()["tasks"]} == ours
    assert {task["id"] for task in (await bob.get("/tasks")).json()["tasks"]} == theirs


async def test_a_users_writes_do_not_move_anothers_counter(alice, bob, revision_of):
    task, other = await make(alice), await make(bob)
    before = await revision_of(other["user_id"])
    await alice.patch(f"/tasks/{task['id']}", json={"order": 1})
    await bob.delete(f"/tasks/{task['id']}")
    assert await revision_of(other["user_id"]) == before
    assert await revision_of(task["user_id"]) == 2


async def test_the_same_id_of_two_users_names_two_tasks(alice, bob, database_url):
    """The key begins with the owner, so an id can't collide with, or reveal, anybody else's."""
    task, other = await make(alice, "Alice's"), await make(bob, "Bob's")
    await administer(
        database_url,
        "UPDATE tasks SET id = $1 WHERE user_id = $2 AND id = $3",
        task["id"], other["user_id"], other["id"],
    )  # fmt: skip
    assert (await bob.get(f"/tasks/{task['id']}")).json()["text"] == "Bob's"
    assert (await bob.patch(f"/tasks/{task['id']}", json={"text": "Bob's own"})).status_code == 200
    assert (await bob.delete(f"/tasks/{task['id']}")).status_code == 204
    assert (await alice.get(f"/tasks/{task['id']}")).json() == task
