"""A user's deleted tasks: back out of the trash, or for good."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.database import Row
from app.errors import PreconditionFailed, TaskNotFound, Unavailable
from app.queries.owned import Owned
from app.queries.trash_statements import ALL, EMPTY, PURGE, RESTORE, STANDS

_TRIES = 5


@dataclass(frozen=True, slots=True)
class UserTrash(Owned):
    """One user's deleted tasks."""

    async def all(self) -> list[Row]:
        """Return every deleted task, and when it was deleted: the last deleted first."""
        return await self._read(ALL)

    async def restore(self, task_id: UUID, expected: Collection[int] | None = None) -> Row:
        """Undo the deletion and return the task, as it was but for its revision and `updated_at`.

        One that is not deleted (any more: the first answer may have got lost) is returned as it stands.
        One that was deleted just then is restored after all. Raises TaskNotFound, PreconditionFailed when the
        revision is none of those `expected`, and Unavailable when it was deleted again with every try.
        """
        wanted = None if expected is None else list(expected)
        for _ in range(_TRIES):
            restored = await self._write_one(RESTORE, id=task_id, expected=wanted, now=datetime.now(UTC))
            if restored is not None:
                return restored
            stands = await self._read_one(STANDS, id=task_id)
            if stands is None:
                raise TaskNotFound
            if expected is not None and stands["revision"] not in expected:
                raise PreconditionFailed(stands["revision"])
            if stands["deleted_at"] is None:
                return stands
        raise Unavailable("This task is being deleted all the time right now; try again in a moment.")

    async def remove(self, task_id: UUID) -> int:
        """Remove a deleted task for good and return the user's revision, which stays as it was.

        Raises TaskNotFound when there is no such task or it is not deleted.
        """
        row = await self._read_one(PURGE, id=task_id)
        if row is None:
            raise TaskNotFound("There is no task with this id in your trash.")
        revision: int = row["revision"]
        return revision

    async def empty(self) -> int:
        """Remove every deleted task for good and return the user's revision, which stays as it was."""
        rows = await self._read(EMPTY)
        revision: int = rows[0]["revision"]
        return revision
