"""Batches: several operations on a user's tasks, all of them or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app.database import Row
from app.errors import Unavailable
from app.queries.batch_plan import Operation, Step, created_before, plan, require_if_match
from app.queries.batch_statements import BATCH, BATCH_ONCE, NAMED, STEP_TYPES
from app.queries.keys import REPEATED, answer_of, fingerprint
from app.queries.owned import Owned, TaskRow
from app.queries.tables import SHOWN

_HEAD = 2  # of BATCH, before the task
_TRIES = 5


class Applied(NamedTuple):
    """What became of a batch: for each operation its task as the batch left it, or None."""

    results: Sequence[TaskRow | None]
    revision: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class UserBatches(Owned):
    """Batches on one user's tasks; in strict ones each operation on a task says at which revision."""

    _strict: bool = False

    async def apply(self, asked: Sequence[Operation], once: str | None = None) -> Applied:
        """Do all operations in their order, each with a revision of its own, or nothing at all.

        Raises what the first operation that fails would be answered by itself, with its place, and
        ValidationFailed when the key `once` is that of another request.
        """
        operations = [{**operation, "id": operation.get("id") or uuid7()} for operation in asked]
        key = {} if once is None else {"key": once, "fingerprint": fingerprint("batch", asked)}
        if self._strict:
            require_if_match(operations)
        there: Mapping[UUID, Row] = {}
        for _ in range(_TRIES):
            steps, impossible = plan(operations, there)
            rows = None if impossible else await self._try(operations, steps, key)
            if rows:
                return Applied([_task(row) for row in rows], rows[0]["revision"])
            if rows is not None:
                return await self._answered(key)
            found = await self._read(NAMED, ids=[operation["id"] for operation in operations])
            before = operations[: impossible.place] if impossible else operations
            there = created_before(before, {row["id"]: row for row in found})
            if impossible:
                raise impossible.error
        raise Unavailable("Your tasks are being changed too often to apply a batch; try again in a moment.")

    async def _try(
        self, operations: Sequence[Operation], steps: Sequence[Step], key: Mapping[str, Any]
    ) -> list[Row] | None:
        """Return a row for each operation; none where the key is taken, and None where something failed."""
        changing = [step for step in steps if step.at]
        arrays = {f"step_{field}": [getattr(step, field) for step in changing] for field in STEP_TYPES}
        values = arrays | {
            **key,
            "operation_id": [operation["id"] for operation in operations],
            "there": [step.id for step in steps if not step.at],
            "steps": len(steps),
            "taken": len(operations) if changing else 0,
            "now": datetime.now(UTC),
        }
        try:
            return await self._write(BATCH_ONCE if key else BATCH, **values)
        except asyncpg.DivisionByZeroError:
            return None
        except asyncpg.UniqueViolationError:  # a request with the same key was faster
            return []

    async def _answered(self, key: Mapping[str, Any]) -> Applied:
        (found,) = await self._read(REPEATED, id=None, key=key["key"])
        return Applied(answer_of(found, key["fingerprint"]) or [], found["taken"], replayed=True)


def _task(row: Row) -> TaskRow | None:
    return tuple(row)[_HEAD : _HEAD + len(SHOWN)] if row["task_id"] is not None else None
