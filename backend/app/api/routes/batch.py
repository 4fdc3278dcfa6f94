"""Several operations at once."""

from fastapi import Response

from app.api.answers import BODY, CHANGE, IDEMPOTENCY_KEY, of_write, task_router
from app.api.deps import IdempotencyKeyDep, UserBatchesDep
from app.api.error_handlers import documented
from app.api.gate import LargeBodyRoute
from app.errors import Conflict, TaskNotFound
from app.schemas.batch import BatchResponse, TaskBatch, batch_json

router = task_router("Sync", LargeBodyRoute)


@router.post(
    "/batch",
    summary="Do several operations, all or none",
    response_model=BatchResponse,
    response_description="All were done",
    responses=BODY | CHANGE | documented(TaskNotFound, Conflict),
    openapi_extra=IDEMPOTENCY_KEY,
)
async def apply_batch(body: TaskBatch, tasks: UserBatchesDep, once: IdempotencyKeyDep) -> Response:
    """Return each operation's task. If one fails, nothing is done, and `details` says which it was."""
    applied = await tasks.apply([operation.model_dump() for operation in body.operations], once)
    return Response(
        batch_json(applied.results, applied.revision),
        headers=of_write(applied.revision, replayed=applied.replayed),
        media_type="application/json",
    )
