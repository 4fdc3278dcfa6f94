"""Batches as they are sent and received."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.task import StampedTask, TaskCreate, TaskPatch, json_bytes, stamped_fields

_IfMatch = Annotated[
    StrictInt, Field(ge=0, lt=10**18, description="The revision that the task must still have")
]


class CreateOperation(TaskCreate):
    """Make a task. It has no revision yet, so there is nothing that `if_match` could be."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["if_match"]}})

    op: Literal["create"]

    @model_validator(mode="before")
    @classmethod
    def _has_no_revision(cls, given: Any) -> Any:  # noqa: ANN401 - it is any JSON
        if isinstance(given, dict) and "if_match" in given:
            raise PydanticCustomError("if_match", "must not have if_match: a new task has no revision yet")
        return given


class PatchOperation(TaskPatch):
    """Change some fields of a task, at least one."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [name]} for name in TaskPatch.model_fields]}
    )

    op: Literal["patch"]
    id: UUID
    if_match: _IfMatch | MISSING = MISSING

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.model_fields_set.isdisjoint(TaskPatch.model_fields):
            raise PydanticCustomError("nothing", "must change text, completed or order")
        return self


class DeleteOperation(BaseModel):
    """Put a task into the trash."""

    op: Literal["delete"]
    id: UUID
    if_match: _IfMatch | MISSING = MISSING


class RestoreOperation(BaseModel):
    """Take a task out of the trash."""

    op: Literal["restore"]
    id: UUID
    if_match: _IfMatch | MISSING = MISSING


Operation = Annotated[
    CreateOperation | PatchOperation | DeleteOperation | RestoreOperation, Field(discriminator="op")
]


class TaskBatch(BaseModel):
    """Operations that are done in their order, all of them or none."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"operations": [{"op": "create", "text": "Buy milk"}]}]}
    )

    operations: list[Operation] = Field(min_length=1, max_length=100)


class BatchResponse(BaseModel):
    """What became of each operation's task."""

    results: list[StampedTask | None] = Field(
        description="For each operation its task as the batch left it; null where it is deleted"
    )
    revision: int = Field(description="The user's revision: that of the last operation", examples=[7])


def batch_json(results: Iterable[Any], revision: int) -> bytes:
    """Write a BatchResponse."""
    return json_bytes({"results": [task and stamped_fields(task) for task in results], "revision": revision})
