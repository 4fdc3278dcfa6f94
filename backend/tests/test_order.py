"""Moving a task: the order is that of a plain list, few rows are touched, and races spoil nothing."""

import asyncio
import random
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx2 as httpx
import hypothesis.strategies as st
import jsonschema_rs
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from uuid_utils.compat import uuid7

import app.queries.order as app_order
from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app
from app.queries.order import UserOrder
from app.queries.order_statements import MOVE
from tests.conftest import SECRET, ClientFor, administer, until_waiting
from tests.test_tasks import NEVER, make, texts

STEP = 2**16
END = 2**30
LEAST, MOST = -(2**31), 2**31 - 1


def moved(ids: Sequence[Any], task: object, side: str, anchor: object) -> list[Any]:
    """What a plain list does."""
    others = [other for other in ids if other != task]
    if anchor is None:
        slot = 0 if side == "after" else len(others)
    else:
        slot = others.index(anchor) + (side == "after")
    return [*others[:slot], task, *others[slot:]]


async def move(client: httpx.AsyncClient, task_id: object, **body: object) -> httpx.Response:
    """`after=` or `before=` a task's id."""
    headers = body.pop("headers", None)
    sent = {side: anchor if anchor is None else str(anchor) for side, anchor in body.items()}
    return await client.post(f"/tasks/{task_id}/move", json=sent, headers=headers)  # type: ignore[arg-type]


class Line:
    """A user's list in the database, and the statement on it without HTTP."""

    def __init__(self, connection: asyncpg.Connection, order: UserOrder, user_id: str) -> None:
        self.connection = connection
        self.user_id = user_id
        self.order = order

    async def fill(self, orders: Sequence[int]) -> list[UUID]:
        """Make tasks in display order, with these numbers."""
        ids = sorted((uuid7() for _ in orders), reverse=True)
        now = datetime.now(UTC)
        await self.connection.execute(
            "INSERT INTO task_lists (user_id, revision) VALUES ($1, $2)", self.user_id, len(ids)
        )
        await self.connection.copy_records_to_table(
            "tasks",
            columns=["user_id", "id", "text", "order", "created_at", "updated_at", "revision"],
            records=[
                (self.user_id, task_id, "x", order, now, now, revision)
                for revision, (task_id, order) in enumerate(zip(ids, orders, strict=True), 1)
            ],
        )
        assert await self.ids() == ids
        return ids

    async def ids(self) -> list[UUID]:
        return [row["id"] for row in await self.rows()]

    async def orders(self) -> list[int]:
        return [row["order"] for row in await self.rows()]

    async def rows(self) -> list[asyncpg.Record]:
        return await self.connection.fetch(
            'SELECT id, "order", revision FROM tasks WHERE user_id = $1 AND deleted_at IS NULL'
            ' ORDER BY "order", id DESC',
            self.user_id,
        )

    async def move(self, task: UUID, side: Any, anchor: UUID | None) -> int:
        """Move, and return how many rows that touched; they are those with the new revision."""
        row = await self.order.move(task, side, anchor)
        return row["touched"]


MakeLine = Callable[[], Line]


@pytest.fixture
async def connection(database_url: str):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def line(app: FastAPI, connection: asyncpg.Connection) -> Line:
    user_id = f"line-{uuid.uuid4()}"
    return Line(connection, UserOrder(app.state.database, user_id), user_id)


# What a move does


async def test_a_task_is_put_after_or_before_another_or_at_an_end(alice):
    d, c, b, a = [await make(alice, text) for text in "dcba"]
    assert await texts(alice) == list("abcd")
    for task, place, expected in [
        (d, {"after": a["id"]}, "adbc"),
        (a, {"before": c["id"]}, "dbac"),
        (c, {"after": None}, "cdba"),
        (d, {"before": None}, "cbad"),
        (b, {"after": d["id"]}, "cadb"),
        (b, {"before": c["id"]}, "bcad"),
        (b, {"before": d["id"]}, "cabd"),
    ]:
        answer = await move(alice, task["id"], **place)
        assert answer.status_code == 200, answer.text
        assert await texts(alice) == list(expected)


