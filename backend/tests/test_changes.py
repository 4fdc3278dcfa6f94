"""What changed since: a client that keeps the revision and comes back misses nothing."""

import asyncio
import random
import uuid
from typing import Any

import httpx2 as httpx
import pytest

from tests.conftest import administer
from tests.test_tasks import make


class Copy:
    """What a client keeps: the tasks, and up to where it knows."""

    def __init__(self, client: httpx.AsyncClient, limit: int = 1000) -> None:
        self.client, self.limit = client, limit
        self.tasks: dict[str, dict[str, Any]] = {}
        self.revision: int | None = None

    async def pull(self) -> list[int]:
        """Come back until there is no more; return how much each page held."""
        sizes, has_more = [], True
        while has_more:
            since = {} if self.revision is None else {"since": self.revision}
            answer = await self.client.get("/tasks/changes", params={"limit": self.limit, **since})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            told = [*(task["id"] for task in page["tasks"]), *page["deleted"]]
            assert len(told) == len(set(told))
            self.tasks |= {task["id"]: task for task in page["tasks"]}
            for task_id in page["deleted"]:
                self.tasks.pop(task_id, None)
            self.revision, has_more = page["revision"], page["has_more"]
            sizes.append(len(told))
        return sizes

    async def equals_the_server(self) -> bool:
        listed = (await self.client.get("/tasks")).json()["tasks"]
        ours = [
            {name: value for name, value in task.items() if name != "revision"}
            for task in self.tasks.values()
        ]
        return sorted(ours, key=lambda task: task["id"]) == sorted(listed, key=lambda task: task["id"])


