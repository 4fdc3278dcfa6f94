"""What changed, as it is sent."""

import re
from collections.abc import Collection
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.schemas.task import StampedTask, json_bytes, stamped_fields

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def _revision(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise PydanticCustomError("revision", "must be a revision: a whole number, 0 or more")
    return int(text)


Since = Annotated[
    int,
    PlainValidator(_revision),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 10**18 - 1}),
]


class ChangesResponse(BaseModel):
    """One page of what changed, in the order of the changes."""

    tasks: list[StampedTask] = Field(description="What was made or changed, and lives")
    deleted: list[UUID] = Field(description="What was deleted")
    revision: int = Field(description="Keep it: it is the next `since`", examples=[7])
    has_more: bool = Field(description="There is more since then already: ask again")


def changes_json(
    tasks: Collection[Any], deleted: Collection[UUID], revision: int, *, has_more: bool
) -> bytes:
    """Write a ChangesResponse."""
    return json_bytes(
        {
            "tasks": [stamped_fields(task) for task in tasks],
            "deleted": deleted,
            "revision": revision,
            "has_more": has_more,
        }
    )
