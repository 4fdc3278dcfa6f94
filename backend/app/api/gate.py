"""What a request passes before its body is looked at: declared size, who calls, size, media type."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import Message

from app.auth import bearer_token
from app.errors import PayloadTooLarge, UnsupportedMediaType

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route for signed-in callers.

    FastAPI reads the body before it asks any dependency, so a dependency can't keep strangers from sending
    one (and a malformed body without a token would be 422). This stands before both.
    """

    bodies = 1  # how many times MAX_BODY_BYTES a body may have

    def get_route_handler(self) -> Handler:
        """Put the gate before FastAPI's handler."""
        handler = super().get_route_handler()
        takes_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            limit = self.bodies * request.app.state.settings.max_body_bytes
            _refuse_declared_size(request.headers, limit)
            token = bearer_token(request.headers.getlist("authorization"))
            request.state.user = await request.app.state.verifier.user(token)
            if takes_body:
                request = _BodyRequest(request, limit)
                if await request.body():
                    _refuse_other_media(request.headers)
            return await handler(request)

        return guarded


class LargeBodyRoute(GuardedRoute):
    """For a body that holds what many others would: a hundred tasks of 500 characters are 600 KB, escaped."""

    bodies = 10


class _BodyRequest(Request):
    """A request whose body is counted while it is read, and parsed strictly."""

    def __init__(self, request: Request, limit: int) -> None:
        super().__init__(request.scope, self._receive_counted)
        self._receive_more = request.receive
        self._limit = limit
        self._received = 0

    async def _receive_counted(self) -> Message:
        message = await self._receive_more()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise PayloadTooLarge(self._limit)
        return message

    async def json(self) -> Any:  # noqa: ANN401 - it is any JSON
        """Parse as RFC 8259 says: no NaN, no lone surrogates, UTF-8 only, bounded depth."""
        return orjson.loads(await self.body())


def _refuse_declared_size(headers: Headers, limit: int) -> None:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise PayloadTooLarge(limit)


def _refuse_other_media(headers: Headers) -> None:
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
