"""What the task endpoints have in common: their router, what they answer, and how that is documented."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response, Security
from starlette.convertors import StringConvertor, register_url_convertor

from app.api.deps import bearer
from app.api.entity_tags import described
from app.api.error_handlers import documented
from app.api.gate import GuardedRoute
from app.api.idempotency import KEY_PARAMETER
from app.api.openapi import operation_id
from app.errors import (
    BadRequest,
    InternalError,
    PayloadTooLarge,
    PreconditionFailed,
    PreconditionRequired,
    RateLimited,
    TaskNotFound,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.queries.owned import TaskRow
from app.schemas.task import task_json

Responses = dict[int | str, dict[str, Any]]

#: What stands below /tasks beside the tasks.
_NAMES = ("batch", "changes", "events", "trash")


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

IF_MATCH = described("If-Match", 'Make the change only if the task still has this ETag, like "5"')
IF_NONE_MATCH = described("If-None-Match", 'Answer 304 if this, like W/"5", is still the ETag')

IDEMPOTENCY_KEY = {"parameters": [KEY_PARAMETER]}


def task_router(tag: str = "Tasks", route_class: type[GuardedRoute] = GuardedRoute) -> APIRouter:
    """Make a router below /tasks, for signed-in callers; /docs shows it below its tag."""
    return APIRouter(
        prefix="/tasks",
        tags=[tag],
        route_class=route_class,
        dependencies=[Security(bearer)],
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        responses=documented(
            BadRequest, Unauthorized, PayloadTooLarge, RateLimited, InternalError, Unavailable
        ),
    )


def written(task: TaskRow, status: int = HTTPStatus.OK, *, replayed: bool = False) -> Response:
    """Answer a write with the task, and with the user's revision that it made; or once more, the same."""
    response = answer(task_json(task), f'"{task[0]}"', status)
    response.headers.update(of_write(task[0], replayed=replayed))
    return response


def of_write(revision: int, *, replayed: bool = False) -> dict[str, str]:
    """Return the headers of a write: the revision that it made, and whether that was when it came before."""
    return {"X-Revision": str(revision)} | ({"Idempotent-Replayed": "true"} if replayed else {})


def answer(body: bytes | None, etag: str, status: int = HTTPStatus.OK) -> Response:
    """Answer with a body and its validator, or without: the caller has it (RFC 9110 section 15.4.5)."""
    # Cache-Control stays no-store: tags repeat between users, and a browser would mix them up (0010).
    headers = {"ETag": etag}
    if body is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, status, headers, media_type="application/json")


def gone(revision: int) -> Response:
    """Answer a deletion: there is nothing left to show but the user's revision."""
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=of_write(revision))
