"""Where a task is moved to, as it is sent."""

from typing import Literal, Self
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class TaskMove(BaseModel):
    """Where a task goes: right after or right before another one."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["after"]}, {"required": ["before"]}],
            # Not with null, which FastAPI leaves out of its document.
            "examples": [{"after": "01890a5d-ac96-774b-bcce-b302099a8057"}],
        }
    )

    after: UUID | MISSING | None = Field(
        default=MISSING, description="The task that it shall stand right below; null: the very top."
    )
    before: UUID | MISSING | None = Field(
        default=MISSING, description="The task that it shall stand right above; null: the very bottom."
    )

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.after is MISSING) is (self.before is MISSING):
            raise PydanticCustomError("one_side", "must have either after or before: a task's id, or null")
        return self

    @property
    def side(self) -> Literal["after", "before"]:
        """Which side of the anchor."""
        return "before" if self.after is MISSING else "after"

    @property
    def anchor(self) -> UUID | None:
        """The task that it shall stand next to; None: there is none, it goes to an end."""
        found = self.before if self.after is MISSING else self.after
        return None if found is MISSING else found
