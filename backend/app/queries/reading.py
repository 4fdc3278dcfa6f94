"""Reading a part of a user's tasks: filtered, sorted, a page at a time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.queries.owned import Owned
from app.queries.reading_statements import NEVER, PARTS


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: what its last task is sorted by, and its id."""

    key: int | str | datetime | None
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is asked for: the tasks that all filters let through, in an order, from a place on.

    `q` is to be in the text, in whatever case. `counted` asks for the total of what the filters let through.
    """

    completed: bool | None = None
    q: str | None = None
    updated_since: datetime | None = None
    sort: str = "order"
    after: Place | None = None
    limit: int | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The tasks of a part, as rows of `SHOWN`; `end` is where more begin, None if there are none."""

    rows: list[tuple[Any, ...]]
    end: Place | None
    total: int | None


class UserParts(Owned):
    """One user's tasks, to read a part of."""

    async def find(
        self, part: Part, known: Collection[int] = (), *, wanted: bool = True
    ) -> tuple[int, Found | None]:
        """Return the user's revision and what was found.

        Nothing, and no task is read, when the revision is among those `known` or they are not `wanted`.
        """
        rows = await self._read(
            PARTS[part.sort],
            known=list(known),
            wanted=wanted,
            counted=part.counted,
            completed=part.completed,
            q=part.q,
            updated_since=part.updated_since,
            last_key=_last_key(part),
            last_id=part.after and part.after.id,
            most=part.limit and part.limit + 1,  # one more tells whether there are more
        )
        revision: int = rows[0]["revision"]
        if not wanted or revision in known:
            return revision, None
        total: int | None = rows[0]["total"]
        if rows[0]["id"] is None:
            return revision, Found([], None, total)
        shown = rows[: part.limit]
        last = shown[-1]
        end = Place(last[part.sort.removeprefix("-")], last["id"]) if len(shown) < len(rows) else None
        return revision, Found([row[:-1] for row in shown], end, total)


def _last_key(part: Part) -> int | str | datetime | None:
    if part.after is None:
        return None
    return NEVER[part.sort] if part.after.key is None else part.after.key
