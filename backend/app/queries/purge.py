"""What is due to be removed for good, of all users: how much it is, and away with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, func, select, union

from app.database import Database
from app.queries.keys import KEYS
from app.queries.tables import TASK, TASKS
from app.queries.trash_statements import DUE, FORGOTTEN, PURGE_DUE
from app.statement import Statement

_user_ids = union(select(TASK.user_id).where(DUE), select(KEYS.c.user_id).where(FORGOTTEN)).subquery("due").c
DUE_USERS = Statement(
    select(_user_ids.user_id)
    .where(_user_ids.user_id > bindparam("after", type_=TASK.user_id.type))
    .order_by(_user_ids.user_id)
    .limit(bindparam("limit", type_=Integer))
)

_tasks = select(func.count()).select_from(TASKS).where(DUE).scalar_subquery()
_keys = select(func.count()).select_from(KEYS).where(FORGOTTEN).scalar_subquery()
DUE_COUNT = Statement(select((_tasks + _keys).label("count")))


#: After so many full batches of which nothing could be removed a user is left for the next purge. One such
#: batch means only that another purge was faster.
_FRUITLESS = 5


@dataclass(frozen=True, slots=True)
class Purged:
    """How much was removed."""

    tasks: int = 0
    keys: int = 0

    def __str__(self) -> str:
        tasks = "task" if self.tasks == 1 else "tasks"
        keys = "key" if self.keys == 1 else "keys"
        return f"{self.tasks} deleted {tasks} and {self.keys} idempotency {keys}"


class Purge:
    """Removes tasks that were deleted, and keys that were answered, before some time.

    One user and at most `batch` rows of each kind at once, each batch a statement by itself: it holds one
    counter, so any number may run side by side and none waits for another while it keeps a third waiting.
    """

    def __init__(
        self, database: Database, *, deleted_before: datetime, answered_before: datetime, batch: int = 1000
    ) -> None:
        self._database = database
        self._before = {"deleted_before": deleted_before, "answered_before": answered_before}
        self._batch = batch

    async def count(self) -> int:
        """Return how many rows are due."""
        rows = await self._database.fetch(DUE_COUNT, **self._before)
        count: int = rows[0]["count"]
        return count

    async def run(self, progress: Callable[[int], Any] | None = None) -> Purged:
        """Remove all that is due; `progress` is told how many rows each batch removed."""
        tasks = keys = 0
        after = ""
        while users := await self._users(after):
            for user_id in users:
                fruitless = 0
                while fruitless < _FRUITLESS:
                    removed, more = await self._remove(user_id)
                    tasks, keys = tasks + removed.tasks, keys + removed.keys
                    if progress is not None:
                        progress(removed.tasks + removed.keys)
                    if not more:
                        break
                    fruitless = 0 if removed.tasks or removed.keys else fruitless + 1
            after = users[-1]
        return Purged(tasks, keys)

    async def _users(self, after: str) -> list[str]:
        """Return the next users of whom something is due; those who came before are done."""
        rows = await self._database.fetch(DUE_USERS, after=after, limit=self._batch, **self._before)
        return [row["user_id"] for row in rows]

    async def _remove(self, user_id: str) -> tuple[Purged, bool]:
        """Remove a batch of one user, and tell whether there may be more."""
        row = await self._database.fetch_one(PURGE_DUE, user_id=user_id, limit=self._batch, **self._before)
        if row is None:  # somebody else was faster
            return Purged(), False
        return Purged(row["tasks"], row["keys"]), row["more"]
