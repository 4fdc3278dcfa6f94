"""The six task endpoints."""

from http import HTTPStatus
from uuid import UUID

from fastapi import Response

from app.api.answers import (
    BODY,
    CHANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    NOT_MODIFIED,
    ONE,
    STORED,
    TASK,
    Responses,
    answer,
    gone,
    task_router,
    written,
)
from app.api.deps import IfMatchDep, IfNoneMatchDep, UserTasksDep
from app.api.error_handlers import documented
from app.errors import Conflict
from app.schemas.task import (
    TaskCreate,
    TaskListResponse,
    TaskPatch,
    TaskResponse,
    TaskUpdate,
    task_json,
    task_list_json,
)

_THERE: Responses = {200: {"description": "It is there", "model": TaskResponse}}

router = task_router()


@router.get(
    "",
    summary="List the caller's tasks",
    response_model=TaskListResponse,
    response_description="The list",
    responses=NOT_MODIFIED,
    openapi_extra=IF_NONE_MATCH,
)
async def list_tasks(tasks: UserTasksDep, have: IfNoneMatchDep) -> Response:
    """Return every live task of the caller in display order: by `order`, among equals the newest first."""
    revision, rows = await tasks.all(have.revisions, wanted=not have.anything)
    return answer(None if rows is None else task_list_json(rows), f'W/"{revision}"')


@router.post(
    "",
    summary="Create a task",
    status_code=HTTPStatus.CREATED,
    response_model=TaskResponse,
    response_description=STORED,
    responses=BODY | documented(Conflict) | _THERE,
)
async def create_task(body: TaskCreate, tasks: UserTasksDep) -> Response:
    """Return the task as stored. The same again, with an `id` of your own, is 200 and makes no other."""
    row, is_new = await tasks.add(**body.model_dump())
    return written(row, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@router.get(
    TASK,
    summary="Get one task",
    response_model=TaskResponse,
    response_description="The task",
    responses=ONE | NOT_MODIFIED,
    openapi_extra=IF_NONE_MATCH,
)
async def get_task(task_id: UUID, tasks: UserTasksDep, have: IfNoneMatchDep) -> Response:
    """Return the task. Another user's task is answered like one that never was."""
    row = await tasks.get(task_id)
    revision: int = row["revision"]
    return answer(None if have.holds(revision) else task_json(row), f'"{revision}"')


@router.put(
    TASK,
    summary="Replace a task",
    response_model=TaskResponse,
    response_description=STORED,
    responses=BODY | ONE | CHANGE,
    openapi_extra=IF_MATCH,
)
async def update_task(task_id: UUID, body: TaskUpdate, tasks: UserTasksDep, expected: IfMatchDep) -> Response:
    """Return the task as stored. An absent `order` stays as it was."""
    return written(await tasks.change(task_id, expected, **body.model_dump()))


@router.patch(
    TASK,
    summary="Change some fields of a task",
    response_model=TaskResponse,
    response_description=STORED,
    responses=BODY | ONE | CHANGE,
    openapi_extra=IF_MATCH,
)
async def patch_task(task_id: UUID, body: TaskPatch, tasks: UserTasksDep, expected: IfMatchDep) -> Response:
    """Return the task as stored. What is absent stays as it was; `{}` changes nothing."""
    return written(await tasks.change(task_id, expected, **body.model_dump()))


@router.delete(
    TASK,
    summary="Delete a task",
    status_code=HTTPStatus.NO_CONTENT,
    response_description="Gone",
    responses=ONE | CHANGE,
    openapi_extra=IF_MATCH,
)
async def delete_task(task_id: UUID, tasks: UserTasksDep, expected: IfMatchDep) -> Response:
    """Delete the task: from now on it does not exist for any endpoint."""
    return gone(await tasks.remove(task_id, expected))
