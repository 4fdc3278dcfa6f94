"""The clients of examples/, as they stand there, against a real server: offline, cut off, crashed."""

import asyncio
import random
import re
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.auth.tokens import sign
from app.config import BACKEND, Settings
from app.main import create_app
from tests.better_auth_server import FOLDER
from tests.conftest import SECRET, administer
from tests.sync_devices import (
    BATCH,
    CHANGES,
    EXAMPLES,
    PATIENCE,
    Device,
    Refused,
    device,
    python,
    typescript,
)
from tests.test_openapi import served

#: As strict as the compiler is, and nothing that Node would not run by itself (from 22.18 on).
TSC = [
    *("--ignoreConfig", "--strict", "--noUncheckedIndexedAccess", "--noUnusedLocals", "--noUnusedParameters"),
    *("--erasableSyntaxOnly", "--verbatimModuleSyntax", "--rewriteRelativeImportExtensions"),
    *("--target", "es2022", "--lib", "es2024,dom,dom.iterable", "--types", ""),
    *("--module", "esnext", "--moduleResolution", "bundler"),
]

LANGUAGES = ["python", pytest.param("typescript", marks=pytest.mark.node)]
each_language = pytest.mark.parametrize("language", LANGUAGES)

NewDevice = Callable[..., Awaitable[Device]]


