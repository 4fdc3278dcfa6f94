"""The tables."""

from app.models.task import Task, TaskList

__all__ = ["Task", "TaskList"]
