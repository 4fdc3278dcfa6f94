"""The trash: what was deleted, back again, or for good."""

from http import HTTPStatus
from uuid import UUID

from fastapi import Response

from app.api.answers import CHANGE, IF_MATCH, ONE, STORED, TASK, gone, task_router, written
from app.api.deps import IfMatchDep, SettingsDep, UserTrashDep
from app.schemas.task import TaskResponse
from app.schemas.trash import TrashResponse, trash_json

router = task_router("Trash")


@router.get(
    "/trash",
    summary="List the caller's deleted tasks",
    response_model=TrashResponse,
    response_description="The trash",
)
async def list_trash(trash: UserTrashDep, settings: SettingsDep) -> Response:
    """Return every deleted task of the caller, the last deleted first, and when each is removed for good."""
    body = trash_json(await trash.all(), settings.trash_retention_days)
    return Response(body, media_type="application/json")


@router.post(
    f"{TASK}/restore",
    summary="Restore a deleted task",
    response_model=TaskResponse,
    response_description=STORED,
    responses=ONE | CHANGE,
    openapi_extra=IF_MATCH,
)
async def restore_task(task_id: UUID, trash: UserTrashDep, expected: IfMatchDep) -> Response:
    """Take the task out of the trash: the same id, the same place. One that is not in it stays as it is."""
    return written(await trash.restore(task_id, expected))


@router.delete(
    "/trash/{trashed_id}",
    summary="Remove a deleted task for good",
    status_code=HTTPStatus.NO_CONTENT,
    response_description="Gone for good",
    responses=ONE,
)
async def purge_task(trashed_id: UUID, trash: UserTrashDep) -> Response:
    """Remove a task that is in the trash; nothing brings it back. One that is not in it is not touched."""
    return gone(await trash.remove(trashed_id))


@router.delete(
    "/trash",
    summary="Empty the trash",
    status_code=HTTPStatus.NO_CONTENT,
    response_description="Empty",
)
async def empty_trash(trash: UserTrashDep) -> Response:
    """Remove every deleted task of the caller for good."""
    return gone(await trash.empty())
