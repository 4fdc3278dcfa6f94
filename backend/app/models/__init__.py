"""The tables."""

from app.models.task import IdempotencyKey, Task, TaskList

__all__ = ["IdempotencyKey", "Task", "TaskList"]
