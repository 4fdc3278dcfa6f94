"""What belongs to one user, and how it is read and written."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from app.database import Database, Row
from app.statement import Statement

#: A task as SHOWN: its revision, then the contract's fields; from the table or from an answer that was kept.
TaskRow: TypeAlias = Row | tuple[Any, ...]

#: Is told a user's new revision as soon as a write has it.
Tell = Callable[[str, int], None]


def _nobody(_user_id: str, _revision: int) -> None:
    """Where nobody waits for revisions."""


@dataclass(frozen=True, slots=True)
class Owned:
    """Some of one user's rows. Without a user there is no such object, so no statement can forget whose."""

    _database: Database
    _user_id: str
    _tell: Tell = _nobody
    #: Till when everything that is asked of the database must be there, by the event loop's clock.
    _until: float = field(default=math.inf, kw_only=True)

    async def _read(self, statement: Statement, **values: Any) -> list[Row]:
        """Run one statement that takes no revision."""
        return await self._fetch(statement, values)

    async def _read_one(self, statement: Statement, **values: Any) -> Row | None:
        rows = await self._read(statement, **values)
        return rows[0] if rows else None

    async def _write(self, statement: Statement, **values: Any) -> list[Row]:
        """Run one statement that takes a revision, if it gives rows: each has it as `revision`."""
        rows = await self._fetch(statement, values)
        if rows:
            self._tell(self._user_id, max(row["revision"] for row in rows))
        return rows

    async def _write_one(self, statement: Statement, **values: Any) -> Row | None:
        rows = await self._write(statement, **values)
        return rows[0] if rows else None

    async def _fetch(self, statement: Statement, values: dict[str, Any]) -> list[Row]:
        user = self._user_id
        return await self._database.fetch_for(user, self._until, statement, user_id=user, **values)
