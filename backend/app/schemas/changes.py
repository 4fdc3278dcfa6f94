"""What changed, as it is sent."""

from collections.abc import Collection
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.schemas.task import StampedTask, json_bytes, stamped_fields

_MOST = 1000
_MOST_DIGITS = 18


def _digits(value: Any) -> Any:  # noqa: ANN401 - whatever a query holds
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS):
        raise PydanticCustomError("digits", "must be a whole number, in digits")
    return value


Since = Annotated[int, BeforeValidator(_digits), Field(ge=0, lt=10**_MOST_DIGITS)]
PageLimit = Annotated[int, BeforeValidator(_digits), Field(ge=1, le=_MOST)]


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
