"""What pages of other origins may send and read (the Fetch standard's CORS protocol)."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import error_response
from app.errors import BadRequest

_VARY = (b"vary", b"Origin")

# What a page may send, beside what Fetch always lets it, and what it may read.
_ALLOWED_HEADERS = [
    *("Authorization", "Idempotency-Key", "If-Match", "If-None-Match"),
    *("Last-Event-ID", "Prefer", "X-Request-ID"),
]
_EXPOSED_HEADERS = [
    *("Allow", "ETag", "Idempotent-Replayed", "Link", "Preference-Applied"),
    *("RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-ID", "X-Revision"),
]


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

    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        """Answer what comes from no page of another origin only with a hint for caches."""
        if "origin" in request_headers:
            await super().simple_response(scope, receive, send, request_headers)
            return

        async def send_varying(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append(_VARY)
            await send(message)

        await self.app(scope, receive, send_varying)

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
