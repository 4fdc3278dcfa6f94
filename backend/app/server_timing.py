"""Server-Timing (W3C): where the time of an answer went, for the browser's developer tools."""

import time
from contextvars import ContextVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.observer import Observer

HEADER = "Server-Timing"

#: Seconds by part, of the request that is being answered.
_spent: ContextVar[dict[str, float] | None] = ContextVar("spent", default=None)


class Timings(Observer):
    """Adds up what a request spends on checking its credential and on the database."""

    def token_known(self, began: float) -> None:
        super().token_known(began)
        _add("auth", began)

    def token_checked(self, result: str, began: float) -> None:
        super().token_checked(result, began)
        _add("auth", began)

    def statement_ended(self, began: float, connected: float | None) -> None:
        super().statement_ended(began, connected)
        _add("db", began)


class TimedMetrics(Timings, Metrics):
    """Does both."""


def _add(part: str, began: float) -> None:
    spent = _spent.get()
    if spent is not None:
        spent[part] += time.perf_counter() - began


class ServerTiming:
    """Puts the header on every answer: `auth`, `db` (waiting for a connection included) and `total`.

    In milliseconds, up to the moment when the answer starts. Pages of the origins that may call the API may
    read it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        spent = {"auth": 0.0, "db": 0.0}
        _spent.set(spent)

        async def send_with_timing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                parts = spent | {"total": time.perf_counter() - began}
                headers[HEADER] = ", ".join(
                    f"{name};dur={seconds * 1000:.2f}" for name, seconds in parts.items()
                )
                if origin := headers.get("access-control-allow-origin"):
                    headers["Timing-Allow-Origin"] = origin
            await send(message)

        await self._app(scope, receive, send_with_timing)