async def test_the_answer_is_the_task_as_stored_with_its_revision(alice, revision_of):
    task, _ = await make(alice, "x", completed=True), await make(alice)
    answer = await move(alice, task["id"], after=None)
    changed = answer.json()
    assert {name for name in task if changed[name] != task[name]} == {"order", "updated_at"}
    assert changed["updated_at"] > task["updated_at"]
    assert [answer.headers[name] for name in ("ETag", "X-Revision")] == ['"3"', "3"]
    again = await alice.get(f"/tasks/{task['id']}")
    assert (again.json(), again.headers["ETag"]) == (changed, '"3"')
    assert await revision_of(task["user_id"]) == 3


async def test_all_that_is_re_spaced_takes_the_one_new_revision_and_keeps_its_time(
    alice, rows_of, revision_of
):
    tasks = [await make(alice, str(number)) for number in range(5)]
    before = {str(row["id"]): dict(row) for row in await rows_of(tasks[0]["user_id"])}
    await move(alice, tasks[0]["id"], after=tasks[3]["id"])
    after = {str(row["id"]): dict(row) for row in await rows_of(tasks[0]["user_id"])}
    assert await texts(alice) == ["4", "3", "0", "2", "1"]
    assert await revision_of(tasks[0]["user_id"]) == 6
    changed = {task_id: {k for k in row if row[k] != before[task_id][k]} for task_id, row in after.items()}
    assert [changed[task["id"]] for task in tasks] == [
        {"order", "revision", "updated_at"}, {"order", "revision"}, {"order", "revision"}, set(), set()
    ]  # fmt: skip
    assert sorted(row["revision"] for row in after.values()) == [4, 5, 6, 6, 6]


async def test_a_gap_takes_a_task_without_touching_another(line):
    ids = await line.fill([0, 2, 100, 200])
    assert await line.move(ids[3], "after", ids[0]) == 1
    assert await line.orders() == [0, 1, 2, 100]
    assert await line.move(ids[2], "after", None) == 1
    assert await line.orders() == [-STEP, 0, 1, 2]
    assert await line.move(ids[2], "before", None) == 1
    assert await line.orders() == [0, 1, 2, 2 + STEP]


async def test_what_stands_there_already_changes_nothing(alice, rows_of, revision_of):
    c, b, a = [await make(alice, text) for text in "cba"]
    await alice.delete(f"/tasks/{(top := await make(alice, 'top'))['id']}")
    before = await rows_of(a["user_id"])
    for task, place in [
        (a, {"after": None}),
        (a, {"before": b["id"]}),
        (a, {"after": top["id"]}),
        (b, {"after": a["id"]}),
        (b, {"before": c["id"]}),
        (c, {"before": None}),
        (c, {"after": b["id"]}),
    ]:
        answer = await move(alice, task["id"], **place)
        assert (answer.status_code, answer.json()) == (200, task)
        stored = (await alice.get(f"/tasks/{task['id']}")).headers["ETag"]
        assert (answer.headers["ETag"], f'"{answer.headers["X-Revision"]}"') == (stored, stored)
    assert await rows_of(a["user_id"]) == before
    assert await revision_of(a["user_id"]) == 5


async def test_the_only_task_stands_everywhere_already(alice, revision_of):
    task = await make(alice)
    for place in ({"after": None}, {"before": None}):
        assert (await move(alice, task["id"], **place)).json() == task
    assert await revision_of(task["user_id"]) == 1


async def test_the_same_move_again_changes_nothing(alice, revision_of):
    c, _, a = [await make(alice, text) for text in "cba"]
    answers = [await move(alice, c["id"], after=a["id"]) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["X-Revision"] == answers[1].headers["X-Revision"] == "4"
    assert await revision_of(c["user_id"]) == 4


async def test_a_deleted_anchor_counts_where_it_stood(alice):
    d, c, b, a = [await make(alice, text) for text in "dcba"]
    await alice.delete(f"/tasks/{b['id']}")
    for task, place, expected in [
        (d, {"after": b["id"]}, "adc"),
        (a, {"before": b["id"]}, "adc"),
        (c, {"before": b["id"]}, "acd"),
    ]:
        assert (await move(alice, task["id"], **place)).status_code == 200
        assert await texts(alice) == list(expected)


# What is refused


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, ["body - must have either after or before: a task's id, or null"]),
        ({"after": None, "before": None}, ["body - must have either after or before: a task's id, or null"]),
        ({"order": 1}, ["body - must have either after or before: a task's id, or null"]),
        ({"after": 5}, ["after - must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057"]),
        ({"before": ""}, ["before - must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057"]),
        ({"before": [None]}, ["before - must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057"]),
        ({"after": str(NEVER)}, ["after - you have no task with this id"]),
        ({"before": str(NEVER)}, ["before - you have no task with this id"]),
        ([], ["body - must be a JSON object"]),
        (None, ["body - is required"]),
    ],
)
async def test_a_place_that_is_none_is_refused(alice, rows_of, revision_of, body, details):
    task, _ = await make(alice), await make(alice)
    before = await rows_of(task["user_id"])
    answer = await alice.post(f"/tasks/{task['id']}/move", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "VALIDATION_ERROR")
    assert answer.json()["details"] == details
    assert await rows_of(task["user_id"]) == before
    assert await revision_of(task["user_id"]) == 2


