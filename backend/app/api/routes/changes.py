"""What changed since a client last looked."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from app.api.answers import task_router
from app.api.deps import UserChangesDep
from app.api.error_handlers import documented
from app.api.reading import refuse_unclear
from app.errors import Gone, ValidationFailed
from app.schemas.changes import ChangesResponse, Since, changes_json
from app.schemas.reading import Limit

router = task_router("Sync")


async def read_once(request: Request) -> None:
    """Refuse a parameter that is given twice: FastAPI would take the last, and a cache maybe the first."""
    refuse_unclear(request, ("since", "limit"))


@router.get(
    "/changes",
    summary="List what changed since a revision",
    response_model=ChangesResponse,
    response_description="One page of changes",
    responses=documented(Gone, ValidationFailed),
    dependencies=[Depends(read_once)],
)
async def list_changes(
    tasks: UserChangesDep,
    since: Annotated[
        Since | None, Query(description="The `revision` of the page before; without it, all that lives")
    ] = None,
    limit: Annotated[Limit, Query(description="Tasks in a page, about")] = 1000,
) -> Response:
    """Return what changed after `since`. Come back with `revision`, and nothing is missed or told twice."""
    page = await tasks.since(since, limit)
    body = changes_json(page.tasks, page.deleted, page.revision, has_more=page.has_more)
    return Response(body, media_type="application/json")
