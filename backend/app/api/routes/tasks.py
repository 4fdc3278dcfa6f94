"""The six task endpoints."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Response, Security

from app.api.deps import UserTasksDep, bearer
from app.api.error_handlers import documented
from app.api.gate import GuardedRoute
from app.errors import (
    BadRequest,
    InternalError,
    PayloadTooLarge,
    TaskNotFound,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.schemas.task import (
    TaskCreate,
    TaskListResponse,
    TaskPatch,
    TaskResponse,
    TaskUpdate,
    task_json,
    task_list_json,
)

_ANY = documented(BadRequest, Unauthorized, PayloadTooLarge, InternalError, Unavailable)
_BODY = documented(UnsupportedMediaType, ValidationFailed)
_ONE = documented(TaskNotFound, ValidationFailed)
_STORED = "The task as stored"

router = APIRouter(
    prefix="/tasks",
    tags=["Tasks"],
    route_class=GuardedRoute,
    dependencies=[Security(bearer)],
    redirect_slashes=False,
    responses=_ANY,
)


@router.get(
    "", summary="List the caller's tasks", response_model=TaskListResponse, response_description="The list"
)
async def list_tasks(tasks: UserTasksDep) -> Response:
    """Return every live task of the caller in display order: by `order`, among equals the newest first."""
    return _json(task_list_json(await tasks.all()))


@router.post(
    "",
    summary="Create a task",
    status_code=HTTPStatus.CREATED,
    response_model=TaskResponse,
    response_description=_STORED,
    responses=_BODY,
)
async def create_task(body: TaskCreate, tasks: UserTasksDep) -> Response:
    """Return the task as stored; its id and its times are the server's."""
    return _json(task_json(await tasks.add(**body.model_dump())), HTTPStatus.CREATED)


@router.get(
    "/{task_id}",
    summary="Get one task",
    response_model=TaskResponse,
    response_description="The task",
    responses=_ONE,
)
async def get_task(task_id: UUID, tasks: UserTasksDep) -> Response:
    """Return the task. Another user's task is answered like one that never was."""
    return _json(task_json(await tasks.get(task_id)))


@router.put(
    "/{task_id}",
    summary="Replace a task",
    response_model=TaskResponse,
    response_description=_STORED,
    responses=_BODY | _ONE,
)
async def update_task(task_id: UUID, body: TaskUpdate, tasks: UserTasksDep) -> Response:
    """Return the task as stored. An absent `order` stays as it was."""
    return _json(task_json(await tasks.change(task_id, **body.model_dump())))


@router.patch(
    "/{task_id}",
    summary="Change some fields of a task",
    response_model=TaskResponse,
    response_description=_STORED,
    responses=_BODY | _ONE,
)
async def patch_task(task_id: UUID, body: TaskPatch, tasks: UserTasksDep) -> Response:
    """Return the task as stored. What is absent stays as it was; `{}` changes nothing."""
    return _json(task_json(await tasks.change(task_id, **body.model_dump())))


@router.delete(
    "/{task_id}",
    summary="Delete a task",
    status_code=HTTPStatus.NO_CONTENT,
    response_description="Gone",
    responses=_ONE,
)
async def delete_task(task_id: UUID, tasks: UserTasksDep) -> None:
    """Delete the task: from now on it does not exist for any endpoint."""
    await tasks.remove(task_id)


def _json(body: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(body, status, media_type="application/json")
