"""The tables: one row per user with the counter, one row per task."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, false
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
