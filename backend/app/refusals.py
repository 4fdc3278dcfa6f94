"""How the server answers what can't become a request: as the app answers, and so that it can be read."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import AppError, HeadersTooLarge, UriTooLong

#: Browsers send some 20, proxies add a few.
MOST_HEADERS = 100

_UNKNOWN = "-"  # of a method or a path that did not come, as in the log


class _HalfClosed:
    """A transport that `close` only stops writing to.

    A socket that is closed while something is still coming in is reset, and a client that is busy sending
    never reads why (RFC 9112 section 9.6). What comes is thrown away until the client closes, or the
    keep-alive timeout does.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.write, self.is_closing = transport.write, transport.is_closing

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()


def too_large(url: bytes, limit: int) -> AppError:
    """Say what of a head is too large: path and query, if they have over half the limit, or the headers."""
    if len(url) > limit // 2:
        return UriTooLong(limit // 2)
    return HeadersTooLarge(limit, MOST_HEADERS)


def half_closing(transport: asyncio.Transport) -> asyncio.Transport:
    """Return what an answer is written to that a client should read who may still be sending."""
    return cast("asyncio.Transport", _HalfClosed(transport))


def refusal(connection: HttpToolsProtocol, error: AppError, *, lingering: bool) -> RequestResponseCycle:
    """Return what answers in place of the request whose head is coming in, with what is known of it.

    The app finds the error in the request's state.
    """
    method = connection.parser.get_method().decode() if connection.url else _UNKNOWN
    scope = connection.scope | {
        "method": method,
        "path": _UNKNOWN,
        "raw_path": b"",
        "query_string": b"",
        "state": connection.app_state | {"refusal": error, "reason": error.reason},
    }
    return RequestResponseCycle(
        scope=cast("Any", scope),
        transport=half_closing(connection.transport) if lingering else connection.transport,
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=connection.access_log,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=False,
        on_response=connection.on_response_complete,
    )