async def changes(client: httpx.AsyncClient, **params: int) -> dict[str, Any]:
    answer = await client.get("/tasks/changes", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_who_never_wrote_has_nothing_at_revision_0(alice):
    nothing = {"tasks": [], "deleted": [], "revision": 0, "has_more": False}
    assert await changes(alice) == await changes(alice, since=0) == nothing


async def test_each_change_is_told_once_and_as_it_is_now(alice):
    first, second = await make(alice, "a"), await make(alice, "b")
    start = await changes(alice)
    assert start["tasks"] == [first | {"revision": 1}, second | {"revision": 2}]
    assert (start["deleted"], start["revision"], start["has_more"]) == ([], 2, False)
    await alice.patch(f"/tasks/{first['id']}", json={"text": "c"})
    changed = (await alice.patch(f"/tasks/{first['id']}", json={"completed": True})).json()
    await alice.delete(f"/tasks/{second['id']}")
    later = await changes(alice, since=2)
    assert later["tasks"] == [changed | {"revision": 4}]
    assert (later["deleted"], later["revision"], later["has_more"]) == ([second["id"]], 5, False)
    assert await changes(alice, since=5) == {"tasks": [], "deleted": [], "revision": 5, "has_more": False}
    assert (await changes(alice))["deleted"] == []


async def test_what_came_and_went_between_two_looks_is_told_as_deleted(alice):
    task = await make(alice)
    await alice.delete(f"/tasks/{task['id']}")
    assert (await changes(alice, since=0))["deleted"] == [task["id"]]
    assert (await changes(alice, since=1))["deleted"] == [task["id"]]


@pytest.mark.no_cover
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
async def test_pages_add_up_to_the_whole_whatever_is_written_between_them(alice, limit):
    draw = random.Random(limit)  # noqa: S311 - no secret
    tasks = [await make(alice, str(number)) for number in range(10)]
    copy = Copy(alice, limit)
    for _ in range(6):
        for _ in range(draw.randrange(6)):
            path = f"/tasks/{draw.choice(tasks)['id']}"
            if draw.random() < 0.3:
                await alice.delete(path)
            else:
                await alice.patch(path, json={"order": draw.randrange(9)})
        tasks.append(await make(alice))
        assert max(await copy.pull()) <= limit
        assert await copy.equals_the_server()


async def stamp(database_url: str, ids: list[str], revision: int) -> None:
    """Let several tasks have one revision, as a move has that makes room."""
    sql = "UPDATE tasks SET revision = $2 WHERE id = ANY($1::uuid[])"
    await administer(database_url, sql, ids, revision)


async def test_a_revision_is_never_cut(alice, database_url):
    ids = [(await make(alice, str(number)))["id"] for number in range(9)]
    await stamp(database_url, ids[2:5], 5)
    page = await changes(alice, limit=3)
    assert ([task["revision"] for task in page["tasks"]], page["revision"], page["has_more"]) == (
        [1, 2],
        4,
        True,
    )
    page = await changes(alice, since=4, limit=3)
    assert ([task["revision"] for task in page["tasks"]], page["revision"]) == ([5, 5, 5], 5)
    assert page["has_more"]
    assert [task["revision"] for task in (await changes(alice, since=5, limit=3))["tasks"]] == [6, 7, 8]


async def test_a_revision_that_is_more_than_a_page_is_told_whole(alice, database_url):
    ids = [(await make(alice, str(number)))["id"] for number in range(6)]
    await stamp(database_url, ids[:4], 4)
    page = await changes(alice, limit=2)
    assert ([task["revision"] for task in page["tasks"]], page["revision"], page["has_more"]) == (
        [4] * 4,
        4,
        True,
    )
    copy = Copy(alice, 1)
    assert await copy.pull() == [4, 1, 1]
    assert await copy.equals_the_server()


async def test_a_number_that_no_task_carries_is_told_too(alice, database_url):
    """A change that lost a race leaves one; it must not look as if there were more."""
    user_id = (await make(alice))["user_id"]
    await administer(database_url, "UPDATE task_lists SET revision = 5 WHERE user_id = $1", user_id)
    for params, told in (({}, 1), ({"since": 1}, 0), ({"limit": 1}, 1)):
        page = await changes(alice, **params)
        assert (len(page["tasks"]), page["revision"], page["has_more"]) == (told, 5, False)


PURGE = "UPDATE task_lists SET purged_revision = $2 WHERE user_id = $1"


async def test_who_knows_less_than_was_purged_starts_over(alice, database_url):
    user_id = (await make(alice))["user_id"]
    for _ in range(3):
        await make(alice)
    await administer(database_url, PURGE, user_id, 2)
    for since in (0, 1):
        refused = await alice.get("/tasks/changes", params={"since": since})
        assert (refused.status_code, refused.json()["error"]) == (410, "GONE")
        assert "without `since`" in refused.json()["message"]
    assert len((await changes(alice, since=2))["tasks"]) == 2
    assert len((await changes(alice))["tasks"]) == 4


async def test_a_start_in_pages_ends_though_much_was_purged(alice, database_url):
    """Its pages are below what was purged, and still each can be come back from."""
    user_id = (await make(alice))["user_id"]
    for _ in range(7):
        await make(alice)
    await administer(database_url, PURGE, user_id, 5)
    copy = Copy(alice, 2)
    assert await copy.pull() == [5, 2, 1]
    assert await copy.equals_the_server()


async def test_a_revision_that_was_never_reached_is_refused(alice, bob):
    await make(bob)
    await make(alice)
    refused = await alice.get("/tasks/changes", params={"since": 2})
    assert (refused.status_code, refused.json()["error"]) == (400, "BAD_REQUEST")
    assert "`since`" in refused.json()["message"]
    assert (await alice.get("/tasks/changes", params={"since": 10**18 - 1})).status_code == 400


BAD = [
    *({"since": value} for value in ("", "-1", "x", "1.0", " 1", "1_0", "+1", "\u0661", "9" * 19, "null")),
    *({"limit": value} for value in ("", "0", "-1", "1001", "x", "10.0")),
]


@pytest.mark.parametrize("params", BAD, ids=str)
async def test_what_is_no_number_in_range_is_refused(alice, params):
    refused = await alice.get("/tasks/changes", params=params)
    assert (refused.status_code, refused.json()["error"]) == (422, "VALIDATION_ERROR")
    assert refused.json()["details"][0].startswith(f"{next(iter(params))} - must be ")


async def test_changes_are_the_callers_own(alice, bob):
    await make(alice, "alice's")
    theirs = await make(bob, "bob's")
    await bob.delete(f"/tasks/{theirs['id']}")
    told = await changes(alice, since=0)
    assert [task["text"] for task in told["tasks"]] == ["alice's"]
    assert told["deleted"] == []


@pytest.mark.no_cover
async def test_a_client_that_pulls_while_eight_write_misses_nothing(alice):
    copy, writing = Copy(alice, 5), True

    async def write() -> None:
        for _ in range(15):
            task = await make(alice, str(uuid.uuid4()))
            await alice.patch(f"/tasks/{task['id']}", json={"completed": True})
            if random.random() < 0.5:  # noqa: S311 - no secret
                await alice.delete(f"/tasks/{task['id']}")

    async def pull() -> None:
        while writing:
            await copy.pull()

    pulling = asyncio.create_task(pull())
    await asyncio.gather(*(write() for _ in range(8)))
    writing = False
    await pulling
    await copy.pull()
    assert await copy.equals_the_server()