def compile_into(folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOLDER / "node_modules/.bin/tsc", *TSC, "--outDir", folder, *files],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TypeScript of examples/, checked and compiled."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "package.json").write_text('{"type": "module"}')
    run = compile_into(folder, *sorted(EXAMPLES.glob("*.ts")))
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.mark.node
def test_the_code_of_the_page_fits_the_examples(tmp_path: Path):
    page = (BACKEND.parent / "docs/sync.md").read_text()
    blocks = re.findall(r"^```ts\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    given = """
        declare const userId: string, id: string, closing: AbortController;
        declare function newToken(): Promise<string>;
        declare function tell(text: string): void;
        declare function show(tasks: unknown[]): void;
    """
    (tmp_path / "page.ts").write_text("".join(blocks) + given)
    for example in EXAMPLES.glob("*.ts"):
        (tmp_path / example.name).symlink_to(example)
    run = compile_into(tmp_path / "out", tmp_path / "page.ts")
    assert (len(blocks), run.returncode) == (3, 0), run.stdout


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[str]:
    with served(create_app(settings)) as url:
        yield url


@pytest.fixture
def user() -> str:
    return f"alice-{uuid.uuid4()}"


@pytest.fixture
async def other(api: str, user: str) -> AsyncIterator[httpx.AsyncClient]:
    """The same user, somewhere else and always online."""
    headers = {"Authorization": f"Bearer {sign(user, SECRET, seconds=3600)}"}
    async with httpx.AsyncClient(base_url=api, headers=headers, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def new_device(
    request: pytest.FixtureRequest, api: str, user: str, tmp_path: Path
) -> AsyncIterator[NewDevice]:
    """Start a device of the user."""
    token = sign(user, SECRET, seconds=3600)
    async with AsyncExitStack() as started:

        async def start(language: str) -> Device:
            command = python() if language == "python" else typescript(request.getfixturevalue("compiled"))
            file = tmp_path / f"{uuid.uuid4()}.json"
            return await started.enter_async_context(device(command, api, file, token))

        yield start


def new_id() -> str:
    return str(uuid.uuid4())


async def list_of(other: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await other.get("/tasks")
    return [
        {name: task[name] for name in ("id", "text", "completed", "order")} for task in answer.json()["tasks"]
    ]


async def assert_in_step(device: Device, other: httpx.AsyncClient) -> list[dict[str, Any]]:
    """What the device shows is what the server has, in the same order, and nothing waits."""
    there = await list_of(other)
    assert await device.tasks() == there
    state = await device.stored()
    assert (state["queue"], state["batch"]) == ([], None)
    return there


async def texts_of(device: Device) -> list[str]:
    return sorted(task["text"] for task in await device.tasks())


async def fails(device: Device, status: int, command: str = "sync") -> Refused:
    with pytest.raises(Refused) as refused:
        await device.do(command)
    assert refused.value.status == status, refused.value
    return refused.value


@each_language
async def test_a_new_task_stands_first_by_its_id(language, new_device, other):
    device = await new_device(language)
    first = await device.add("create", await device.do("new_id"), text="first")
    made_by_the_server = (await other.post("/tasks", json={"text": "then"})).json()["id"]
    last = await device.add("create", await device.do("new_id"), text="last")
    assert {uuid.UUID(task).version for task in (first, last)} == {7}
    await device.do("sync")
    assert [task["id"] for task in await assert_in_step(device, other)] == [last, made_by_the_server, first]


@each_language
async def test_what_was_done_offline_is_shown_at_once_and_sent_on_the_way_back(language, new_device, other):
    device = await new_device(language)
    kept, gone = (
        await device.add("create", new_id(), text="kept"),
        await device.add("create", new_id(), text="gone"),
    )
    await device.do("sync")
    device.line.go_offline()
    made = await device.add("create", new_id(), text="made offline")
    await device.add("patch", made, text="changed before it was sent", completed=True)
    await device.add("patch", kept, order=-5)
    await device.add("delete", gone)
    undone = await device.add("create", new_id(), text="deleted, and taken back")
    await device.add("patch", undone, order=7)
    await device.add("delete", undone)
    await device.add("restore", undone)
    expected = [
        {"id": kept, "text": "kept", "completed": False, "order": -5},
        {"id": made, "text": "changed before it was sent", "completed": True, "order": 0},
        {"id": undone, "text": "deleted, and taken back", "completed": False, "order": 7},
    ]
    assert await device.tasks() == expected
    await fails(device, 0)
    assert await device.tasks() == expected
    device.line.go_online()
    await device.do("sync")
    assert await assert_in_step(device, other) == expected
    assert await device.do("conflicts") == []


@pytest.mark.parametrize("fate", ["before", "after", "middle"])
@each_language
async def test_a_batch_that_was_cut_off_is_done_once_wherever_that_was(language, fate, new_device, other):
    device = await new_device(language)
    task = await device.add("create", new_id(), text="old")
    await device.do("sync")
    await device.add("patch", task, text="mine")
    made = await device.add("create", new_id(), text="made")
    device.line.fail(BATCH, fate)
    await fails(device, 0)
    assert device.line.spoiled
    # What others did meanwhile is newer than the batch if that was done, and older if it was not.
    await other.patch(f"/tasks/{task}", json={"text": "theirs"})
    await other.patch(f"/tasks/{made}", json={"text": "theirs too"})
    later = await device.add("create", new_id(), text="after the cut")
    await device.do("sync")
    await assert_in_step(device, other)
    assert {each["id"] for each in await device.tasks()} == {task, made, later}
    done = (
        ["after the cut", "theirs", "theirs too"] if fate != "before" else ["after the cut", "made", "mine"]
    )
    assert await texts_of(device) == done
    assert await device.do("conflicts") == []


@each_language
async def test_a_late_answer_does_not_overwrite_what_was_fetched_since(language, new_device, other):
    """The answer to a repetition tells how it was then."""
    device = await new_device(language)
    kept, gone, back = [await device.add("create", new_id(), text=text) for text in ("kept", "gone", "back")]
    await device.do("sync")
    for task in (kept, gone):
        await device.add("patch", task, completed=True)
    await device.add("delete", back)
    device.line.fail(BATCH, "after")
    await fails(device, 0)
    await other.patch(f"/tasks/{kept}", json={"text": "kept and changed"})
    await other.delete(f"/tasks/{gone}")
    await other.post("/tasks/batch", json={"operations": [{"op": "restore", "id": back}]})
    # A second device would have fetched by now; this one learns of it while it waits for its answer.
    page = (await other.get("/tasks/changes")).json()
    await device.crash()
    device.store(known={task["id"]: task for task in page["tasks"]}, revision=page["revision"])
    await device.start()
    await device.do("sync")
    assert await texts_of(device) == ["back", "kept and changed"]
    await assert_in_step(device, other)


@each_language
async def test_a_crash_between_the_answer_and_its_storing_is_a_lost_answer(language, new_device, other):
    device = await new_device(language)
    task = await device.add("create", new_id(), text="old")
    await device.do("sync")
    await device.add("patch", task, text="mine")
    made = await device.add("create", new_id(), text="made")
    device.line.fail(BATCH, "hold")
    device.ask("sync")
    await asyncio.wait_for(device.line.held.wait(), PATIENCE)
    await device.crash()
    await other.patch(f"/tasks/{task}", json={"text": "theirs"})
    await device.start()
    assert await texts_of(device) == ["made", "mine"]
    await device.add("patch", made, order=3)
    await device.do("sync")
    await assert_in_step(device, other)
    assert [(each["text"], each["order"]) for each in await device.tasks()] == [("theirs", 0), ("made", 3)]
    assert await device.do("conflicts") == []


@each_language
async def test_what_is_refused_is_handed_over_with_what_is_there_now_and_the_rest_is_done(
    language, new_device, other
):
    device = await new_device(language)
    changed, gone, kept = [
        await device.add("create", new_id(), text=text) for text in ("one", "two", "three")
    ]
    await device.do("sync")
    revisions = {task["id"]: task["revision"] for task in await device.do("tasks")}
    await other.patch(f"/tasks/{changed}", json={"text": "changed elsewhere"})
    await other.delete(f"/tasks/{gone}")
    taken = (await other.post("/tasks", json={"text": "has the id"})).json()["id"]
    refused = [
        {"op": "patch", "id": changed, "text": "mine", "if_match": revisions[changed]},
        {"op": "patch", "id": gone, "text": "mine"},
        {"op": "create", "id": taken, "text": "wants the id"},
        {"op": "patch", "id": kept, "text": "x" * 501},
    ]
    for operation in refused:
        await device.do("add", operation)
        await device.add("create", new_id(), text=f"after {operation['text'][:12]} {operation['id']}")
    await device.add("patch", kept, completed=True)
    await device.do("sync")
    there = await assert_in_step(device, other)
    handed = await device.do("conflicts")
    assert [status for status, _, _ in handed] == [422, 412, 404, 409]
    assert [operation for _, operation, _ in handed] == [refused[3], *refused[:3]]
    assert handed[1][2]["text"] == "changed elsewhere"
    assert handed[2][2] is None
    by_id = {task["id"]: task for task in there}
    assert by_id[changed]["text"] == "changed elsewhere"
    assert by_id[taken]["text"] == "has the id"
    assert by_id[kept] == {"id": kept, "text": "three", "completed": True, "order": 0}
    assert gone not in by_id
    assert len([task for task in there if task["text"].startswith("after ")]) == 4


@each_language
async def test_changes_of_ones_own_are_no_conflict(language, new_device, other):
    """Each names the revision that the user saw; those made meanwhile are the user's own."""
    device = await new_device(language)
    task = await device.add("create", new_id(), text="seen")
    await device.do("sync")
    (seen,) = await device.do("tasks")
    for text in ("first", "second"):
        await device.add("patch", task, text=text, if_match=seen["revision"])
    device.line.fail(BATCH, "after")
    await fails(device, 0)
    await device.add("patch", task, text="third", if_match=seen["revision"])
    await device.do("sync")
    assert await device.do("conflicts") == []
    assert [task["text"] for task in await assert_in_step(device, other)] == ["third"]


@each_language
async def test_a_change_elsewhere_is_a_conflict_for_all_that_build_on_what_was_seen(
    language, new_device, other
):
    device = await new_device(language)
    task = await device.add("create", new_id(), text="seen")
    await device.do("sync")
    (seen,) = await device.do("tasks")
    await other.patch(f"/tasks/{task}", json={"text": "theirs"})
    for text in ("first", "second"):
        await device.add("patch", task, text=text, if_match=seen["revision"])
    await device.do("sync")
    assert [(status, operation["text"]) for status, operation, _ in await device.do("conflicts")] == [
        (412, "first"),
        (412, "second"),
    ]
    assert [task["text"] for task in await assert_in_step(device, other)] == ["theirs"]


@each_language
async def test_a_device_that_was_away_too_long_starts_over_and_still_sends_its_queue(
    language, new_device, other, user, database_url
):
    device = await new_device(language)
    kept, purged = [await device.add("create", new_id(), text=text) for text in ("kept", "purged")]
    await device.do("sync")
    await device.add("patch", kept, completed=True)
    made = await device.add("create", new_id(), text="made offline")
    await other.delete(f"/tasks/{purged}")
    # What the purge does.
    await administer(database_url, "DELETE FROM tasks WHERE user_id = $1 AND deleted_at IS NOT NULL", user)
    await administer(
        database_url, "UPDATE task_lists SET purged_revision = revision WHERE user_id = $1", user
    )
    assert await texts_of(device) == ["kept", "made offline", "purged"]
    device.line.fail(CHANGES, "before")
    await fails(device, 0)
    await device.do("sync")
    there = await assert_in_step(device, other)
    assert {task["id"] for task in there} == {kept, made}
    assert [task["completed"] for task in there if task["id"] == kept] == [True]


@each_language
async def test_the_copy_is_shown_until_the_new_one_begins(language, new_device, other, user, database_url):
    device = await new_device(language)
    await device.add("create", new_id(), text="kept")
    await device.do("sync")
    await administer(
        database_url, "UPDATE task_lists SET purged_revision = revision + 1, revision = revision + 1"
        " WHERE user_id = $1", user,
    )  # fmt: skip
    device.line.fail(CHANGES, raw("410 Gone", "{}"))
    device.line.fail(CHANGES, "before")
    await fails(device, 0)
    assert device.line.spoiled
    assert await texts_of(device) == ["kept"]
    await device.do("sync")
    await assert_in_step(device, other)


@each_language
async def test_a_revision_that_the_server_never_had_makes_it_start_over(language, new_device, other):
    """Its database was restored from a backup, say."""
    device = await new_device(language)
    await device.add("create", new_id(), text="there")
    await device.do("sync")
    await device.crash()
    device.store(
        revision=1_000_000, known={"lost": {"id": "lost", "text": "x", "completed": False, "order": 0}}
    )
    await device.start()
    await device.do("sync")
    await assert_in_step(device, other)


@each_language
async def test_many_operations_go_in_several_batches_and_a_cut_between_them_loses_none(
    language, new_device, other
):
    device = await new_device(language)
    ids = [await device.add("create", new_id(), text=f"task {number}") for number in range(250)]
    device.line.fail(BATCH, "before")
    await fails(device, 0)
    await device.do("sync")
    assert {task["id"] for task in await assert_in_step(device, other)} == set(ids)
    revision = (await other.get("/tasks/changes")).json()["revision"]
    assert revision == 250


@each_language
async def test_pages_are_followed_and_a_cut_between_them_is_taken_up_again(
    language, new_device, other, user, database_url
):
    for _ in range(3):
        operations = [{"op": "create", "text": f"{number}"} for number in range(100)]
        await other.post("/tasks/batch", json={"operations": operations})
    # As moves leave it: several tasks with one revision. 2,100 are three pages.
    await administer(
        database_url,
        'INSERT INTO tasks SELECT user_id, gen_random_uuid(), text, completed, "order", created_at, '
        "updated_at, completed_at, deleted_at, revision FROM tasks, generate_series(1, 6) WHERE user_id = $1",
        user,
    )
    device = await new_device(language)
    device.line.fail(CHANGES, "middle")
    await fails(device, 0)
    await device.do("sync")
    assert len(await assert_in_step(device, other)) == 2100


def refused_token(user: str) -> str:
    return sign(user, "another secret, that the API does not have", seconds=3600)


@each_language
async def test_a_token_that_is_over_is_replaced_once(language, new_device, other, user):
    device = await new_device(language)
    await device.add("create", new_id(), text="kept")
    await device.do("token", refused_token(user), sign(user, SECRET, seconds=3600))
    await device.do("sync")
    assert len(await assert_in_step(device, other)) == 1


@each_language
async def test_without_a_good_token_it_stops_and_keeps_everything(language, new_device, other, user):
    device = await new_device(language)
    await device.add("create", new_id(), text="kept")
    await device.do("token", refused_token(user))
    await fails(device, 401)
    await fails(device, 401)
    assert await texts_of(device) == ["kept"]
    await device.do("token", sign(user, SECRET, seconds=3600))
    await device.do("sync")
    assert len(await assert_in_step(device, other)) == 1


def raw(head: str, body: str) -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


LATE = raw("408 Request Timeout", '{"message": "Late.", "details": []}')
BUSY = raw("503 Service Unavailable\r\nRetry-After: 7", '{"message": "Try again.", "details": []}')
GATEWAY = raw("502 Bad Gateway", "<html>")
PORTAL = raw("200 OK", "<html>")


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [(LATE, 408, 0), (BUSY, 503, 7), (GATEWAY, 0, 0), (PORTAL, 0, 0)],
    ids=["408", "503", "502", "portal"],
)
@each_language
async def test_what_passes_by_itself_leaves_the_queue_and_its_key(
    language, answer, status, retry_after, new_device, other
):
    device = await new_device(language)
    await device.add("create", new_id(), text="kept")
    device.line.fail(BATCH, answer)
    refused = await fails(device, status)
    assert refused.retry_after == retry_after
    before = (await device.stored())["batch"]
    device.line.fail(BATCH, "after")
    await fails(device, 0)
    assert (await device.stored())["batch"] == before
    await device.do("sync")
    assert len(await assert_in_step(device, other)) == 1


