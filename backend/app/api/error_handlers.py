"""Every failure, rendered: the error family, the framework's own, and what the OpenAPI document says."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from app.errors import AppError, MethodNotAllowed, NotAsked, NotFound, Overloaded, ValidationFailed
from app.observability import where
from app.schemas.error import ErrorResponse

_logger = logging.getLogger("app")

_MOST_DETAILS = 20

#: Where there is no /docs to look into.
_NOTHING_HERE = "There is nothing at this path."

#: What an operator can do about an SQLSTATE.
_HINTS = {
    "42P01": "run: tasks-api migrate",
    "42703": "run: tasks-api migrate",
    "42501": "GRANT the role its rights",
}

#: What a field accepts, by pydantic's name for the mistake; nothing of what was sent is repeated.
_SENTENCES = {
    "missing": "is required",
    "missing_sentinel_error": "is not of an accepted type",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "list_type": "must be a list",
    "too_short": "must have {min_length} item(s) or more",
    "too_long": "must have at most {max_length} items",
    "union_tag_not_found": "must have an op: create, patch, delete or restore",
    "union_tag_invalid": "must have an op: create, patch, delete or restore",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a JSON object",
    "json_invalid": "is not valid JSON",
    "uuid_parsing": "must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057",
    "uuid_type": "must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057",
}


def error_response(error: AppError) -> Response:
    """Write the one shape of every failure, the contract's ErrorResponse."""
    body = {"error": error.code, "message": error.message, "details": error.details}
    return Response(
        orjson.dumps(body), status_code=error.status, headers=error.headers, media_type="application/json"
    )


def add_error_handlers(app: FastAPI) -> None:
    """Render the family and what FastAPI and Starlette raise themselves."""

    async def family(request: Request, error: AppError) -> Response:
        request.state.reason, request.state.code = error.reason, error.code
        # Of these the lines of the requests say enough, and each more would make it worse.
        of_many = isinstance(error, Overloaded | NotAsked)
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not of_many:
            kind, reason = _kind(error), reason_of(error)
            request.state.reason = reason
            hint = "" if reason == kind else f"; {reason}"
            _logger.warning("%s: %s at %s%s", error.code, kind, where(error.__cause__ or error), hint)
        return error_response(error)

    async def validation(_request: Request, error: RequestValidationError) -> Response:
        return error_response(
            ValidationFailed(details=[_detail(item) for item in error.errors()[:_MOST_DETAILS]])
        )

    async def framework(request: Request, error: HTTPException) -> Response:
        match error.status_code:
            case HTTPStatus.NOT_FOUND:
                docs_on = request.app.state.settings.docs_on
                return error_response(NotFound() if docs_on else NotFound(_NOTHING_HERE))
            case HTTPStatus.METHOD_NOT_ALLOWED:
                return error_response(MethodNotAllowed(headers={"Allow": _allowed(request, error)}))
        raise error  # nothing here raises another; should something, the last resort tells

    app.exception_handler(AppError)(family)
    app.exception_handler(RequestValidationError)(validation)
    app.exception_handler(HTTPException)(framework)


def reason_of(error: AppError) -> str:
    """Say for the log why something failed: what an operator can do about it, or the kind of error."""
    state = getattr(error.__cause__, "sqlstate", None)
    return error.reason or _HINTS.get(state or "") or _kind(error)


def _kind(error: AppError) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__qualname__} {getattr(cause, 'sqlstate', None) or ''}".rstrip()


def documented(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Build a route's `responses=` from what it may raise; of those with one status, the first is shown."""
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(error.status, []).append(error.code)
    return {
        error.status: {
            "model": ErrorResponse,
            "description": f"{HTTPStatus(error.status).phrase} ({' or '.join(codes[error.status])})",
            "content": {"application/json": {"example": _example(error)}},
        }
        for error in reversed(errors)
    }


def _example(error: type[AppError]) -> dict[str, Any]:
    details = ["text - is required"] if error is ValidationFailed else []
    return {"error": error.code, "message": error.message, "details": details}


def _allowed(request: Request, error: HTTPException) -> str:
    """List all methods of a path (RFC 9110 section 10.2.1); the framework knows only its first route's."""
    methods = set((error.headers or {}).get("Allow", "").split(", "))
    if route := request.scope.get("route"):
        for other in iter_route_contexts(request.app.routes):
            if other.path_format == route.path_format:
                methods |= other.methods or set()
    return ", ".join(sorted(methods))


def _detail(item: Any) -> str:  # noqa: ANN401 - pydantic's own dictionary
    """Write one problem as "field - what is wrong and what is accepted"."""
    sentence = _SENTENCES.get(item["type"], item["msg"]).format_map(item.get("ctx", {}))
    return f"{_field(item['loc'][1:]) or item['loc'][0]} - {sentence}"


def _field(location: Sequence[str | int]) -> str:
    """Write where it is, like `operations[3].text`; what follows an index is only the kind of the item."""
    name = ""
    for before, part in pairwise(["", *location]):
        if isinstance(part, int):
            name += f"[{part}]" if name else ""
        elif not isinstance(before, int):
            name += f".{part}" if name else part
    return name
