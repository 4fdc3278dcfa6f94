"""The endpoints."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import jwt
from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import NinjaAPI, PatchDict, Schema
from ninja.security import HttpBearer
from pydantic import StringConstraints

from bench.subjects.python.django_tasks.models import Task

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class TaskCreate(Schema):
    text: Text


class TaskChange(Schema):
    text: Text
    completed: bool


class TaskResponse(Schema):
    id: UUID
    user_id: str
    text: str
    completed: bool
    order: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class TaskListResponse(Schema):
    tasks: list[TaskResponse]
    count: int


class HealthResponse(Schema):
    status: str
    database: str
    version: str


class Bearer(HttpBearer):
    def authenticate(self, _request: HttpRequest, token: str) -> str | None:
        try:
            claims = jwt.decode(
                token, settings.SECRET_KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]}
            )
        except jwt.InvalidTokenError:
            return None
        return str(claims["sub"])


api = NinjaAPI(auth=Bearer())


@api.get("/tasks", response=TaskListResponse)
def list_tasks(request: HttpRequest) -> object:
    tasks = list(Task.objects.filter(user_id=request.auth))
    return {"tasks": tasks, "count": len(tasks)}


@api.post("/tasks", response={201: TaskResponse})
def create_task(request: HttpRequest, payload: TaskCreate) -> object:
    return 201, Task.objects.create(user_id=request.auth, **payload.dict())


@api.get("/tasks/{uuid:task_id}", response=TaskResponse)
def get_task(request: HttpRequest, task_id: UUID) -> object:
    return get_object_or_404(Task, id=task_id, user_id=request.auth)


@api.patch("/tasks/{uuid:task_id}", response=TaskResponse)
def patch_task(request: HttpRequest, task_id: UUID, payload: PatchDict[TaskChange]) -> object:
    task = get_object_or_404(Task, id=task_id, user_id=request.auth)
    if payload.get("completed", task.completed) != task.completed:
        task.completed_at = timezone.now() if payload["completed"] else None
    for name, value in payload.items():
        setattr(task, name, value)
    task.save()
    return task


@api.delete("/tasks/{uuid:task_id}", response={204: None})
def delete_task(request: HttpRequest, task_id: UUID) -> object:
    get_object_or_404(Task, id=task_id, user_id=request.auth).delete()
    return 204, None


@api.get("/health", response=HealthResponse, auth=None)
def health(request: HttpRequest) -> object:  # noqa: ARG001 - ninja calls it by this name
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"status": "healthy", "database": "connected", "version": "1.0.0"}
