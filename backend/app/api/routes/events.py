"""The stream of a user's revisions."""

from collections.abc import AsyncIterator

from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.answers import Responses, task_router
from app.api.deps import UserRevisionsDep
from app.schemas.event import EndEvent, RevisionEvent

_STREAM = """
id: 7
data: {"revision":7}

: ping

event: end
data: {"reason":"TOKEN_EXPIRED"}

"""
_EVENTS: Responses = {
    200: {
        "description": "Events until one named `end`",
        "content": {"text/event-stream": {"example": _STREAM.lstrip()}},
    }
}
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The `id` of the last event that came; it is not sent again",
    "schema": {"type": "string"},
}


class _EventStream(EventSourceResponse):
    media_type = "application/json"  # of failures: FastAPI documents them with what stands here


router = task_router("Sync")


@router.get(
    "/events",
    summary="Hear of changes as they happen",
    response_class=_EventStream,
    responses=_EVENTS,
    openapi_extra={"parameters": [_LAST_EVENT_ID]},
)
async def stream_events(revisions: UserRevisionsDep) -> AsyncIterator[ServerSentEvent]:
    """Send the caller's revision, and again whenever it changes, wherever that was done.

    Revisions that follow fast may come as one, the newest. The last event is named `end` and says why:
    `TOKEN_EXPIRED` and `SIGNED_OUT` ask for another token, after `SHUTDOWN` connect again.
    """
    while (revision := await revisions.next()) is not None:
        yield ServerSentEvent(data=RevisionEvent(revision=revision), id=str(revision))
    if revisions.ending:
        yield ServerSentEvent(event="end", data=EndEvent(reason=revisions.ending))
