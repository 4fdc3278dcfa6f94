"""What stands around every request, as plain ASGI: its id and log line, CORS, the last resort."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import error_response
from app.errors import ConfigurationError, InternalError
from app.observability import log_request, user_hash, where
from app.observer import Observer

_logger = logging.getLogger("app")

_WELL_FORMED_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_CLIENT_CLOSED_REQUEST = 499  # nginx's number for a caller who left; only the log sees it

_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_STRICT_TRANSPORT_SECURITY = {"Strict-Transport-Security": "max-age=31536000"}  # RFC 6797, one year


class RequestContext:
    """Gives each request an id, puts it and the security headers on the answer, and logs one line.

    Outermost, so that every answer has them, preflights and failures included.
    """

    def __init__(self, app: ASGIApp, observer: Observer, *, production: bool) -> None:
        self._app = app
        self._observer = observer
        headers = _SECURITY_HEADERS | (_STRICT_TRANSPORT_SECURITY if production else {})
        self._headers = Headers(headers).raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        self._observer.request_began()
        request_id = _request_id(scope)
        status = _CLIENT_CLOSED_REQUEST

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                own = {name for name, _ in headers}
                headers += [header for header in self._headers if header[0] not in own]
                headers.append((b"x-request-id", request_id.encode()))
                if standing := scope.get("state", {}).get("rate_limit"):
                    headers += standing.headers()
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            route = _route(scope)
            self._observer.request_ended(scope["method"], route, status, seconds)
            state = scope.get("state", {})
            user = state.get("user")
            log_request(
                method=scope["method"],
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 2),
                request_id=request_id,
                user=user and user_hash(user.id),
                reason=state.get("reason") or None,
            )


class LastResort:
    """Answers 500 for what nobody caught, inside CORS and the request id, and lets nothing through.

    A handler for Exception would stand outside of both, and the server would close the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, _in_one_line(send))
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - it is the last resort
            _logger.error("unexpected %s at %s", type(error).__qualname__, where(error))  # noqa: TRY400 - see where()
            if not started:  # a half-sent answer ends here; the server closes the connection
                await error_response(InternalError())(scope, receive, send)


def _in_one_line(send: Send) -> Send:
    """Tell a setting that the start fails on by its sentence; Starlette tells it by its traceback."""

    async def send_shortened(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            *_, last = message["message"].strip().splitlines()
            kind, _, sentence = last.partition(": ")
            if kind.endswith(ConfigurationError.__name__):
                message["message"] = sentence
        await send(message)

    return send_shortened


def _request_id(scope: Scope) -> str:
    """Take over a well-formed id of the caller's; anything else might be an attack on the log."""
    given: list[bytes] = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _WELL_FORMED_ID.fullmatch(given[0]):
        return given[0].decode()
    return secrets.token_hex(16)


def _route(scope: Scope) -> str:
    """Return the template, not the path: a path may hold what is private, and has no end of values."""
    return getattr(scope.get("route"), "path_format", "-")
