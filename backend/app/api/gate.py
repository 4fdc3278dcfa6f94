"""What a request passes before its body is looked at: declared size, who calls, rate, size, media type."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cached_property
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.calling import Answer, calling
from app.api.departure import Departure
from app.api.rate_limits import caller, charge, refund_unchanged
from app.errors import EncodedBody, PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from app.limiting import BATCH, REQUEST

#: Bytes of a body that give it another second to arrive: no honest connection is slower for long.
_BYTES_A_SECOND = 16_384

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route for signed-in callers.

    FastAPI reads the body before it asks any dependency, so a dependency can't keep strangers from sending
    one (and a malformed body without a token would be 422). This stands before both.
    """

    bodies = 1  # how many times MAX_BODY_BYTES a body may have
    price = REQUEST  # what it takes out of the user's bucket

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self._call:
            # FastAPI puts around a handler what ends its dependencies afterwards. Ours need no end.
            self.app = _plain(self.get_route_handler())

    @cached_property
    def _call(self) -> Answer | None:
        return calling(self)

    def get_route_handler(self) -> Handler:
        """Put the gate before the handler."""
        call, fallback = self._call, super().get_route_handler()
        takes_body = self.body_field is not None
        if takes_body and call is None:
            raise TypeError(
                f"{self.name}: with a body, ask for the path and for what takes the request alone"
            )

        async def guarded(request: Request) -> Response:
            settings = request.app.state.settings
            limit = self.bodies * settings.max_body_bytes
            _refuse_declared_size(request.headers, limit)
            request.state.user = user = await caller(request)
            await charge(request, user, self.price)
            body = await _read(request, limit) if takes_body else b""
            if body:
                _refuse_other_media(request.headers)
            # Only now: the time that a body takes is the client's, and has a limit of its own.
            request.state.until = asyncio.get_running_loop().time() + settings.request_timeout
            departure = Departure(request.receive)
            try:
                response = await (call(request, body) if call else fallback(request))
            except asyncio.CancelledError:
                if not departure.happened:
                    raise
                departure.accept()
                raise ClientDisconnect from None
            finally:
                departure.end()
            if response.status_code == HTTPStatus.NOT_MODIFIED:
                refund_unchanged(request, user)
            return response

        return guarded


class LargeBodyRoute(GuardedRoute):
    """For a body that holds what many others would: a hundred tasks of 500 characters are 600 KB, escaped."""

    bodies = 10
    price = BATCH


def _plain(handler: Handler) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive))
        await response(scope, receive, send)

    return answer


async def _read(request: Request, limit: int) -> bytes:
    """Read the body, no further than `limit` bytes.

    Raises PayloadTooLarge, RequestTimeout, ClientDisconnect, and what the server says of a malformed one.
    """
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(request.app.state.settings.request_body_timeout) as deadline:
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > limit:
                    raise PayloadTooLarge(limit)
                if more := message.get("more_body", False):
                    part = message.get("body", b"")
                    deadline.reschedule((deadline.when() or 0) + len(part) / _BYTES_A_SECOND)
    except TimeoutError:
        raise RequestTimeout(reason="the body did not come in time") from None
    if refusal := request.scope["state"].get("refusal"):
        raise refusal
    return bytes(body)


def _refuse_declared_size(headers: Headers, limit: int) -> None:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise PayloadTooLarge(limit)


def _refuse_other_media(headers: Headers) -> None:
    for header, plain in (("content-encoding", "identity"), ("transfer-encoding", "chunked")):
        if any(coding.strip(" \t").lower() != plain for coding in headers.getlist(header)):
            raise EncodedBody
    match headers.getlist("content-type"):
        case [media_type] if media_type.partition(";")[0].strip(" \t").lower() == "application/json":
            return
    raise UnsupportedMediaType