@each_language
async def test_half_a_character_does_not_stop_the_queue(language, new_device, other):
    """A text that was cut in the middle of an emoji; JSON with it is none for the server."""
    device = await new_device(language)
    await device.add("create", new_id(), text="cut \ud83d")
    await device.do("sync")
    (task,) = await assert_in_step(device, other)
    assert task["text"] in {"cut ?", "cut \ufffd"}


@each_language
async def test_syncs_at_the_same_time_take_turns(language, new_device, other):
    device = await new_device(language)
    syncing = []
    for number in range(30):
        await device.add("create", new_id(), text=f"task {number}")
        syncing.append(device.ask("sync"))
    await asyncio.wait_for(asyncio.gather(*syncing), PATIENCE)
    assert len(await assert_in_step(device, other)) == 30
    assert (await other.get("/tasks/changes")).json()["revision"] == 30


@pytest.mark.slow
@each_language
async def test_it_listens_through_a_cut_and_until_its_token_is_over(language, new_device, other, user):
    device = await new_device(language)
    listening = device.ask("listen")
    await other.post("/tasks", json={"text": "heard"})
    await shows(device, ["heard"])
    # The first could have been fetched before it listened.
    await other.post("/tasks", json={"text": "heard too"})
    await shows(device, ["heard", "heard too"])
    device.line.go_offline()
    await device.add("create", new_id(), text="made offline")
    await other.post("/tasks", json={"text": "missed"})
    device.line.go_online()
    await shows(device, ["heard", "heard too", "made offline", "missed"])
    device.line.go_offline()
    await device.add("create", new_id(), text="nobody tells of it")
    device.line.go_online()
    await has(other, 5)
    await device.do("token", sign(user, SECRET, seconds=3))
    device.line.go_offline()
    device.line.go_online()
    assert await asyncio.wait_for(listening, PATIENCE) == "TOKEN_EXPIRED"
    await assert_in_step(device, other)
    await device.do("token", refused_token(user))
    await fails(device, 401, "listen")


