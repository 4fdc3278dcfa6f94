"""Two users' lists against a plain Python model of them, whatever is done in whatever order."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx2 as httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, assume
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app
from tests.conftest import SECRET, administer
from tests.task_model import Batch, Model, Operation, Task, check_change, created, unstamped

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=500
).filter(str.strip)
orders = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 2)
users = st.sampled_from([0, 1])
#: Now and then somebody asks for another's task.
others = st.sampled_from([0] * 7 + [1])
optional_order = {"order": orders}
creations = st.fixed_dictionaries({"text": texts}, optional={"completed": st.booleans(), **optional_order})
replacements = st.fixed_dictionaries({"text": texts, "completed": st.booleans()}, optional=optional_order)
patches = st.fixed_dictionaries({}, optional={"text": texts, "completed": st.booleans(), **optional_order})
#: What is known of a task's revision: which is in If-Match or If-None-Match, seen from the right one.
known = st.sampled_from([None, "right", "stale", "both", "*"])
keys = st.sampled_from(["a", "b", "c"])
filters = st.fixed_dictionaries(
    {},
    optional={
        "completed": st.booleans(),
        "q": st.sampled_from(["a", "B", "%", "_", "0"]),
        "sort": st.sampled_from(["order", "-order", "text", "-created_at", "updated_at"]),
    },
)

Ask = Callable[..., httpx.Response]


def tags(known: str | None, revision: int, prefix: str = "") -> str | None:
    """Write what is known as a header."""
    listed = {"right": [revision], "stale": [revision + 1, 0], "both": [0, revision]}
    if known is None or known == "*":
        return known
    return ", ".join(f'{prefix}"{number}"' for number in listed[known])


class Made(NamedTuple):
    """A task that was made, by whom."""

    user: int
    id: str


def _whose(which: Made, other: int) -> tuple[int, str]:
    """Return who asks, and for which task: mostly the owner."""
    return which.user ^ other, which.id


class Lists(RuleBasedStateMachine):
    """`model` is what a front end would keep: for each user the tasks, and how often they changed."""

    ask: Ask
    count_revisions: Callable[[str], int]
    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.users = [f"model-{uuid.uuid4()}" for _ in range(2)]
        self.model = [Model(), Model()]
        self.copies: list[tuple[dict[str, Task], int | None]] = [({}, None), ({}, None)]

    def of(
        self, user: int, method: str, path: str, body: object = None, **headers: str | None
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        return self.ask(self.users[user], method, path, body, sent)

    # Creating

    @initialize(target=made, bodies=st.lists(creations, min_size=4, max_size=6))
    def begin(self, bodies: list[dict[str, Any]]) -> MultipleResults[Made]:
        """With a few tasks, two of them in the trash."""
        made = [self.of(0, "POST", "/tasks", body) for body in bodies]
        tasks = [self._made(0, answer, body) for answer, body in zip(made, bodies, strict=True)]
        for which in tasks[1:3]:
            self.delete(which, 0, None)
        return multiple(*tasks)

    @rule(target=made, user=users, body=creations)
    def create(self, user: int, body: dict[str, Any]) -> Made:
        answer = self.of(user, "POST", "/tasks", body)
        return self._made(user, answer, body)

    @rule(target=made, user=users, body=creations)
    def create_with_id(self, user: int, body: dict[str, Any]) -> Made:
        own = {**body, "id": str(uuid.uuid4())}
        return self._made(user, self.of(user, "POST", "/tasks", own), own)

    @rule(which=made, other=others, body=st.none() | creations, key=st.none() | keys, nth=st.integers(-3, 3))
    def create_again(
        self, which: Made, other: int, body: dict[str, Any] | None, key: str | None, nth: int
    ) -> None:
        """With the id of a task that is there, was there, or is another user's."""
        user, task_id = self._trashed(which, other, nth)
        model = self.model[user]
        body = {**(body or created(model.living.get(task_id, {"text": "x"}))), "id": task_id}
        if key is not None and key in model.keys:
            self._repeated(
                user, key, ("create", body), self.of(user, "POST", "/tasks", body, idempotency_key=key)
            )
            return
        there = model.living.get(task_id)
        refused = model.refused({"op": "create", **body})
        answer = self.of(user, "POST", "/tasks", body, idempotency_key=key)
        if refused is not None:
            assert answer.status_code == refused
        elif there:
            assert (answer.status_code, answer.json()) == (200, unstamped(there))
            self._told(answer, there["revision"])
        else:
            self._made(user, answer, body)
            if key is not None:
                model.keys[key] = (_asked(("create", body)), answer)

    @rule(target=made, user=users, body=creations, key=keys)
    def create_once(self, user: int, body: dict[str, Any], key: str) -> Made | MultipleResults[Made]:
        answer = self.of(user, "POST", "/tasks", body, idempotency_key=key)
        if key in self.model[user].keys:
            self._repeated(user, key, ("create", body), answer)
            return multiple()
        self.model[user].keys[key] = (_asked(("create", body)), answer)
        return self._made(user, answer, body)

    @precondition(lambda self: any(model.keys for model in self.model))
    @rule(user=users, key=keys)
    def once_more(self, user: int, key: str) -> None:
        """The same request again, whatever became of its tasks."""
        if (kept := self.model[user].keys.get(key)) is None:
            return
        (operation, body), _ = kept
        path = "/tasks/batch" if operation == "batch" else "/tasks"
        sent = {"operations": body} if operation == "batch" else body
        self._repeated(
            user, key, (operation, body), self.of(user, "POST", path, sent, idempotency_key=f'"{key}"')
        )

    # Changing

    @rule(which=made, other=others, body=replacements, known=known)
    def replace(self, which: Made, other: int, body: dict[str, Any], known: str | None) -> None:
        user, task_id = _whose(which, other)
        self._change("PUT", task_id, user, body, known)

    @rule(which=made, other=others, body=patches, known=known)
    def patch(self, which: Made, other: int, body: dict[str, Any], known: str | None) -> None:
        user, task_id = _whose(which, other)
        self._change("PATCH", task_id, user, body, known)

    @rule(which=made, other=others, known=known)
    def delete(self, which: Made, other: int, known: str | None) -> None:
        user, task_id = _whose(which, other)
        model, task = self.model[user], self.model[user].living.get(task_id)
        answer = self.of(user, "DELETE", f"/tasks/{task_id}", if_match=self._tags(user, task_id, known))
        if task is None or known == "stale":
            assert answer.status_code == (404 if task is None else 412)
            return
        assert answer.status_code == 204
        self._told(answer, model.revision + 1, tagged=False)
        model.delete(task_id, model.revision + 1)

    @rule(
        which=made,
        anchor=st.none() | made,
        other=others,
        side=st.sampled_from(["after", "before"]),
        known=known,
    )
    def move(self, which: Made, anchor: Made | None, other: int, side: str, known: str | None) -> None:
        user, task_id = _whose(which, other)
        assume(which != anchor)
        beside = anchor and anchor.id
        model, task = self.model[user], self.model[user].living.get(task_id)
        header = self._tags(user, task_id, known)
        answer = self.of(user, "POST", f"/tasks/{task_id}/move", {side: beside}, if_match=header)
        if task is None or known == "stale" or not {beside} <= {None, *model.living, *model.trash}:
            assert answer.status_code == (404 if task is None else 412 if known == "stale" else 422)
            return
        assert answer.status_code == 200
        expected = model.moved(task_id, side, beside)
        if expected == model.ids():
            self._told(answer, task["revision"])
            assert answer.json() == unstamped(task)
            return
        revision = model.revision + 1
        self._told(answer, revision)
        check_change(task, answer.json(), {"order": answer.json()["order"]})
        # Those next to it may have got other numbers, and nothing else, with the same revision.
        page = self.of(user, "GET", f"/tasks/changes?since={model.revision}").json()
        assert (page["deleted"], page["revision"], page["has_more"]) == ([], revision, False)
        for changed in page["tasks"]:
            there = model.living[changed["id"]]
            if changed["id"] == task_id:
                assert unstamped(changed) == answer.json()
            else:
                assert {**there, "order": changed["order"], "revision": revision} == changed != there
            model.put(changed, revision)
        assert model.ids() == expected
        # Room is made among deleted tasks too, without a stamp.
        for gone in self.of(user, "GET", "/tasks/trash").json()["tasks"]:
            model.trash[gone["id"]]["order"] = gone["order"]

    # The trash

    @rule(which=made, other=others, known=known, nth=st.integers(-1, 3))
    def restore(self, which: Made, other: int, known: str | None, nth: int) -> None:
        user, task_id = self._trashed(which, other, nth)
        model = self.model[user]
        deleted = model.trash.get(task_id)
        task = deleted or model.living.get(task_id)
        header = self._tags(user, task_id, known)
        answer = self.of(user, "POST", f"/tasks/{task_id}/restore", if_match=header)
        if task is None or known == "stale":
            assert answer.status_code == (404 if task is None else 412)
            return
        assert answer.status_code == 200
        if deleted is None:
            assert answer.json() == unstamped(task)
            self._told(answer, task["revision"])
            return
        assert answer.json() == {**unstamped(task), "updated_at": answer.json()["updated_at"]}
        assert answer.json()["updated_at"] > task["updated_at"]
        self._told(answer, model.revision + 1)
        model.put(answer.json(), model.revision + 1)

    @rule(which=made, other=others, nth=st.integers(-1, 3))
    def purge(self, which: Made, other: int, nth: int) -> None:
        user, task_id = self._trashed(which, other, nth)
        answer = self.of(user, "DELETE", f"/tasks/trash/{task_id}")
        if task_id not in self.model[user].trash:
            assert answer.status_code == 404
            return
        assert answer.status_code == 204
        self._told(answer, self.model[user].revision, tagged=False)
        self.model[user].purge(task_id)

    def _trashed(self, which: Made, other: int, nth: int) -> tuple[int, str]:
        """Mostly one that is in the trash, if there is one."""
        user, task_id = _whose(which, other)
        trash = list(self.model[user].trash)
        return user, trash[nth % len(trash)] if nth >= 0 and trash else task_id

    @precondition(lambda self: any(model.trash for model in self.model))
    @rule(user=users)
    def empty_trash(self, user: int) -> None:
        answer = self.of(user, "DELETE", "/tasks/trash")
        assert answer.status_code == 204
        self._told(answer, self.model[user].revision, tagged=False)
        self.model[user].purge(*self.model[user].trash)

    @precondition(lambda self: any(model.trash for model in self.model))
    @rule(user=users)
    def list_trash(self, user: int) -> None:
        answer = self.of(user, "GET", "/tasks/trash").json()
        last_first = sorted(self.model[user].trash.values(), key=lambda task: task["revision"], reverse=True)
        assert answer["count"] == len(last_first) == len(answer["tasks"])
        for found, expected in zip(answer["tasks"], last_first, strict=True):
            deleted_at, purge_at = found.pop("deleted_at"), found.pop("purge_at")
            assert datetime.fromisoformat(purge_at) - datetime.fromisoformat(deleted_at) == timedelta(days=30)
            # A batch may change a task and delete it; what was changed is then seen here first.
            assert {
                **expected,
                "updated_at": found["updated_at"],
                "completed_at": found["completed_at"],
            } == found
            assert found["updated_at"] >= expected["updated_at"]
            self.model[user].trash[found["id"]] |= found

    # Several at once

    @rule(target=made, user=users, data=st.data(), key=st.none() | keys, size=st.integers(1, 6))
    def batch(self, user: int, data: st.DataObject, key: str | None, size: int) -> MultipleResults[Made]:
        there = [*self.model[user].living, *self.model[user].trash]
        operations = [self._operation(user, data, there) for _ in range(size)]
        return self._batch(user, operations, key)

    @rule(target=made, user=users, bodies=st.lists(creations, min_size=1, max_size=4), key=st.none() | keys)
    def batch_of_new(self, user: int, bodies: list[dict[str, Any]], key: str | None) -> MultipleResults[Made]:
        return self._batch(user, [{"op": "create", "id": str(uuid.uuid4()), **body} for body in bodies], key)

    def _operation(self, user: int, data: Any, there: list[str]) -> dict[str, Any]:
        """Draw one; mostly on a task that is there, so that most batches are done."""
        op = data.draw(st.sampled_from(["create", "patch", "patch", "delete", "restore"]))
        if op == "create" or not there:
            new = {"op": "create", "id": str(uuid.uuid4()), **data.draw(creations)}
            if there and data.draw(st.integers(0, 7)) == 0:
                new["id"] = data.draw(st.sampled_from(there))
                if new["id"] in self.model[user].living:
                    new |= created(self.model[user].living[new["id"]])
            there.append(new["id"])
            return new
        task_id = data.draw(st.sampled_from([*there, *there, *there, str(uuid.UUID(int=0))]))
        changes = data.draw(patches.filter(bool)) if op == "patch" else {}
        operation: dict[str, Any] = {"op": op, "id": task_id, **changes}
        known = self.model[user].living.get(task_id) or self.model[user].trash.get(task_id)
        if known and (match := data.draw(st.sampled_from([None, None, None, 0, 0, 1]))) is not None:
            operation["if_match"] = known["revision"] + match
        return operation

    def _batch(self, user: int, operations: list[dict[str, Any]], key: str | None) -> MultipleResults[Made]:
        model = self.model[user]
        answer = self.of(user, "POST", "/tasks/batch", {"operations": operations}, idempotency_key=key)
        if key is not None and key in model.keys:
            self._repeated(user, key, ("batch", operations), answer)
            return multiple()
        expected = Batch(model, operations)
        if expected.failing:
            assert answer.status_code in expected.failing.values(), answer.text
            (line,) = answer.json()["details"]
            failing = {f"operations[{place}]": status for place, status in expected.failing.items()}
            assert failing[line.partition(":")[0]] == answer.status_code
            return multiple()
        assert answer.status_code == 200, answer.text
        if key is not None:
            model.keys[key] = (_asked(("batch", operations)), answer)
        revision = model.revision + (len(operations) if expected.last else 0)
        assert answer.json()["revision"] == revision
        self._told(answer, revision, tagged=False)
        for operation, result in zip(operations, answer.json()["results"], strict=True):
            self._result(expected, operation["id"], result)
        first = revision - len(operations) + 1
        self._take_over(user, expected, first, answer.json()["results"])
        return multiple(*(Made(user, o["id"]) for o in operations if o["op"] == "create"))

    def _result(self, expected: Batch, task_id: str, result: Task | None) -> None:
        assert (result is None) is (task_id not in expected.model.living)
        if result is None:
            return
        before = expected.before.living.get(task_id) or expected.before.trash.get(task_id)
        if task_id not in expected.last:
            assert result == before
        elif before:
            check_change(before, result, expected.changes[task_id], reopened=task_id in expected.reopened)
        else:
            self._is_new(result, expected.changes[task_id])

    def _take_over(self, user: int, expected: Batch, first: int, results: list[Task | None]) -> None:
        model = self.model[user]
        shown = {result["id"]: result for result in results if result}
        for task_id, place in expected.last.items():
            revision = first + place
            if task_id in shown:
                assert shown[task_id]["revision"] == revision
                model.put(shown[task_id], revision)
                continue
            # Deleted: the trash tells the times.
            model.living.pop(task_id, None)
            listed = {task["id"]: task for task in self.of(user, "GET", "/tasks/trash").json()["tasks"]}
            found = {
                name: value
                for name, value in listed[task_id].items()
                if name not in {"deleted_at", "purge_at"}
            }
            before = expected.before.living.get(task_id) or expected.before.trash.get(task_id)
            if before:
                check_change(before, found, expected.changes[task_id], reopened=task_id in expected.reopened)
            assert found["revision"] == revision
            model.trash[task_id] = found
        if expected.last:
            model.revision = first + len(results) - 1

    # Reading

    @rule(which=made, other=others, known=known)
    def get(self, which: Made, other: int, known: str | None) -> None:
        user, task_id = _whose(which, other)
        task = self.model[user].living.get(task_id)
        header = self._tags(user, task_id, known)
        answer = self.of(user, "GET", f"/tasks/{task_id}", if_none_match=header)
        if task is None or known in {"right", "both", "*"}:
            assert answer.status_code == (404 if task is None else 304)
        else:
            assert (answer.status_code, answer.json()) == (200, unstamped(task))
        assert task is None or answer.headers["ETag"] == f'"{task["revision"]}"'

    @rule(user=users, known=known)
    def list_again(self, user: int, known: str | None) -> None:
        revision = self.model[user].revision
        answer = self.of(user, "GET", "/tasks", if_none_match=tags(known, revision, "W/"))
        has_it = known in {"right", "both", "*"} or (known == "stale" and revision == 0)
        assert answer.status_code == (304 if has_it else 200)
        assert answer.headers["ETag"] == f'W/"{revision}"'

    @rule(user=users, asked=filters, limit=st.integers(1, 4), walks=st.booleans())
    def filter(self, user: int, asked: dict[str, Any], limit: int, walks: bool) -> None:  # noqa: FBT001 - drawn
        """A part of the list, at once or in pages."""
        parameters = {
            name: str(value).lower() if name == "completed" else value for name, value in asked.items()
        }
        found: list[Task] = []
        more: Mapping[str, Any] = {}
        while True:
            page = {**parameters, **({"limit": limit} if walks else {}), **more}
            answer = self.of(user, "GET", str(httpx.URL("/tasks", params=page)), prefer="count=exact")
            assert answer.status_code == 200, answer.text
            found += answer.json()["tasks"]
            if not answer.json().get("next_cursor"):
                break
            more = {"cursor": answer.json()["next_cursor"]}
        expected = [
            task
            for task in self.model[user].shown()
            if asked.get("completed", task["completed"]) is task["completed"]
            and asked.get("q", "").lower() in task["text"].lower()
        ]
        assert answer.json()["total"] == len(expected)
        name = asked.get("sort", "order")
        if name == "order":
            assert found == expected
            return
        in_order = [task[name.removeprefix("-")] for task in found]
        assert in_order == sorted(in_order, reverse=name.startswith("-"))
        assert _by_id(found) == _by_id(expected)

    @rule(user=users, limit=st.integers(1, 5))
    def pull(self, user: int, limit: int) -> None:
        """One page of what changed, into a copy."""
        tasks, since = self.copies[user]
        query = f"limit={limit}" if since is None else f"limit={limit}&since={since}"
        answer = self.of(user, "GET", f"/tasks/changes?{query}")
        if since is not None and since < self.model[user].purged_revision:
            assert answer.status_code == 410
            self.copies[user] = ({}, None)
            return
        assert answer.status_code == 200
        page = answer.json()
        revisions = [task["revision"] for task in page["tasks"]]
        assert revisions == sorted(revisions)
        assert all((since or 0) < revision <= page["revision"] for revision in revisions)
        assert page["has_more"] is (page["revision"] < self.model[user].revision)
        tasks = {**tasks, **{task["id"]: task for task in page["tasks"]}}
        self.copies[user] = (
            {id_: task for id_, task in tasks.items() if id_ not in page["deleted"]},
            page["revision"],
        )

    @invariant()
    def each_list_is_its_model(self) -> None:
        for user, model in enumerate(self.model):
            expected = model.shown()
            answer = self.of(user, "GET", "/tasks")
            assert answer.json() == {"tasks": expected, "count": len(expected)}
            assert answer.headers["ETag"] == f'W/"{model.revision}"'

    def teardown(self) -> None:
        assert [self.count_revisions(user) for user in self.users] == [model.revision for model in self.model]
        for user, model in enumerate(self.model):
            while self.copies[user][1] != model.revision:
                self.pull(user, 3)
            assert self.copies[user][0] == model.living
            since = model.purged_revision
            page = self.of(user, "GET", f"/tasks/changes?since={since}").json()
            assert _by_id(page["tasks"]) == _by_id(t for t in model.living.values() if t["revision"] > since)
            assert set(page["deleted"]) == {t["id"] for t in model.trash.values() if t["revision"] > since}
            self.list_trash(user)

    def _tags(self, user: int, task_id: str, known: str | None) -> str | None:
        task = self.model[user].living.get(task_id) or self.model[user].trash.get(task_id)
        return tags(known, task["revision"] if task else 1)

    def _told(self, answer: httpx.Response, revision: int, *, tagged: bool = True) -> None:
        assert answer.headers["X-Revision"] == str(revision)
        assert answer.headers.get("ETag") == (f'"{revision}"' if tagged else None)
        assert "Idempotent-Replayed" not in answer.headers

    def _is_new(self, task: Task, body: Mapping[str, Any]) -> None:
        for name, value in created(body).items():
            assert task[name] == value
        assert task["created_at"] == task["updated_at"]
        assert task["completed_at"] == (task["created_at"] if task["completed"] else None)

    def _made(self, user: int, answer: httpx.Response, body: Mapping[str, Any]) -> Made:
        assert answer.status_code == 201
        model, task = self.model[user], answer.json()
        self._is_new(task, body)
        assert body.get("id", task["id"]) == task["id"]
        self._told(answer, model.revision + 1)
        model.put(task, model.revision + 1)
        return Made(user, task["id"])

    def _repeated(self, user: int, key: str, asked: tuple[str, Any], answer: httpx.Response) -> None:
        """A key that was used is answered as it was then, or is refused to another request."""
        before, first = self.model[user].keys[key]
        if before != _asked(asked):
            # What is wrong with a batch whatever there is, is told before its key is looked for.
            failing = Batch(self.model[user], asked[1]).failing.values() if asked[0] == "batch" else ()
            assert answer.status_code in {422, *failing}
            return
        assert (answer.status_code, answer.json()) == (first.status_code, first.json())
        assert answer.headers["X-Revision"] == first.headers["X-Revision"]
        assert answer.headers.get("ETag") == first.headers.get("ETag")
        assert answer.headers["Idempotent-Replayed"] == "true"

    def _change(self, method: str, task_id: str, user: int, body: dict[str, Any], known: str | None) -> None:
        model, before = self.model[user], self.model[user].living.get(task_id)
        header = self._tags(user, task_id, known)
        answer = self.of(user, method, f"/tasks/{task_id}", body, if_match=header)
        if before is None or known == "stale":
            assert answer.status_code == (404 if before is None else 412)
            return
        assert answer.status_code == 200
        if not body:
            assert answer.json() == unstamped(before)
            self._told(answer, before["revision"])
            return
        check_change(before, answer.json(), body)
        self._told(answer, model.revision + 1)
        model.put(answer.json(), model.revision + 1)


