"""Writers at the same time: nothing lost, no revision twice, nothing back from the dead."""

import asyncio
import uuid

from tests.test_tasks import make, texts


async def test_racing_first_tasks_of_a_user_all_stay(alice, rows_of, revision_of):
    made = await asyncio.gather(*(make(alice, str(number)) for number in range(40)))
    rows = await rows_of(made[0]["user_id"])
    assert sorted(row["revision"] for row in rows) == list(range(1, 41))
    assert await revision_of(made[0]["user_id"]) == 40
    assert len(await texts(alice)) == 40


async def test_racing_patches_of_different_fields_all_stay(alice, revision_of):
    task = await make(alice)
    path = f"/tasks/{task['id']}"
    changes = [{"text": "new"}, {"completed": True}, {"order": 7}] * 10
    answers = await asyncio.gather(*(alice.patch(path, json=change) for change in changes))
    assert {answer.status_code for answer in answers} == {200}
    end = (await alice.get(path)).json()
    assert (end["text"], end["completed"], end["order"]) == ("new", True, 7)
    assert end["completed_at"] == min(a.json()["completed_at"] for a in answers if a.json()["completed"])
    assert await revision_of(task["user_id"]) == 31


async def test_a_delete_among_patches_is_final(alice, rows_of):
    for _ in range(10):
        task = await make(alice)
        path = f"/tasks/{task['id']}"
        patches = [alice.patch(path, json={"order": number}) for number in range(6)]
        *answers, deleted = await asyncio.gather(*patches, alice.delete(path))
        assert deleted.status_code == 204
        assert {answer.status_code for answer in answers} <= {200, 404}
        assert (await alice.get(path)).status_code == 404
        (row,) = [row for row in await rows_of(task["user_id"]) if str(row["id"]) == task["id"]]
        assert row["deleted_at"] is not None


async def test_only_one_of_racing_deletes_succeeds(alice, rows_of, revision_of):
    """A delete that loses may leave a number of the counter unused; none repeats and none goes back."""
    task = await make(alice)
    answers = await asyncio.gather(*(alice.delete(f"/tasks/{task['id']}") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 9
    (row,) = await rows_of(task["user_id"])
    assert 2 <= row["revision"] <= await revision_of(task["user_id"])


async def test_no_revision_stands_twice_however_writers_mix(alice, rows_of):
    tasks = [await make(alice) for _ in range(8)]

    async def work(task: dict[str, str]) -> None:
        path = f"/tasks/{task['id']}"
        await alice.patch(path, json={"text": str(uuid.uuid4())})
        await alice.put(path, json={"text": "x", "completed": True})
        await make(alice)
        await alice.delete(path)

    await asyncio.gather(*(work(task) for task in tasks))
    stamps = [row["revision"] for row in await rows_of(tasks[0]["user_id"])]
    assert len(stamps) == len(set(stamps)) == 16
