"""How the handler of a route is called: what it asks for is found out once, when the route is made."""

from collections.abc import Awaitable, Callable, Coroutine
from inspect import iscoroutinefunction
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

#: Answers a request, given its body.
Answer = Callable[[Request, bytes], Coroutine[Any, Any, Response]]
_Give = Callable[[Request], Awaitable[Any]]


def calling(route: APIRoute) -> Answer | None:
    """Return what calls the route's handler; None if the handler asks for more than this can give.

    FastAPI walks through a handler's dependencies again for each request, which is a quarter of all that a
    request costs (docs/decisions/0019). Ours ask for little: parts of the path, one body, and dependencies
    that take nothing but the request. What is answered is the same, and in the same order: JSON that can't be
    read, then what dependencies refuse, then everything that is not valid.
    """
    gives = _gives(route)
    if gives is None or route.dependant.call is None:
        return None
    handler, path, body_field = route.dependant.call, route.dependant.path_params, route.body_field

    async def call(request: Request, body: bytes) -> Response:
        sent = _parsed(body) if body_field else None
        values = {name: await give(request) for name, give in gives.items()}
        invalid: list[dict[str, Any]] = []
        for field in path:
            location = ("path", field.alias)
            values[field.name], errors = field.validate(request.path_params[field.alias], loc=location)
            invalid += errors
        if body_field:
            values[body_field.name], errors = body_field.validate(sent, loc=("body",))
            invalid += errors if body else [{"type": "missing", "loc": ("body",), "msg": ""}]
        if invalid:
            raise RequestValidationError(invalid)
        response: Response = await handler(**values)
        return response

    return call


def _gives(route: APIRoute) -> dict[str, _Give] | None:
    """Return the handler's dependencies by its parameters' names; None if it asks for something else too."""
    asked = route.dependant
    if asked.query_params or asked.header_params or asked.cookie_params or asked.response_param_name:
        return None
    gives: dict[str, _Give] = {}
    for dependency in asked.dependencies:
        if dependency.name is None or dependency.call is None:
            continue  # of the router: it describes the route, and the gate does what it says
        if dependency.dependencies or dependency.response_param_name:
            return None
        if not (dependency.request_param_name == "request" and iscoroutinefunction(dependency.call)):
            return None
        gives[dependency.name] = dependency.call
    return gives


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - it is any JSON
    """Parse as RFC 8259 says: no NaN, no lone surrogates, UTF-8 only, bounded depth."""
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError as error:
        unread = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "ctx": {}}
        raise RequestValidationError([unread]) from None
