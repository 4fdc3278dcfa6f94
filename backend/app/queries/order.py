"""The order of a user's tasks: a task is put between two others."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from app.database import Row
from app.errors import PreconditionFailed, TaskNotFound, Unavailable, ValidationFailed
from app.queries.order_statements import MOVE
from app.queries.owned import Owned
from app.queries.tries import TRIES, pause

Side = Literal["after", "before"]


@dataclass(frozen=True, slots=True)
class UserOrder(Owned):
    """The order of one user's tasks."""

    async def move(
        self, task_id: UUID, side: Side, anchor: UUID | None, expected: Collection[int] | None = None
    ) -> Row:
        """Put a task right after or before another one, the anchor, and return it; begins with `SHOWN`.

        After None is the very top, before None the very bottom. A deleted anchor counts where it stood. Where
        the task stands there already, nothing changes. `touched` is how many rows took the new revision.

        Raises TaskNotFound, PreconditionFailed when the task's revision is none of those `expected`,
        ValidationFailed when the anchor is none of the user's, and Unavailable when every try raced a change.
        """
        if anchor == task_id:
            raise ValidationFailed(details=[f"{side} - must be another task than the one that is moved"])
        for attempt in range(TRIES):
            row = await self._try(task_id, side, anchor, expected)
            if row["done"]:
                return row
            await pause(attempt)
        raise Unavailable("Your list is being changed all the time right now; try again in a moment.")

    async def _try(
        self, task_id: UUID, side: Side, anchor: UUID | None, expected: Collection[int] | None
    ) -> Row:
        (row,) = await self._write(
            MOVE,
            id=task_id,
            anchor=anchor,
            below=side == "after",
            expected=None if expected is None else list(expected),
            now=datetime.now(UTC),
        )
        if row["id"] is None:
            raise TaskNotFound
        if not row["as_expected"]:
            raise PreconditionFailed(row["revision"])
        if not row["has_anchor"]:
            raise ValidationFailed(details=[f"{side} - you have no task with this id"])
        return row
