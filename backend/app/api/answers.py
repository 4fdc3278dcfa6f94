"""What the task endpoints have in common: their router, what they answer, and how that is documented."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response, Security
from starlette.convertors import StringConvertor, register_url_convertor

from app.api.deps import bearer
from app.api.entity_tags import described
from app.api.error_handlers import documented
from app.api.gate import GuardedRoute
from app.database import Row
from app.errors import (
    BadRequest,
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
from app.schemas.task import task_json

Responses = dict[int | str, dict[str, Any]]

#: What stands below /tasks beside the tasks.
_NAMES = ("events",)


class _TaskId(StringConvertor):
    """Anything but those names. They would be ids to the methods that they don't take: 422, and not 405."""

    regex = rf"(?!(?:{'|'.join(_NAMES)})(?:/|$))[^/]+"


register_url_convertor("task", _TaskId())

#: The path of one task, below the router's.
TASK = "/{task_id:task}"

BODY = documented(UnsupportedMediaType, ValidationFailed)
ONE = documented(TaskNotFound, ValidationFailed)
CHANGE = documented(PreconditionFailed, PreconditionRequired)
NOT_MODIFIED: Responses = {304: {"description": "The caller has it"}}
STORED = "The task as stored"

IF_MATCH = described("If-Match", "Make the change only if the task still has this ETag")
IF_NONE_MATCH = described("If-None-Match", "Answer 304 if this is still the ETag")


def task_router() -> APIRouter:
    """Make a router below /tasks, for signed-in callers."""
    return APIRouter(
        prefix="/tasks",
        tags=["Tasks"],
        route_class=GuardedRoute,
        dependencies=[Security(bearer)],
        redirect_slashes=False,
        responses=documented(BadRequest, Unauthorized, PayloadTooLarge, InternalError, Unavailable),
    )


def written(row: Row, status: int = HTTPStatus.OK) -> Response:
    """Answer a write with the task, and with the user's revision that it made."""
    revision = row["revision"]
    response = answer(task_json(row), f'"{revision}"', status)
    response.headers["X-Revision"] = str(revision)
    return response


def answer(body: bytes | None, etag: str, status: int = HTTPStatus.OK) -> Response:
    """Answer with a body and its validator, or without: the caller has it (RFC 9110 section 15.4.5)."""
    # Cache-Control stays no-store: tags repeat between users, and a browser would mix them up (0010).
    headers = {"ETag": etag}
    if body is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, status, headers, media_type="application/json")


def gone(revision: int) -> Response:
    """Answer a deletion: there is nothing left to show but the user's revision."""
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"X-Revision": str(revision)})
