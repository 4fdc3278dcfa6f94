"""A create that is sent again, because its answer got lost, makes no second task."""

import asyncio
import uuid

import pytest

from tests.conftest import held_up
from tests.test_tasks import make


def chosen() -> dict[str, str]:
    return {"id": str(uuid.uuid4()), "text": "Buy milk"}


async def test_an_id_of_the_callers_is_taken_over(alice):
    body = chosen()
    made = await alice.post("/tasks", json=body)
    assert (made.status_code, made.json()["id"], made.headers["ETag"]) == (201, body["id"], '"1"')
    assert (await alice.get(f"/tasks/{body['id']}")).json() == made.json()


@pytest.mark.parametrize("more", [{}, {"completed": True, "order": 7}])
async def test_the_same_again_is_the_task_that_is_there(alice, rows_of, revision_of, more):
    body = chosen() | more
    made = await alice.post("/tasks", json=body)
    again = await alice.post("/tasks", json=body)
    assert (again.status_code, again.json()) == (200, made.json())
    assert [again.headers[name] for name in ("ETag", "X-Revision")] == ['"1"', "1"]
    assert len(await rows_of(made.json()["user_id"])) == 1
    assert await revision_of(made.json()["user_id"]) == 1


@pytest.mark.parametrize("change", [{"text": "Buy oat milk"}, {"completed": True}, {"order": 1}])
async def test_another_task_with_the_same_id_is_a_conflict(alice, rows_of, revision_of, change):
    body = chosen()
    made = (await alice.post("/tasks", json=body)).json()
    refused = await alice.post("/tasks", json=body | change)
    assert (refused.status_code, refused.json()["error"]) == (409, "CONFLICT")
    assert (await alice.get(f"/tasks/{made['id']}")).json() == made
    assert len(await rows_of(made["user_id"])) == await revision_of(made["user_id"]) == 1


async def test_a_task_that_was_deleted_does_not_come_back(alice, rows_of, revision_of):
    body = chosen()
    made = (await alice.post("/tasks", json=body)).json()
    await alice.delete(f"/tasks/{made['id']}")
    refused = await alice.post("/tasks", json=body)
    assert (refused.status_code, refused.json()["error"]) == (409, "CONFLICT")
    assert "was deleted" in refused.json()["message"]
    assert (await alice.get("/tasks")).json()["count"] == 0
    assert (len(await rows_of(made["user_id"])), await revision_of(made["user_id"])) == (1, 2)


async def test_two_users_may_choose_the_same_id_and_learn_nothing(alice, bob):
    body = chosen()
    made = [await user.post("/tasks", json=body) for user in (alice, bob)]
    assert [answer.status_code for answer in made] == [201, 201]
    await alice.patch(f"/tasks/{body['id']}", json={"text": "alice's"})
    assert (await bob.get(f"/tasks/{body['id']}")).json()["text"] == "Buy milk"


@pytest.mark.parametrize(
    "task_id", ["", "1", 1, None, True, "x" * 36, ["01890a5d-ac96-774b-bcce-b302099a8057"]]
)
async def test_an_id_that_is_none_is_refused(alice, task_id):
    refused = await alice.post("/tasks", json={"text": "x", "id": task_id})
    assert refused.status_code == 422
    assert [line.split(" - ")[0] for line in refused.json()["details"]] == ["id"]


async def test_of_a_hundred_racing_creates_with_one_id_one_makes_a_task(alice, rows_of):
    body = chosen()
    answers = await asyncio.gather(*(alice.post("/tasks", json=body) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]
    (one,) = {answer.text for answer in answers}
    assert one == (await alice.get(f"/tasks/{body['id']}")).text
    assert len(await rows_of(answers[0].json()["user_id"])) == 1


async def test_of_creates_that_all_found_the_id_free_one_makes_a_task(alice, rows_of, database_url):
    """They wait for the counter, which somebody holds, and have looked for the id before."""
    user_id, body = (await make(alice))["user_id"], chosen()
    async with held_up(database_url, user_id, 8):
        racing = [asyncio.create_task(alice.post("/tasks", json=body)) for _ in range(8)]
    answers = await asyncio.gather(*racing)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len(await rows_of(user_id)) == 2


async def test_a_create_without_an_id_makes_a_task_each_time(alice):
    assert (await make(alice, "x"))["id"] != (await make(alice, "x"))["id"]
    assert (await alice.get("/tasks")).json()["count"] == 2