def _asked(asked: tuple[str, Any]) -> tuple[str, Any]:
    """What is asked for, however it is written."""
    operation, body = asked
    if operation == "batch":
        return operation, [_asked_for(each) for each in body]
    return operation, _asked_for({"op": "create", **body}, alone=True)


def _asked_for(operation: Operation, *, alone: bool = False) -> dict[str, Any]:
    if operation["op"] != "create":
        return dict(operation)
    own = {"id": operation["id"]} if operation.get("id") else {}
    return {**({} if alone else {"op": "create"}), **created(operation), **own}


def _by_id(tasks: Any) -> list[Task]:
    return sorted(tasks, key=lambda task: task["id"])


def run(settings: Settings, database_url: str, *, examples: int, steps: int) -> None:
    app = create_app(settings)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.test")
    tokens: dict[str, str] = {}

    async def ask(
        user_id: str, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> httpx.Response:
        token = tokens.setdefault(user_id, sign(user_id, SECRET, seconds=3600))
        return await client.request(
            method, path, json=body, headers={**headers, "Authorization": f"Bearer {token}"}
        )

    async def count_revisions(user_id: str) -> int:
        sql = "SELECT revision FROM task_lists WHERE user_id = $1"
        rows = await administer(database_url, sql, user_id)
        return rows[0]["revision"] if rows else 0

    with asyncio.Runner() as runner:

        class Machine(Lists):
            ask = staticmethod(lambda *arguments: runner.run(ask(*arguments)))
            count_revisions = staticmethod(lambda user_id: runner.run(count_revisions(user_id)))

        try:
            run_state_machine_as_test(
                Machine,
                settings=hypothesis_settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
                ),
            )
        finally:
            runner.run(client.aclose())


@pytest.mark.slow
@pytest.mark.no_cover  # thousands of requests; what they run, others cover
def test_the_lists_stay_what_the_model_says(settings: Settings, database_url: str):
    run(settings, database_url, examples=40, steps=50)


@pytest.mark.slow
@pytest.mark.no_cover
def test_long_lives_of_lists_stay_what_the_model_says(settings: Settings, database_url: str):
    run(settings, database_url, examples=200, steps=60)
