"""What changed in a user's tasks since a revision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from app.errors import BadRequest, Gone
from app.queries.change_statements import CHANGES
from app.queries.owned import Owned, TaskRow
from app.queries.tables import SHOWN

_HEAD = 3  # of CHANGES, before the task


class Changes(NamedTuple):
    """One page: who has it, has all there was at `revision`; with `has_more`, there is more since."""

    tasks: Sequence[TaskRow]
    deleted: list[UUID]
    revision: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class UserChanges(Owned):
    """The changes of one user's tasks, in the order in which they were made."""

    async def since(self, revision: int | None, limit: int) -> Changes:
        """Return the tasks that changed after `revision`, each once and as it is now; None: all that live.

        About `limit` at most: pages end between revisions. Raises Gone when tasks that were deleted after
        `revision` were purged since, and BadRequest when the user has no such revision yet.
        """
        rows = await self._read(CHANGES, since=revision, limit=limit)
        newest, purged, end = rows[0][:_HEAD]
        if revision is not None and revision < purged:
            raise Gone
        if revision is not None and revision > newest:
            raise BadRequest("You have no such revision; `since` is the `revision` of an answer before.")
        rows = [row for row in rows if row["id"] is not None]
        tasks = [tuple(row)[_HEAD : _HEAD + len(SHOWN)] for row in rows if row["deleted_at"] is None]
        return Changes(tasks, [row["id"] for row in rows if row["deleted_at"]], end, end < newest)
