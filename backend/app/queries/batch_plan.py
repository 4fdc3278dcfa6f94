"""From the operations of a batch to what has to be true of each task, and what becomes of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from app.database import Row
from app.errors import AppError, Conflict, PreconditionFailed, PreconditionRequired, TaskNotFound
from app.queries.tasks import DELETED, same

#: What a task must be before its first operation: not there, not deleted, or anything (to be restored).
NEW, LIVING, ANY_STATE = "new", "living", "any state"

Operation = Mapping[str, Any]


@dataclass(slots=True)
class Step:
    """All that a batch does with one task; None leaves a field as it is."""

    id: UUID
    needs: str
    expected: int | None = None  # the revision that the task must have
    text: str | None = None
    completed: bool | None = None
    order: int | None = None
    reopened: bool = False  # at some point, so that the time of completion begins anew
    deleted: bool = False
    at: int = 0  # the last operation that changes it, counted from 1; 0: none does

    def apply(self, operation: Operation, at: int) -> None:
        """Take one more operation in; raises TaskNotFound when the batch has deleted the task before."""
        if self.deleted and operation["op"] != "restore":
            raise TaskNotFound
        if operation["op"] in {"create", "patch"}:
            self.text = operation.get("text", self.text)
            self.order = operation.get("order", self.order)
            self.completed = operation.get("completed", self.completed)
            self.reopened = self.reopened or self.completed is False
        self.deleted = operation["op"] == "delete"
        self.at = at


class Impossible(NamedTuple):
    """An operation that fails whatever the tasks are like, for what the batch did before."""

    place: int
    error: AppError


def plan(
    operations: Sequence[Operation], created: Mapping[UUID, Row]
) -> tuple[list[Step], Impossible | None]:
    """Return what is done with each task. Those that were `created` before by the same create need not be."""
    steps: dict[UUID, Step] = {}
    for place, operation in enumerate(operations):
        try:
            with _Placed(place):
                _add(steps, operation, place + 1, created)
        except AppError as error:
            return [], Impossible(place, error)
    return list(steps.values()), None


def _add(steps: dict[UUID, Step], operation: Operation, at: int, created: Mapping[UUID, Row]) -> None:
    step, before = steps.get(operation["id"]), created.get(operation["id"])
    if operation["op"] == "create" and (step or before):
        _refuse_another(step, before, operation)  # the same again is done
        if before:
            steps.setdefault(operation["id"], Step(operation["id"], LIVING, before["revision"]))
        return
    if step is None:
        step = steps[operation["id"]] = _first(operation)
    elif operation.get("if_match") not in {None, None if step.at else step.expected}:
        raise PreconditionFailed(None if step.at else step.expected)
    step.apply(operation, at)


def _refuse_another(step: Step | None, before: Row | None, operation: Operation) -> None:
    """Raise Conflict unless a create is of the very task that an operation before, or somebody, made."""
    if step is not None and step.deleted:
        raise Conflict(DELETED)
    for name in ("text", "completed", "order"):
        made = getattr(step, name, None)
        if operation[name] != (before[name] if made is None and before else made):
            raise Conflict


def _first(operation: Operation) -> Step:
    match operation["op"]:
        case "create":
            return Step(operation["id"], NEW)
        case "restore":
            return Step(operation["id"], ANY_STATE, operation.get("if_match"))
    return Step(operation["id"], LIVING, operation.get("if_match"))


def require_if_match(operations: Iterable[Operation]) -> None:
    """Raise PreconditionRequired for the first operation on a task as it is that does not say which."""
    seen: set[UUID] = set()
    for place, operation in enumerate(operations):
        if operation["id"] not in seen and operation["op"] != "create" and operation.get("if_match") is None:
            with _Placed(place):
                raise PreconditionRequired
        seen.add(operation["id"])


def created_before(operations: Sequence[Operation], found: Mapping[UUID, Row]) -> dict[UUID, Row]:
    """Look why a batch does not apply to the tasks `found`, and return those that were created before.

    Raises what its first failing operation would be answered by itself, with its place.
    """
    seen: set[UUID] = set()
    created: dict[UUID, Row] = {}
    for place, operation in enumerate(operations):
        if operation["id"] in seen:
            continue
        seen.add(operation["id"])
        row = found.get(operation["id"])
        with _Placed(place):
            if operation["op"] != "create":
                _refuse(operation, row)
            elif row is not None:
                created[operation["id"]] = same(None if row["deleted_at"] else row, operation)
    return created


def _refuse(operation: Operation, row: Row | None) -> None:
    if row is None or (row["deleted_at"] is not None and operation["op"] != "restore"):
        raise TaskNotFound
    if operation.get("if_match") not in {None, row["revision"]}:
        raise PreconditionFailed(row["revision"])


class _Placed:
    """Adds the place of an operation to the failure that is raised inside."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __enter__(self) -> None:
        return

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, AppError):
            error.details = [f"operations[{self._place}]: {error.message}"]
