"""What stands around every request, as plain ASGI: its id and log line, CORS, the last resort."""

import logging
import re
import secrets
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import error_response
from app.errors import BadRequest, ConfigurationError, InternalError
from app.observability import log_request, user_hash, where
from app.observer import Observer

_logger = logging.getLogger("app")

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
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


# What a page may send, beside what Fetch always lets it, and what it may read.
_ALLOWED_HEADERS = [
    *("Authorization", "Idempotency-Key", "If-Match", "If-None-Match"),
    *("Last-Event-ID", "Prefer", "X-Request-ID"),
]
_EXPOSED_HEADERS = [
    *("Allow", "ETag", "Idempotent-Replayed", "Link", "Preference-Applied", "Retry-After"),
    *("WWW-Authenticate", "X-Request-ID", "X-Revision"),
]


class RequestContext:
    """Gives each request an id, puts it and the security headers on the answer, and logs one line.

    Outermost, so that every answer has them, preflights and failures included.
    """

    def __init__(self, app: ASGIApp, observer: Observer, *, production: bool) -> None:
        self._app = app
        self._observer = observer
        self._headers = _SECURITY_HEADERS | (_STRICT_TRANSPORT_SECURITY if production else {})

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
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
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


class Cors(CORSMiddleware):
    """Starlette's CORS, refusing in our one error shape; it stands around all that can fail."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str], exposed: Collection[str] = ()) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_ALLOWED_HEADERS,
            allow_credentials="*" not in origins,
            expose_headers=[*_EXPOSED_HEADERS, *exposed],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight; it needs no token."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:  # noqa: PLR2004
            return answer
        reason = bytes(answer.body).decode()  # which of origin, method and headers it was
        refusal = error_response(BadRequest(f"{reason}; CORS_ORIGINS lists the origins that may call."))
        for name, value in answer.headers.items():
            if name.startswith("access-control-") or name == "vary":
                refusal.headers[name] = value
        return refusal


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
    given = Headers(scope=scope).getlist("x-request-id")
    if len(given) == 1 and _WELL_FORMED_ID.fullmatch(given[0]):
        return given[0]
    return secrets.token_hex(16)


def _route(scope: Scope) -> str:
    """Return the template, not the path: a path may hold what is private, and has no end of values."""
    return getattr(scope.get("route"), "path_format", "-")
