"""One user's tasks as a plain model in Python: what each request does to them, and how it is answered."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Task = dict[str, Any]
Operation = Mapping[str, Any]

#: Filled by the server; the model takes them from its answers, and holds them to what can be said of them.
TIMES = {"created_at", "updated_at", "completed_at"}


@dataclass
class Model:
    """`living` and `trash` have each task as it is shown, and its `revision`."""

    living: dict[str, Task] = field(default_factory=dict)
    trash: dict[str, Task] = field(default_factory=dict)
    revision: int = 0
    purged_revision: int = 0
    keys: dict[str, tuple[Any, Any]] = field(default_factory=dict)  #: what was asked, and the answer

    def shown(self) -> list[Task]:
        """The list, in display order."""
        newest_first = sorted(self.living.values(), key=lambda task: task["id"], reverse=True)
        return [unstamped(task) for task in sorted(newest_first, key=lambda task: task["order"])]

    def ids(self) -> list[str]:
        return [task["id"] for task in self.shown()]

    def moved(self, task_id: str, side: str, anchor: str | None) -> list[str]:
        """The list with one task elsewhere; a deleted anchor counts where it stood."""
        others = {id_: task for id_, task in self.living.items() if id_ != task_id}
        if anchor in self.trash:
            others[anchor] = self.trash[anchor]
        line = Model(others).ids()
        if anchor is None:
            slot = 0 if side == "after" else len(line)
        else:
            slot = line.index(anchor) + (side == "after")
        return [id_ for id_ in [*line[:slot], task_id, *line[slot:]] if id_ in self.living]

    def refused(self, operation: Operation) -> int | None:
        """Return the status that an operation is refused with by itself, or None."""
        here = self.living.get(operation.get("id", ""))
        gone = self.trash.get(operation.get("id", ""))
        if operation["op"] == "create":
            same = here and all(here[name] == value for name, value in created(operation).items())
            return None if same or not (here or gone) else 409
        if operation["op"] == "restore":
            here = here or gone
        if here is None:
            return 404
        return 412 if operation.get("if_match") not in {None, here["revision"]} else None

    def repeats(self, operation: Operation) -> bool:
        """Whether a create finds what it would make."""
        return operation["op"] == "create" and operation.get("id") in self.living

    def put(self, task: Task, revision: int) -> None:
        """A task is now so, and alive."""
        self.trash.pop(task["id"], None)
        self.living[task["id"]] = {**task, "revision": revision}
        self.revision = max(self.revision, revision)

    def delete(self, task_id: str, revision: int) -> None:
        self.trash[task_id] = {**self.living.pop(task_id), "revision": revision}
        self.revision = revision

    def purge(self, *task_ids: str) -> None:
        for task_id in task_ids:
            self.purged_revision = max(self.purged_revision, self.trash.pop(task_id)["revision"])


def created(operation: Operation) -> Task:
    return {name: operation.get(name, default) for name, default in _DEFAULTS.items()}


_DEFAULTS = {"text": None, "completed": False, "order": 0}


def unstamped(task: Task) -> Task:
    return {name: value for name, value in task.items() if name != "revision"}


def check_change(before: Task, after: Task, changes: Mapping[str, Any], *, reopened: bool = False) -> None:
    """Hold a changed task to what was asked for."""
    expected = {**before, **{name: changes[name] for name in _DEFAULTS if name in changes}}
    for name in after.keys() - {*TIMES, "revision"}:
        assert after[name] == expected[name]
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]
    if after["completed"] and before["completed"] and not reopened:
        assert after["completed_at"] == before["completed_at"]
    else:
        assert after["completed_at"] == (after["updated_at"] if after["completed"] else None)


class Batch:
    """What a batch does, operation by operation."""

    def __init__(self, model: Model, operations: Sequence[Operation]) -> None:
        self.model = copy.deepcopy(model)  # as it becomes
        self.before = model
        self.operations = operations
        self.failing: dict[int, int] = {}  #: their places and statuses
        self.changes: dict[str, dict[str, Any]] = {}
        self.reopened: set[str] = set()
        self.last: dict[str, int] = {}  #: where each task's last change stands
        self.known: dict[str, Task] = {}  #: what the operations so far say of each task
        seen: set[str] = set()
        for place, operation in enumerate(operations):
            task_id = operation["id"]
            refused = self._refused(operation, again=task_id in seen)
            seen.add(task_id)
            if refused is None:
                self._apply(operation, place)
            else:
                self.failing[place] = refused

    def _refused(self, operation: Operation, *, again: bool) -> int | None:
        if again and operation["op"] == "create":
            same = operation["id"] in self.model.living and self.known.get(operation["id"]) == created(
                operation
            )
            return None if same else 409
        if operation["id"] in self.last and "if_match" in operation:
            return 412  # a create that was made before changes nothing: its task still has its revision
        return self.model.refused(operation)

    def _apply(self, operation: Operation, place: int) -> None:
        task_id, model = operation["id"], self.model
        said = created(operation) if operation["op"] == "create" else operation
        known = self.known.setdefault(task_id, {})
        known |= {name: said[name] for name in _DEFAULTS if name in said}
        if model.repeats(operation):
            return
        self.last[task_id] = place
        changes = self.changes.setdefault(task_id, {})
        match operation["op"]:
            case "create":
                changes |= created(operation)
                model.living[task_id] = {"id": task_id, "revision": None, **created(operation)}
            case "patch":
                changes |= {name: operation[name] for name in _DEFAULTS if name in operation}
                model.living[task_id] |= {name: operation[name] for name in _DEFAULTS if name in operation}
            case "delete":
                model.trash[task_id] = model.living.pop(task_id)
            case "restore" if task_id in model.trash:
                model.living[task_id] = model.trash.pop(task_id)
        if task_id in model.living and not model.living[task_id]["completed"]:
            self.reopened.add(task_id)