@each_language
async def test_listening_ends_when_it_is_told_to(language, new_device, other):
    device = await new_device(language)
    listening = device.ask("listen")
    await other.post("/tasks", json={"text": "heard"})
    await shows(device, ["heard"])
    await device.do("stop")
    with pytest.raises(Refused):
        await asyncio.wait_for(listening, PATIENCE)


async def has(other: httpx.AsyncClient, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await list_of(other)) != count:  # noqa: ASYNC110 - the server has none either
            await asyncio.sleep(0.05)


async def shows(device: Device, texts: list[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await texts_of(device) != texts:  # noqa: ASYNC110 - the process has no event for it
            await asyncio.sleep(0.05)


class Days:
    """What devices of a user go through, at random."""

    def __init__(self, seed: int, devices: list[Device]) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.devices = devices
        self.made: set[str] = set()
        self.deleted: set[str] = set()

    async def pass_by(self) -> None:
        device = self.draw.choice(self.devices)
        shown = [task["id"] for task in await device.tasks()]
        for _ in range(self.draw.randrange(4)):
            await self.change(device, shown)
        if self.draw.random() < 0.4:
            fate = self.draw.choice(["before", "after", "middle"])
            device.line.fail(self.draw.choice([BATCH, CHANGES]), fate)
        if self.draw.random() < 0.2:
            await device.crash()
            await device.start()
        elif self.draw.random() < 0.7:
            await synced(device)

    async def change(self, device: Device, shown: list[str]) -> None:
        op = self.draw.choice(["create", "patch", "patch", "patch", "delete"]) if shown else "create"
        if op == "create":
            self.made.add(await device.add("create", new_id(), text=f"task {len(self.made)}"))
        elif op == "patch":
            changed = {"completed": self.draw.random() < 0.5, "order": self.draw.randrange(5)}
            await device.add("patch", self.draw.choice(shown), **changed)
        else:
            self.deleted.add(await device.add("delete", shown.pop()))


async def synced(device: Device) -> bool:
    """Whether it got through."""
    try:
        await device.do("sync")
    except Refused as cut:
        if cut.status != 0:
            raise
        return False
    return True


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "languages",
    [("python", "python"), pytest.param(("typescript", "python"), marks=pytest.mark.node)],
    ids="-".join,
)
async def test_two_devices_that_are_cut_off_and_crash_end_up_alike(languages, seed, new_device, other):
    days = Days(seed, [await new_device(language) for language in languages])
    for _ in range(40):
        await days.pass_by()
    for each in days.devices * 2:
        while not await synced(each):
            pass
    there = [await assert_in_step(each, other) for each in days.devices]
    assert {task["id"] for task in there[0]} == days.made - days.deleted
    assert len({task["text"] for task in there[0]}) == len(there[0])
    # What was deleted on the one can't be changed on the other; that was handed over, and nothing else.
    for each in days.devices:
        for status, operation, _ in await each.do("conflicts"):
            assert (status, operation["id"] in days.deleted) == (404, True)
