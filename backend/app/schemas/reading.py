"""What chooses a part of a user's tasks: the parameters of GET /tasks."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import MISSING, AfterValidator, BaseModel, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_MOST = 1000
#: A text of 500 characters that JSON writes with six each, in base64, and what else a cursor holds.
MOST_OF_A_CURSOR = 4200
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")
_HOUR, _SIXTIETH = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_RFC_3339 = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_HOUR}:{_SIXTIETH}:{_SIXTIETH}(?:\.[0-9]+)?"
    rf"(?:[Zz]|[+-]{_HOUR}:{_SIXTIETH})"
)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_TRUTHS = {"true": True, "false": False}


def _truth(text: str) -> bool:
    if text not in _TRUTHS:
        raise PydanticCustomError("truth", "must be true or false")
    return _TRUTHS[text]


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > _MOST:
        raise PydanticCustomError("number", f"must be a whole number from 1 to {_MOST}")
    return int(text)


def _instant(text: str) -> datetime:
    try:
        # Of a fraction it takes six digits, as many as PostgreSQL keeps.
        moment = datetime.fromisoformat(text.upper() if _RFC_3339.fullmatch(text) else "")
    except ValueError:
        raise PydanticCustomError(
            "instant", "must be a time with its offset, like 2026-01-05T17:45:00Z (RFC 3339); write + as %2B"
        ) from None
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the offset leads out of the calendar; no task is beyond its ends
        return _FIRST if moment.year == _FIRST.year else _LAST


def _searchable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "must not hold the character U+0000, which no text has")
    return text


Truth = Annotated[bool, PlainValidator(_truth), WithJsonSchema({"type": "boolean"})]
Search = Annotated[
    str, Field(max_length=500, json_schema_extra={"pattern": r"^[^\x00]*$"}), AfterValidator(_searchable)
]
Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    # Neither Python nor PostgreSQL has a year 0.
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "^(?!0000)"}),
]
Limit = Annotated[
    int, PlainValidator(_number), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _MOST})
]
#: Looked at where it is read (app/api/cursors.py); none that is given is longer.
Cursor = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MOST_OF_A_CURSOR})
]
Sort = Literal[
    "order", "-order", "created_at", "-created_at", "updated_at", "-updated_at",
    "completed_at", "-completed_at", "text", "-text",
]  # fmt: skip


class ListQuery(BaseModel):
    """All that can be asked of a list. What is not named here is ignored."""

    completed: Truth | MISSING = Field(
        default=MISSING, description="Only tasks that are completed, or only open ones"
    )
    q: Search | MISSING = Field(
        default=MISSING,
        description="Only tasks with this in their text, in upper or lower case; no character is special",
    )
    updated_since: Instant | MISSING = Field(
        default=MISSING,
        description="Only tasks changed then or later: a time with its offset (RFC 3339), `+` written `%2B`",
    )
    sort: Sort | MISSING = Field(
        default=MISSING,
        description="What the list is sorted by, with `-` the other way round; `order` if absent. "
        "Open tasks have no `completed_at` and stand last in both.",
    )
    limit: Limit | MISSING = Field(
        default=MISSING, description="At most so many tasks; more are at `next_cursor` and `Link`"
    )
    cursor: Cursor | MISSING = Field(
        default=MISSING, description="The `next_cursor` of a reply with the same `sort` and filters"
    )
