"""The plan's table."""

from django.db import models
from uuid_utils.compat import uuid7


class Task(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    user_id = models.CharField(max_length=255, db_index=True)
    text = models.CharField(max_length=500)
    completed = models.BooleanField(default=False)
    order = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    completed_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "tasks"
        ordering = ("order", "-created_at")

    def __str__(self) -> str:
        return str(self.text)
