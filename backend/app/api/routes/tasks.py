"""The six task endpoints."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response, Security

from app.api.deps import IfMatchDep, IfNoneMatchDep, UserTasksDep, bearer
from app.api.entity_tags import described
from app.api.error_handlers import documented
from app.api.gate import GuardedRoute
from app.database import Row
from app.errors import (
    BadRequest,
    Conflict,
    InternalError,
    PayloadTooLarge,
    PreconditionFailed,
    PreconditionRequired,
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
_CHANGE = documented(PreconditionFailed, PreconditionRequired)
_IF_MATCH = described("If-Match", "Make the change only if the task still has this ETag")
_IF_NONE_MATCH = described("If-None-Match", "Answer 304 if this is still the ETag")
_THERE: dict[int | str, dict[str, Any]] = {200: {"description": "It is there", "model": TaskResponse}}
_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller has it"}}
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
    "",
    summary="List the caller's tasks",
    response_model=TaskListResponse,
    response_description="The list",
    responses=_NOT_MODIFIED,
    openapi_extra=_IF_NONE_MATCH,
)
async def list_tasks(tasks: UserTasksDep, have: IfNoneMatchDep) -> Response:
    """Return every live task of the caller in display order: by `order`, among equals the newest first."""
    revision, rows = await tasks.all(have.revisions, wanted=not have.anything)
    return _answer(None if rows is None else task_list_json(rows), f'W/"{revision}"')


@router.post(
    "",
    summary="Create a task",
    status_code=HTTPStatus.CREATED,
    response_model=TaskResponse,
    response_description=_STORED,
    responses=_BODY | documented(Conflict) | _THERE,
)
async def create_task(body: TaskCreate, tasks: UserTasksDep) -> Response:
    """Return the task as stored. The same again, with an `id` of your own, is 200 and makes no other."""
    row, is_new = await tasks.add(**body.model_dump())
    return _written(row, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@router.get(
    "/{task_id}",
    summary="Get one task",
    response_model=TaskResponse,
    response_description="The task",
    responses=_ONE | _NOT_MODIFIED,
    openapi_extra=_IF_NONE_MATCH,
)
async def get_task(task_id: UUID, tasks: UserTasksDep, have: IfNoneMatchDep) -> Response:
    """Return the task. Another user's task is answered like one that never was."""
    row = await tasks.get(task_id)
    revision: int = row["revision"]
    return _answer(None if have.holds(revision) else task_json(row), f'"{revision}"')


@router.put(
    "/{task_id}",
    summary="Replace a task",
    response_model=TaskResponse,
    response_description=_STORED,
    responses=_BODY | _ONE | _CHANGE,
    openapi_extra=_IF_MATCH,
)
async def update_task(task_id: UUID, body: TaskUpdate, tasks: UserTasksDep, expected: IfMatchDep) -> Response:
    """Return the task as stored. An absent `order` stays as it was."""
    return _written(await tasks.change(task_id, expected, **body.model_dump()))


@router.patch(
    "/{task_id}",
    summary="Change some fields of a task",
    response_model=TaskResponse,
    response_description=_STORED,
    responses=_BODY | _ONE | _CHANGE,
    openapi_extra=_IF_MATCH,
)
async def patch_task(task_id: UUID, body: TaskPatch, tasks: UserTasksDep, expected: IfMatchDep) -> Response:
    """Return the task as stored. What is absent stays as it was; `{}` changes nothing."""
    return _written(await tasks.change(task_id, expected, **body.model_dump()))


@router.delete(
    "/{task_id}",
    summary="Delete a task",
    status_code=HTTPStatus.NO_CONTENT,
    response_description="Gone",
    responses=_ONE | _CHANGE,
    openapi_extra=_IF_MATCH,
)
async def delete_task(task_id: UUID, tasks: UserTasksDep, expected: IfMatchDep) -> Response:
    """Delete the task: from now on it does not exist for any endpoint."""
    revision = await tasks.remove(task_id, expected)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"X-Revision": str(revision)})


def _written(row: Row, status: int = HTTPStatus.OK) -> Response:
    """Answer a write with the task, and with the user's revision that it made."""
    revision = row["revision"]
    response = _answer(task_json(row), f'"{revision}"', status)
    response.headers["X-Revision"] = str(revision)
    return response


def _answer(body: bytes | None, etag: str, status: int = HTTPStatus.OK) -> Response:
    """Answer with a body and its validator, or without: the caller has it (RFC 9110 section 15.4.5)."""
    # Cache-Control stays no-store: tags repeat between users, and a browser would mix them up (0010).
    headers = {"ETag": etag}
    if body is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, status, headers, media_type="application/json")
