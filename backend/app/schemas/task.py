"""Tasks as they are sent and received."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import MISSING, AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt
from pydantic_core import PydanticCustomError

#: How many columns a task is shown by: its revision, and the contract's fields.
_SHOWN = 9


#: What str.strip takes away, for a regular expression. Its \s is not the same in each language.
_WHITE_SPACE = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def _storable(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must hold more than white space")
    if "\0" in text:
        raise PydanticCustomError("nul", "must not hold the character U+0000, which PostgreSQL can't store")
    return text


#: Counted in code points, as PostgreSQL's varchar(500) counts; kept exactly as sent.
TaskText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="What is to be done. Kept exactly as sent.",
        json_schema_extra={"pattern": rf"^[^\x00]*[^\x00{_WHITE_SPACE}][^\x00]*$"},
    ),
    AfterValidator(_storable),
]
TaskOrder = Annotated[
    StrictInt,
    Field(ge=-(2**31), le=2**31 - 1, description="Place in the list; among equals the newest stands first."),
]


class TaskCreate(BaseModel):
    """A new task."""

    # What /docs sends as it is; without it Swagger UI makes up text that fits the pattern.
    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Buy milk"}]})

    text: TaskText
    completed: StrictBool = False
    order: TaskOrder = 0
    id: UUID | MISSING = Field(
        default=MISSING,
        description="An id of your own, a UUIDv7 at best: the same create sent again makes no second task.",
    )


class TaskUpdate(BaseModel):
    """All of a task that its owner writes; an absent `order` stays as it was."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Buy oat milk", "completed": False}]})

    text: TaskText
    completed: StrictBool
    order: TaskOrder | MISSING = MISSING


class TaskPatch(BaseModel):
    """Some of a task: what is absent stays as it was."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"completed": True}]})

    text: TaskText | MISSING = MISSING
    completed: StrictBool | MISSING = MISSING
    order: TaskOrder | MISSING = MISSING


class TaskResponse(BaseModel):
    """A task as stored. Times are UTC (RFC 3339)."""

    id: UUID = Field(examples=["01890a5d-ac96-774b-bcce-b302099a8057"])
    user_id: str = Field(description="The owner: the token's `sub`", examples=["alice"])
    text: str = Field(examples=["Buy milk"])
    completed: bool = Field(examples=[True])
    order: int = Field(description="Place in the list; among equals the newest stands first", examples=[0])
    created_at: datetime = Field(examples=["2026-01-05T08:30:00.000000Z"])
    updated_at: datetime = Field(examples=["2026-01-05T17:45:00.000000Z"])
    completed_at: datetime | None = Field(
        description="When it was completed; null while it is open", examples=["2026-01-05T17:45:00.000000Z"]
    )


class StampedTask(TaskResponse):
    """A task and its revision: the number in its `ETag`, what `If-Match` wants."""

    revision: int = Field(description="The user's revision that the last change of it took", examples=[7])


class TaskListResponse(BaseModel):
    """Tasks in the order that was asked for; in display order if none was."""

    tasks: list[TaskResponse]
    count: int = Field(description="How many tasks this reply holds", examples=[1])
    next_cursor: str | MISSING | None = Field(
        default=MISSING, description="Only with `limit`: the `cursor` that goes on from here; null at the end"
    )
    total: int | MISSING = Field(
        default=MISSING, description="Only with `Prefer: count=exact`: how many tasks the filters let through"
    )


def task_json(row: Iterable[Any]) -> bytes:
    """Write a row that begins with `SHOWN` as a TaskResponse.

    Straight from the row: through pydantic a list of 1,000 costs six times as much (docs/decisions/0001).
    A test holds every body that is really sent against TaskResponse and the contract.
    """
    return json_bytes(task_fields(islice(row, _SHOWN)))


def task_list_json(rows: Iterable[Iterable[Any]], **more: object) -> bytes:
    """Write rows of `UserTasks` as a TaskListResponse; `more` are its fields beside `tasks` and `count`."""
    tasks = [task_fields(row) for row in rows]
    return json_bytes({"tasks": tasks, "count": len(tasks), **more})


def task_fields(row: Iterable[Any]) -> dict[str, Any]:
    """Return the contract's fields of a task from a row of exactly `SHOWN`."""
    _revision, task_id, user_id, text, completed, order, created_at, updated_at, completed_at = row
    return {
        "id": task_id,
        "user_id": user_id,
        "text": text,
        "completed": completed,
        "order": order,
        "created_at": created_at,
        "updated_at": updated_at,
        "completed_at": completed_at,
    }


def stamped_fields(row: Iterable[Any]) -> dict[str, Any]:
    """Return the fields of a StampedTask from a row of exactly `SHOWN`."""
    values = tuple(row)
    return {**task_fields(values), "revision": values[0]}


def json_bytes(value: object) -> bytes:
    """Write JSON; times as UTC with a Z."""
    # str: asyncpg's UUIDs are of a class of its own, which orjson doesn't know.
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)
