"""/metrics, for Prometheus; with METRICS_TOKEN only for who has it."""

import hmac

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth import bearer_token
from app.auth.bearer import invalid
from app.exposition import CONTENT_TYPE, exposition

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def show_metrics(request: Request) -> Response:
    """Show what was counted. In a thread: it reads files and writes a long text."""
    wanted = request.app.state.settings.metrics_token
    if wanted and not hmac.compare_digest(bearer_token(request.headers.getlist("authorization")), wanted):
        raise invalid("it is not METRICS_TOKEN")
    return Response(exposition(request.app.state.observer), media_type=CONTENT_TYPE)