@pytest.mark.parametrize("side", ["after", "before"])
async def test_a_task_is_no_place_for_itself(alice, side):
    task = await make(alice)
    answer = await move(alice, task["id"], **{side: task["id"]})
    assert answer.status_code == 422
    assert answer.json()["details"] == [f"{side} - must be another task than the one that is moved"]


async def test_an_unknown_field_is_ignored(alice):
    task, _ = await make(alice), await make(alice)
    answer = await alice.post(f"/tasks/{task['id']}/move", json={"after": None, "user_id": "bob"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {}, {"after": None}, {"before": None}, {"after": None, "before": None}, {"after": 1}, {"after": "x"},
        [], {"after": "ID"}, {"before": "ID"}, {"after": "ID", "before": "ID"}, {"after": None, "more": 1},
    ],
)  # fmt: skip
async def test_the_document_says_what_is_taken(app, alice, body):
    task, other = await make(alice), await make(alice)
    if isinstance(body, dict):
        body = {k: other["id"] if v == "ID" else v for k, v in body.items()}
    schema = app.openapi()["components"]["schemas"]["TaskMove"]
    valid = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(body)
    answer = await alice.post(f"/tasks/{task['id']}/move", json=body)
    assert answer.status_code == (200 if valid else 422)


async def test_a_task_that_is_not_there_is_404(alice, bob, rows_of):
    gone, theirs = await make(alice), await make(bob)
    await make(bob)
    await alice.delete(f"/tasks/{gone['id']}")
    before = await rows_of(theirs["user_id"])
    found = set()
    for task_id in (NEVER, gone["id"], theirs["id"]):
        for place in ({"after": None}, {"before": theirs["id"] if task_id == NEVER else NEVER}):
            for headers in ({}, {"If-Match": '"1"'}):
                answer = await move(alice, task_id, **place, headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")
                found.add((answer.content, "ETag" in answer.headers, "X-Revision" in answer.headers))
    assert len(found) == 1
    assert await rows_of(theirs["user_id"]) == before
    assert (await move(alice, "no-uuid", after=None)).status_code == 422


async def test_anothers_task_is_no_anchor(alice, bob, revision_of):
    mine, theirs = [await make(alice), await make(alice)], await make(bob)
    answers = [await move(alice, mine[0]["id"], after=anchor) for anchor in (theirs["id"], uuid.uuid4())]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].content == answers[1].content
    assert [await revision_of(task["user_id"]) for task in (mine[0], theirs)] == [2, 1]


async def test_a_move_touches_nobody_elses_list(alice, bob, rows_of, revision_of):
    """Also where the other user has tasks with the same ids."""
    tasks = [await make(alice) for _ in range(4)]
    for task in tasks:
        await make(bob, id=task["id"])
    (bobs, *_), alices = (await bob.get("/tasks")).json()["tasks"], tasks[0]["user_id"]
    before = await rows_of(bobs["user_id"])
    assert (await move(alice, tasks[0]["id"], after=tasks[3]["id"])).status_code == 200
    assert await rows_of(bobs["user_id"]) == before
    assert [await revision_of(user_id) for user_id in (bobs["user_id"], alices)] == [4, 5]


@pytest.mark.parametrize("known", ['"1"', '"9", "1"', "*", None])
async def test_a_move_of_what_one_knows_is_made(alice, known):
    task, _ = await make(alice), await make(alice)
    answer = await move(alice, task["id"], after=None, headers={} if known is None else {"If-Match": known})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')


