"""Batches: several operations on a user's tasks, all of them or none."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from app.queries.keys import answer_of, fingerprint
from app.queries.owned import Owned, TaskRow
from app.queries.tables import SHOWN
from app.queries.tries import TRIES, pause

_HEAD = 2  # of BATCH, before the task


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
        key: dict[str, Any] = (
            {} if once is None else {"key": once, "fingerprint": fingerprint("batch", asked)}
        )
        if self._strict:
            require_if_match(operations)
        created: Mapping[UUID, Row] = {}
        for attempt in range(TRIES):
            steps, impossible = plan(operations, created)
            rows = [] if impossible else await self._try(operations, steps, key)
            if rows:
                return Applied([_task(row) for row in rows], rows[0]["revision"])
            named = [operation["id"] for operation in operations]
            found = await self._read(NAMED, ids=named, key=once)
            if once is not None and (answer := answer_of(found[0], key["fingerprint"])):
                return Applied(answer, found[0]["taken"], replayed=True)
            before = operations[: impossible.place] if impossible else operations
            known, created = created, created_before(before, {row["id"]: row for row in found})
            if impossible and created.keys() == known.keys():  # with what is known now it may be possible
                raise impossible.error
            await pause(attempt)
        raise Unavailable("Your tasks are being changed too often to apply a batch; try again in a moment.")

    async def _try(
        self, operations: Sequence[Operation], steps: Sequence[Step], key: Mapping[str, Any]
    ) -> list[Row]:
        """Return a row for each operation; none where something does not fit, or the key is taken."""
        arrays = {f"step_{field}": [getattr(step, field) for step in steps] for field in STEP_TYPES}
        with suppress(asyncpg.DivisionByZeroError):
            return await self._write(
                BATCH_ONCE if key else BATCH,
                **arrays,
                **key,
                operation_id=[operation["id"] for operation in operations],
                steps=len(steps),
                taken=len(operations) if any(step.at for step in steps) else 0,
                now=datetime.now(UTC),
            )
        return []


def _task(row: Row) -> TaskRow | None:
    return tuple(row)[_HEAD : _HEAD + len(SHOWN)] if row["task_id"] is not None else None
