"""Deleted tasks as they are shown."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.task import StampedTask, json_bytes, task_fields


class TrashedTask(StampedTask):
    """A deleted task, until it is restored or purged."""

    deleted_at: datetime = Field(examples=["2026-01-06T09:00:00.000000Z"])
    purge_at: datetime = Field(
        description="When it is removed for good, or soon after", examples=["2026-02-05T09:00:00.000000Z"]
    )


class TrashResponse(BaseModel):
    """Deleted tasks, the last deleted first."""

    tasks: list[TrashedTask]
    count: int = Field(description="How many tasks this reply holds", examples=[1])


def trash_json(rows: Iterable[Iterable[Any]], retention_days: int) -> bytes:
    """Write rows of `UserTrash.all` as a TrashResponse."""
    retention = timedelta(days=retention_days)
    tasks = [_trashed_fields(*row, retention=retention) for row in rows]
    return json_bytes({"tasks": tasks, "count": len(tasks)})


def _trashed_fields(revision: int, *others: Any, retention: timedelta) -> dict[str, Any]:
    *shown, deleted_at = others
    return {
        **task_fields((revision, *shown)),
        "revision": revision,
        "deleted_at": deleted_at,
        "purge_at": deleted_at + retention,
    }