@pytest.mark.parametrize("known", ['"2"', 'W/"1"', '"x"', '""'])
@pytest.mark.parametrize("place", [{"after": None}, {"before": None}])
async def test_a_move_of_what_was_changed_meanwhile_is_refused(alice, rows_of, revision_of, known, place):
    """Also where it stands there already."""
    task, _ = await make(alice), await make(alice)
    before = await rows_of(task["user_id"])
    answer = await move(alice, task["id"], **place, headers={"If-Match": known})
    assert (answer.status_code, answer.json()["error"]) == (412, "PRECONDITION_FAILED")
    assert (answer.headers["ETag"], "X-Revision" in answer.headers) == ('"1"', False)
    assert await rows_of(task["user_id"]) == before
    assert await revision_of(task["user_id"]) == 2


async def test_a_condition_that_is_malformed_or_wanted_and_not_there_is_refused(
    alice, client_for: ClientFor, settings: Settings
):
    task = await make(alice)
    assert (await move(alice, task["id"], after=None, headers={"If-Match": "1"})).status_code == 400
    strict = create_app(settings.model_copy(update={"require_if_match": True}))
    async with client_for(task["user_id"], strict) as client:
        assert (await move(client, task["id"], after=None)).status_code == 428
        assert (await move(client, task["id"], after=None, headers={"If-Match": "*"})).status_code == 200
    await strict.state.database.close()


# Exactly the order of a plain list


def places(ids: Sequence[UUID], chance: random.Random) -> tuple[UUID, str, UUID | None]:
    """A random move, to an end now and then."""
    task, anchor = chance.sample(ids, 2)
    return task, chance.choice(["after", "before"]), chance.choice([anchor] * 9 + [None])


