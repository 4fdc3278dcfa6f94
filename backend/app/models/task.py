"""The tables: one row per user with the counter, one per task, one per request that is made only once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class TaskList(SQLModel, table=True):
    """A user's counter. Every change to any of the user's tasks takes its next number."""

    __tablename__ = "task_lists"

    user_id: str = Field(primary_key=True, max_length=255)
    revision: int = Field(sa_type=BigInteger)
    purged_revision: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class Task(SQLModel, table=True):
    """A task. The key begins with its owner, so nothing can name a task without naming whose it is."""

    __tablename__ = "tasks"
    # Only for the purge, which looks at all users: it finds what is due without reading what is alive.
    __table_args__ = (
        Index("tasks_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    user_id: str = Field(primary_key=True, max_length=255)
    id: UUID = Field(primary_key=True)
    text: str = Field(max_length=500)
    completed: bool = Field(sa_column_kwargs={"server_default": false()})
    order: int = Field(sa_column_kwargs={"server_default": "0"})
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    deleted_at: datetime | None = None
    revision: int = Field(sa_type=BigInteger)


class IdempotencyKey(SQLModel, table=True):
    """A request that came with a key of its caller's, and what it was answered."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_created_at", "created_at"),)  # for the purge

    user_id: str = Field(primary_key=True, max_length=255)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: bytes
    revision: int = Field(sa_type=BigInteger)
    answer: list[Any] = Field(sa_type=JSONB)
    created_at: datetime
