"""A user's revisions, as they come."""

from dataclasses import dataclass, field

from sqlalchemy import func, select

from app.errors import Ending
from app.queries.listener import Listener
from app.queries.owned import Owned
from app.queries.tables import LISTS, USER_ID, ZERO
from app.statement import Statement

_counter = select(LISTS.c.revision).where(LISTS.c.user_id == USER_ID).scalar_subquery()
REVISION = Statement(select(func.coalesce(_counter, ZERO).label("revision")))


@dataclass(frozen=True, slots=True)
class UserRevisions(Owned):
    """One user's revisions, heard by one listener."""

    listener: Listener = field(kw_only=True)

    async def start(self, heard: int | None) -> None:
        """Read where the user stands; the revision that the caller `heard` already is not told again.

        The listener is there before, so nothing that comes between is missed. Raises Unavailable.
        """
        (row,) = await self._read(REVISION)
        self.listener.start(row["revision"], heard)

    async def next(self) -> int | None:
        """Return the next revision, the newest one, as soon as there is one; None when the stream is over."""
        return await self.listener.next()

    @property
    def ending(self) -> Ending | None:
        """Why it is over."""
        return self.listener.ending