SHAPES: dict[str, Callable[[int], list[int]]] = {
    "as created": lambda size: [0] * size,
    "dense": lambda size: list(range(size)),
    "at the edges": lambda size: (
        [LEAST] * (size // 3) + [7] * (size - 2 * (size // 3)) + [MOST] * (size // 3)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_random_moves_keep_the_order_of_a_plain_list(line, shape):
    await keeps_the_order(line, SHAPES[shape](60), 500)


@pytest.mark.slow
async def test_ten_thousand_random_moves_keep_the_order_of_a_plain_list(line):
    assert await keeps_the_order(line, [0] * 200, 10_000) < 1.2


async def keeps_the_order(line: Line, orders: list[int], moves: int) -> float:
    """Move at random, compare the whole list each time; return how many rows a move touched on average."""
    model, chance, touched, revision = await line.fill(orders), random.Random(17), 0, len(orders)  # noqa: S311
    for _ in range(moves):
        task, side, anchor = places(model, chance)
        expected = moved(model, task, side, anchor)
        rows_touched = await line.move(task, side, anchor)
        rows = await line.rows()
        assert [row["id"] for row in rows] == expected
        assert (rows_touched == 0) is (expected == model)
        revision += expected != model
        assert [row["revision"] for row in rows].count(revision) >= rows_touched
        model, touched = expected, touched + rows_touched
    assert max(row["revision"] for row in rows) == revision
    return touched / moves


@pytest.mark.parametrize(("size", "step", "most"), [(100, STEP, 1.5), (300, 1, 6)])
async def test_one_slot_takes_any_number_of_tasks(line, size, step, most):
    """A gap of 65,536 is halved 16 times; then the tasks around make room for many more."""
    model, counts = await line.fill([step * number for number in range(size)]), []
    anchor = model[size // 2]
    for _ in range(2000):
        task = model[-1] if model[-1] != anchor else model[0]
        counts.append(await line.move(task, "after", anchor))
        model = moved(model, task, "after", anchor)
        assert len(counts) % 50 or await line.ids() == model
    assert sum(counts) / len(counts) < most


@pytest.mark.parametrize(("side", "take"), [("after", -1), ("before", 0)])
@pytest.mark.parametrize(
    "orders",
    [
        [0, 0, 0, 0],
        [2**30 - 3, 2**30 - 2, 2**30 - 1, 2**30],
        [-(2**30), 3 - 2**30, 2**30 - 3, 2**30],
        [2**30 - 3, 2**30 + 1, MOST, MOST],
        [LEAST, LEAST, LEAST, 3 - 2**30],
        [LEAST, LEAST, MOST, MOST],
    ],
)
async def test_an_end_takes_any_number_of_tasks_and_never_passes_its_limit(line, side, take, orders):
    model = await line.fill(orders)
    for _ in range(40):
        task = model[take]
        assert await line.move(task, side, None) >= 1
        model = moved(model, task, side, None)
        (number,) = [row["order"] for row in await line.rows() if row["id"] == task]
        assert number >= -END if side == "after" else number <= END
        assert await line.ids() == model


@pytest.mark.parametrize(("side", "take", "border"), [("after", -1, -END), ("before", 0, END)])
async def test_at_its_limit_an_end_makes_room_and_goes_on(line, side, take, border):
    """In steps of 65,536 from zero that is after 16,384 moves; here it begins two steps before."""
    near = border + (2 * STEP if side == "after" else -2 * STEP)
    orders = [near + number for number in range(8)] if side == "after" else [near - 7 + n for n in range(8)]
    model, counts = await line.fill(orders), []
    for _ in range(300):
        task = model[take]
        counts.append(await line.move(task, side, None))
        model = moved(model, task, side, None)
        assert all(-END <= number <= END for number in await line.orders())
        assert await line.ids() == model
    assert max(counts) > 1
    assert sum(counts) / len(counts) < 3


async def test_a_list_without_any_gap_at_the_very_edge_makes_room(line):
    model = await line.fill([LEAST, LEAST, LEAST + 1, LEAST + 1, MOST - 1, MOST - 1, MOST, MOST])
    for _ in range(3):
        for anchor in list(model):
            for side in ("after", "before"):
                task = model[0] if model[0] != anchor else model[-1]
                await line.move(task, side, anchor)
                model = moved(model, task, side, anchor)
                assert await line.ids() == model


async def test_a_row_that_keeps_its_number_is_not_touched(line):
    """Four rows below the slot have room for five, and the last of them stands where it would be put."""
    ids = await line.fill([0] * 6 + [0, 0, 0, 500, 600, 700])
    assert await line.move(ids[-1], "after", ids[5]) == 4
    assert await line.orders() == [0] * 6 + [100, 200, 300, 400, 500, 600]
    assert [row["id"] for row in await line.rows() if row["revision"] > len(ids)] == [ids[-1], *ids[6:9]]


async def test_a_task_that_gets_the_number_that_it_had_was_moved_all_the_same(line):
    ids = await line.fill([0, 0, 0, 0, 1, 10, 30])
    assert await line.move(ids[5], "before", ids[4]) == 2
    assert await line.orders() == [0, 0, 0, 0, 10, 20, 30]
    assert [row["revision"] for row in await line.rows()][4:6] == [8, 8]


@pytest.mark.slow
async def test_where_no_window_has_room_to_spare_a_bare_fit_is_taken(line):
    """Beyond 65,536 tasks, that is: up to there one of the ends has."""
    ids = await line.fill([*range(33_000), *range(33_001, 66_002)])
    assert await line.move(ids[-1], "after", ids[32_998]) == 2
    assert (await line.orders())[32_997:33_003] == [32_997, 32_998, 32_999, 33_000, 33_001, 33_002]
    assert await line.ids() == moved(ids, ids[-1], "after", ids[32_998])


async def test_a_random_move_in_a_spaced_list_touches_one_row(line):
    touched = await keeps_the_order(line, [STEP * number for number in range(60)], 100)
    assert touched <= 1


orders = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 2) | st.sampled_from([-END, END, LEAST, MOST])


class Order(RuleBasedStateMachine):
    """`model` is the order of the ids; a create or a PATCH goes by its number, a move where it is told."""

    ask: Callable[..., httpx.Response]
    look: Callable[[str], list[asyncpg.Record]]
    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.user_id = f"order-{uuid.uuid4()}"
        self.model: list[str] = []
        self.revision = 0

    def keys(self) -> dict[str, tuple[int, int]]:
        """By what each row stands in the list, deleted ones included."""
        return {str(row["id"]): (row["order"], -row["id"].int) for row in self.look(self.user_id)}

    @rule(target=made, order=orders)
    def create(self, order: int) -> str:
        task = self.ask(self.user_id, "POST", "/tasks", {"text": "x", "order": order}).json()
        self._stands_by_number(task["id"])
        return task["id"]

    @rule(task=made, order=orders)
    def patch(self, task: str, order: int) -> None:
        answer = self.ask(self.user_id, "PATCH", f"/tasks/{task}", {"order": order})
        assert answer.status_code == (200 if task in self.model else 404)
        if task in self.model:
            self.model.remove(task)
            self._stands_by_number(task)

    @rule(task=made)
    def delete(self, task: str) -> None:
        answer = self.ask(self.user_id, "DELETE", f"/tasks/{task}")
        assert answer.status_code == (204 if task in self.model else 404)
        if task in self.model:
            self.model.remove(task)
            self.revision += 1

    @rule(task=made, anchor=made | st.none(), side=st.sampled_from(["after", "before"]))
    def move(self, task: str, anchor: str | None, side: str) -> None:
        expected = self.model
        if anchor is None or anchor in self.model:
            expected = moved(self.model, task, side, anchor) if task != anchor else self.model
        elif task != anchor:
            keys = self.keys()
            others = [other for other in self.model if other != task]
            slot = sum(keys[other] < keys[anchor] for other in others)
            expected = [*others[:slot], task, *others[slot:]]
        answer = self.ask(self.user_id, "POST", f"/tasks/{task}/move", {side: anchor})
        if task == anchor:
            assert answer.status_code == 422
        elif task not in self.model:
            assert answer.status_code == 404
        else:
            assert answer.status_code == 200
            self.revision += expected != self.model
            assert expected == self.model or answer.headers["X-Revision"] == str(self.revision)
            self.model = expected

    @invariant()
    def the_list_is_its_model(self) -> None:
        listed = self.ask(self.user_id, "GET", "/tasks")
        assert [task["id"] for task in listed.json()["tasks"]] == self.model
        assert listed.headers["ETag"] == f'W/"{self.revision}"'

    def _stands_by_number(self, task: str) -> None:
        keys = self.keys()
        slot = sum(keys[other] < keys[task] for other in self.model)
        self.model.insert(slot, task)
        self.revision += 1


@pytest.mark.no_cover
@pytest.mark.no_cover  # a thousand requests; what they run, others cover
def test_the_order_stays_what_the_model_says(settings: Settings, database_url: str):
    app = create_app(settings)

    async def ask(user_id: str, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {sign(user_id, SECRET, seconds=3600)}"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api.test", headers=headers
        ) as client:
            return await client.request(method, path, json=body)

    async def look(user_id: str) -> list[asyncpg.Record]:
        return await administer(database_url, 'SELECT id, "order" FROM tasks WHERE user_id = $1', user_id)

    with asyncio.Runner() as runner:

        class Machine(Order):
            ask = staticmethod(lambda *arguments: runner.run(ask(*arguments)))
            look = staticmethod(lambda user_id: runner.run(look(user_id)))

        run_state_machine_as_test(
            Machine,
            settings=hypothesis_settings(
                max_examples=15,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


# Races


Done = tuple[int, str, str, Any]


def replayed(start: list[str], done: list[Done]) -> list[str]:
    """Apply what was done, in the order of the revisions it took, to a plain list."""
    model = list(start)
    for _, task, what, where in sorted(done):
        if what == "delete":
            model.remove(task)
        elif what == "order":
            others = [other for other in model if other != task]
            model = [task, *others] if where == LEAST else [*others, task]
        elif what != "text":
            model = moved(model, task, what, where)
    return model


@pytest.mark.parametrize("seed", range(6))
async def test_racing_moves_are_as_if_one_came_after_the_other(app, alice, rows_of, revision_of, seed):
    """Mixed with every other change: the list is what a plain one is after all of it, by their revisions."""
    chance = random.Random(seed)  # noqa: S311 - reproducible
    made = [await make(alice, str(number)) for number in range(14)]
    order = UserOrder(app.state.database, made[0]["user_id"])
    start = [task["id"] for task in reversed(made)]
    doomed, steady = start[:3], start[3:]
    done: list[Done] = []

    async def a_move(task: str) -> None:
        side, anchor = chance.choice(["after", "before"]), chance.choice([*steady, None])
        if anchor != task:
            row = await order.move(UUID(task), side, anchor and UUID(anchor))  # type: ignore[arg-type]
            if row["touched"]:  # otherwise it stood there already, and took none
                done.append((row["revision"], task, side, anchor))

    async def a_change(what: str, where: int | None, method: str, path: str, body: object) -> None:
        answer = await alice.request(method, path, json=body)
        assert answer.is_success
        task = answer.json()["id"] if answer.content else path.removeprefix("/tasks/")
        done.append((int(answer.headers["X-Revision"]), task, what, where))

    first, last = (LEAST, MOST) if seed % 2 else (MOST, LEAST)
    works: list[Awaitable[None]] = [
        *(a_move(chance.choice(steady)) for _ in range(30)),
        *(a_move(steady[0]) for _ in range(10)),
        *(
            a_change("text", None, "PATCH", f"/tasks/{chance.choice(steady)}", {"text": "y"})
            for _ in range(5)
        ),
        *(a_change("delete", None, "DELETE", f"/tasks/{task}", None) for task in doomed),
        a_change("order", first, "PATCH", f"/tasks/{steady[5]}", {"order": first}),
        a_change("order", last, "POST", "/tasks", {"text": "new", "order": last}),
    ]
    chance.shuffle(works)
    await asyncio.gather(*works)
    assert len(done) > 30
    assert replayed(start, done) == [task["id"] for task in (await alice.get("/tasks")).json()["tasks"]]
    user_id = made[0]["user_id"]
    assert sorted(revision for revision, *_ in done) == list(range(15, await revision_of(user_id) + 1))
    assert max(row["revision"] for row in await rows_of(user_id)) == await revision_of(user_id)


async def held(
    database_url: str, user_id: str, change: str, racing: Callable[[], Sequence[Awaitable[Any]]]
) -> list[Any]:
    """Change something in a transaction; let others wait for the counter that it holds; commit."""
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            await holder.execute("UPDATE task_lists SET revision = revision + 1 WHERE user_id = $1", user_id)
            await holder.execute(change)
            tasks = [asyncio.ensure_future(each) for each in racing()]
            await until_waiting(database_url, len(tasks))
    finally:
        await holder.close()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_move_that_waited_while_the_list_changed_begins_again(
    alice, rows_of, revision_of, database_url
):
    """Its numbers were found in the list as it was before: there b stood below a."""
    d, c, b, a = [await make(alice, text) for text in "dcba"]
    change = f"""UPDATE tasks SET "order" = 9, revision = 5 WHERE id = '{b["id"]}'"""  # noqa: S608
    (answer,) = await held(database_url, a["user_id"], change, lambda: [move(alice, d["id"], after=b["id"])])
    assert await texts(alice) == list("acbd")
    assert (answer.status_code, answer.headers["X-Revision"]) == (200, "6")
    assert await revision_of(a["user_id"]) == 6
    stamps = {str(row["id"]): row["revision"] for row in await rows_of(a["user_id"])}
    assert stamps == {a["id"]: 4, b["id"]: 5, c["id"]: 2, d["id"]: 6}


async def test_moves_that_all_waited_are_made_one_after_the_other(alice, revision_of, database_url):
    tasks = [await make(alice, str(number)) for number in range(6)]
    answers = await held(
        database_url,
        tasks[0]["user_id"],
        "SELECT 1",
        lambda: [move(alice, task["id"], before=None) for task in tasks[1:]],
    )
    assert {answer.status_code for answer in answers} == {200}
    end = sorted(zip(answers, tasks[1:], strict=True), key=lambda pair: int(pair[0].headers["X-Revision"]))
    assert await texts(alice) == ["0", *(task["text"] for _, task in end)]
    assert sorted(int(answer.headers["X-Revision"]) for answer in answers) == [8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [
        ("deleted_at = now()", {}, 404),
        ("text = 'y'", {"If-Match": '"1"'}, 412),
        ("text = 'y'", {"If-Match": "*"}, 200),
    ],
)
async def test_a_move_that_waited_while_its_task_changed(
    alice, revision_of, database_url, change, headers, status
):
    task, _ = await make(alice), await make(alice)
    sql = f"UPDATE tasks SET {change}, revision = 3 WHERE id = '{task['id']}'"  # noqa: S608

    def racing() -> list[Awaitable[httpx.Response]]:
        return [move(alice, task["id"], after=None, headers=headers)]

    (answer,) = await held(database_url, task["user_id"], sql, racing)
    assert answer.status_code == status
    assert answer.headers.get("ETag") == {404: None, 412: '"3"', 200: '"4"'}[status]
    assert await revision_of(task["user_id"]) == (4 if status == 200 else 3)


async def test_a_move_whose_anchor_is_deleted_meanwhile_is_made(alice, database_url):
    d, _, b, _ = [await make(alice, text) for text in "dcba"]
    change = f"UPDATE tasks SET deleted_at = now(), revision = 5 WHERE id = '{b['id']}'"  # noqa: S608
    (answer,) = await held(database_url, b["user_id"], change, lambda: [move(alice, d["id"], after=b["id"])])
    assert answer.status_code == 200
    assert await texts(alice) == list("adc")


async def test_a_move_that_races_every_time_gives_up(alice, rows_of, database_url, monkeypatch):
    monkeypatch.setattr(app_order, "TRIES", 1)
    task, _ = await make(alice), await make(alice)
    (answer,) = await held(
        database_url, task["user_id"], "SELECT 1", lambda: [move(alice, task["id"], after=None)]
    )
    assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.json()["message"].startswith("Your list is being changed all the time")
    assert answer.headers["Retry-After"] == "1"
    assert [row["revision"] for row in await rows_of(task["user_id"])] == [1, 2]


async def test_users_do_not_wait_for_each_other(alice, bob, database_url):
    task, theirs, _ = await make(alice), await make(bob), await make(bob)
    holder = await asyncpg.connect(database_url)
    async with holder.transaction():
        await holder.execute("UPDATE task_lists SET revision = revision WHERE user_id = $1", task["user_id"])
        async with asyncio.timeout(20):
            assert (await move(bob, theirs["id"], after=None)).status_code == 200
    await holder.close()


# With what is deleted, and whatever the planner believes


@pytest.mark.parametrize("orders", [range(10), [0] * 10])
async def test_a_restored_task_has_its_place_also_where_room_was_made(alice, orders):
    made = [await make(alice, str(number), order=order) for number, order in enumerate(orders)]
    listed = (await alice.get("/tasks")).json()["tasks"]
    gone = listed[7]
    await alice.delete(f"/tasks/{gone['id']}")
    moved = await alice.post(f"/tasks/{listed[0]['id']}/move", json={"after": listed[5]["id"]})
    beside = await alice.post(f"/tasks/{listed[1]['id']}/move", json={"after": gone["id"]})
    assert (moved.status_code, beside.status_code) == (200, 200)
    await alice.post(f"/tasks/{gone['id']}/restore")
    names = [task["text"] for task in (await alice.get("/tasks")).json()["tasks"]]
    was = [task["text"] for task in listed]
    assert names == [*was[2:6], was[0], was[6], was[7], was[1], *was[8:]]
    assert len(made) == len(names)


async def test_a_deleted_task_that_made_room_keeps_its_stamp(alice, rows_of):
    made = [await make(alice, str(number)) for number in range(5)]
    await alice.delete(f"/tasks/{made[2]['id']}")
    await alice.post(f"/tasks/{made[4]['id']}/move", json={"after": made[1]["id"]})
    (row,) = [row for row in await rows_of(made[0]["user_id"]) if row["deleted_at"]]
    assert row["revision"] == 6
    assert [task["revision"] for task in (await alice.get("/tasks/trash")).json()["tasks"]] == [6]


async def test_a_long_list_is_never_joined_row_by_row_with_its_window(make_database):
    """A database that knows nothing of its tables took seconds for it, and then answered 503."""
    url = await make_database()
    await administer(url, "INSERT INTO task_lists (user_id, revision) VALUES ('x', 4000)")
    await administer(
        url,
        "INSERT INTO tasks (user_id, id, text, created_at, updated_at, revision) "
        "SELECT 'x', gen_random_uuid(), 'x', now(), now(), n FROM generate_series(1, 4000) n",
    )
    rows = await administer(url, "SELECT id FROM tasks ORDER BY id DESC")
    values = {
        "user_id": "x",
        "id": rows[0]["id"],
        "anchor": rows[2000]["id"],
        "below": True,
        "expected": None,
    }
    arguments = MOVE.arguments(values | {"now": datetime.now(UTC)})
    plan = await administer(url, f"EXPLAIN (ANALYZE, TIMING OFF) {MOVE.sql}", *arguments)
    removed = [int(found[1]) for line in plan if (found := re.search(r"Rows Removed by .*: (\d+)", line[0]))]
    assert sum(removed) < 20_000
