"""/metrics, for Prometheus; with METRICS_TOKEN only for who has it."""

import hmac

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.api.rate_limits import count_refusal, refuse_closed
from app.auth import bearer_token
from app.auth.bearer import invalid
from app.errors import BadRequest, Unauthorized
from app.exposition import CONTENT_TYPE, exposition

router = APIRouter(include_in_schema=False)


async def _admit(request: Request) -> None:
    """Let in who has METRICS_TOKEN; whoever guesses it has the tries that an address has."""
    wanted = request.app.state.settings.metrics_token
    if not wanted:
        return
    refuse_closed(request)
    try:
        if not hmac.compare_digest(bearer_token(request.headers.getlist("authorization")), wanted):
            raise invalid("it is not METRICS_TOKEN")
    except (BadRequest, Unauthorized):
        await count_refusal(request)
        raise


@router.get("/metrics", dependencies=[Depends(_admit)])
def show_metrics(request: Request) -> Response:
    """Show what was counted. In a thread: it reads files and writes a long text."""
    return Response(exposition(request.app.state.observer), media_type=CONTENT_TYPE)
