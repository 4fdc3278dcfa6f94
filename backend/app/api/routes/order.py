"""The endpoint that moves a task."""

from uuid import UUID

from fastapi import Response

from app.api.answers import BODY, CHANGE, IF_MATCH, ONE, STORED, TASK, task_router, written
from app.api.deps import IfMatchDep, UserOrderDep
from app.schemas.order import TaskMove
from app.schemas.task import TaskResponse

router = task_router()


@router.post(
    f"{TASK}/move",
    summary="Move a task",
    response_model=TaskResponse,
    response_description=STORED,
    responses=BODY | ONE | CHANGE,
    openapi_extra=IF_MATCH,
)
async def move_task(task_id: UUID, body: TaskMove, order: UserOrderDep, expected: IfMatchDep) -> Response:
    """Put the task right after or before another one, or with null at the very top or bottom.

    The tasks next to it may get other numbers in `order`, as few as gaps allow, all with this revision. Where
    the task stands there already, nothing changes.
    """
    return written(await order.move(task_id, body.side, body.anchor, expected))
