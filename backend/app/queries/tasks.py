"""A user's tasks: one statement for each thing that can be done."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app.database import Row
from app.errors import Conflict, PreconditionFailed, TaskNotFound
from app.queries.create_statements import ADD, ADD_ONCE
from app.queries.keys import REPEATED, answer_of, fingerprint
from app.queries.owned import Owned, TaskRow
from app.queries.task_statements import GET, LIST, REMOVE, SET

DELETED = "The task with this id was deleted; restore it, or make a new one with another id."


class Added(NamedTuple):
    """The task of a create: `is_new` if it was made, now or when the answer that is `replayed` was given."""

    task: TaskRow
    is_new: bool = True
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class UserTasks(Owned):
    """One user's tasks."""

    async def all(self, known: Collection[int] = (), *, wanted: bool = True) -> tuple[int, list[Row] | None]:
        """Return the user's revision and every task: by `order`, among equals the newest first.

        No tasks, and none is read, when the revision is among those `known` or they are not `wanted`.
        """
        rows = await self._read(LIST, known=list(known), wanted=wanted)
        revision: int = rows[0]["revision"]
        if not wanted or revision in known:
            return revision, None
        return revision, rows if rows[0]["id"] is not None else []

    async def get(self, task_id: UUID) -> Row:
        """Return one task; raises TaskNotFound."""
        return _found(await self._read_one(GET, id=task_id))

    async def add(
        self,
        once: str | None = None,
        *,
        text: str,
        completed: bool = False,
        order: int = 0,
        id: UUID | None = None,  # noqa: A002 - it is the field's name
    ) -> Added:
        """Create a task, if that was not done before: with the key `once`, or with an `id` of the caller's.

        Without an id it is a UUIDv7 (RFC 9562), so ids stand in the order of creation. Raises Conflict when
        the id is that of another task, or of a deleted one, and ValidationFailed when the key is that of
        another request.
        """
        asked = {"text": text, "completed": completed, "order": order}
        now = datetime.now(UTC)
        times = {"created_at": now, "updated_at": now, "completed_at": now if completed else None}
        new = asked | times | {"id": id or uuid7()}
        if once is None:
            row = await self._write_one(ADD, **new)
            return Added(row) if row else Added(same(await self._read_one(GET, id=id), asked), is_new=False)
        asked_for = fingerprint("create", asked | {"id": id})
        with suppress(asyncpg.DivisionByZeroError):  # a request with the same key was faster
            if row := await self._write_one(ADD_ONCE, **new, key=once, fingerprint=asked_for, now=now):
                return Added(row)
        (found,) = await self._read(REPEATED, id=id, key=once)
        if (answer := answer_of(found, asked_for)) and answer[0]:
            return Added(answer[0], replayed=True)
        return Added(same(found, asked), is_new=False)

    async def change(
        self,
        task_id: UUID,
        expected: Collection[int] | None = None,
        *,
        text: str | None = None,
        completed: bool | None = None,
        order: int | None = None,
    ) -> Row:
        """Change what is given and leave the rest; nothing given changes nothing.

        Raises TaskNotFound, and PreconditionFailed when the task's revision is none of those `expected`.
        """
        if text is None and completed is None and order is None:
            row = await self.get(task_id)
            if expected is not None and row["revision"] not in expected:
                raise PreconditionFailed(row["revision"])
            return row
        changed = await self._write_one(
            SET,
            id=task_id,
            expected=_listed(expected),
            text=text,
            completed=completed,
            order=order,
            now=datetime.now(UTC),
        )
        return changed or await self._refused(task_id, expected)

    async def remove(self, task_id: UUID, expected: Collection[int] | None = None) -> int:
        """Mark a task deleted and return the revision of that; the row stays as a tombstone.

        Raises TaskNotFound, and PreconditionFailed when the task's revision is none of those `expected`.
        """
        row = await self._write_one(REMOVE, id=task_id, expected=_listed(expected), now=datetime.now(UTC))
        revision: int = (row or await self._refused(task_id, expected))["revision"]
        return revision

    async def _refused(self, task_id: UUID, expected: Collection[int] | None) -> Row:
        """Say why nothing was changed; only this costs a second statement."""
        if expected is None:
            raise TaskNotFound
        raise PreconditionFailed((await self.get(task_id))["revision"])


def _listed(expected: Collection[int] | None) -> list[int] | None:
    return None if expected is None else list(expected)


def same(stored: Row | None, asked: Mapping[str, Any]) -> Row:
    """Return the living task with the id of a create, if it is what was asked for; raises Conflict."""
    if stored is None or stored["id"] is None:
        raise Conflict(DELETED)
    if any(stored[name] != asked[name] for name in ("text", "completed", "order")):
        raise Conflict
    return stored


def _found(row: Row | None) -> Row:
    if row is None:
        raise TaskNotFound
    return row
