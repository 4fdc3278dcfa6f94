"""The server's protocol, which refuses requests before they begin.

When the process itself is the bottleneck, refusing takes time from those that are served. On its way to the
slots in front of the database a request costs several times of what it costs here (docs/decisions/0022).
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app import protocol
from app.admission import Admission


class Protocol(protocol.Protocol):
    """A connection that asks before each request whether it may begin."""

    _state: Any = None  # the application's; without one nothing is refused here
    _admission: Admission | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._state = _state(self.app)
        self._admission = getattr(self._state, "admission", None)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - uvicorn's own
        refusing = app is self.config.refusing  # it was refused already
        if refusing or self._admission is None or self._admits(self._admission, cycle):
            super()._start_asgi_task(cycle, app)
        else:
            self._shed(cycle, *self._admission.refusal(cast("dict[str, Any]", cycle.scope)))

    def _admits(self, admission: Admission, cycle: RequestResponseCycle) -> bool:
        """Let in all that may not be refused here."""
        return not _may_be_refused(cycle) or admission.admits(
            cast("list[tuple[bytes, bytes]]", cycle.scope["headers"])
        )

    def _shed(self, cycle: RequestResponseCycle, head: bytes, body: bytes) -> None:
        if self._state.draining.began:
            cycle.keep_alive = False
        own = b"".join(b"%b: %b\r\n" % header for header in cycle.default_headers)
        close = b"" if cycle.keep_alive else b"connection: close\r\n"
        sent = b"" if cycle.scope["method"] == "HEAD" else body
        cycle.transport.write(b"%b%b%b\r\n" % (head, own, close))
        cycle.transport.write(sent)
        cycle.response_started = cycle.response_complete = True  # so what comes of a body is left out
        if not cycle.keep_alive:
            cycle.transport.close()
        self.on_response_complete()


def _may_be_refused(cycle: RequestResponseCycle) -> bool:
    """Whether it asks for tasks, which most do; health, documents and preflights are always let in.

    So is who waits for leave to send a body, and who does not read what is sent.
    """
    scope = cycle.scope
    if not scope["path"].startswith("/tasks") or scope["method"] == "OPTIONS":
        return False
    return not (cycle.waiting_for_100_continue or cycle.flow.write_paused)


def _state(app: Any) -> Any:  # noqa: ANN401 - whatever the server serves
    """Find the application's state, below what the server puts around it."""
    while app is not None and not hasattr(app, "state"):
        app = getattr(app, "app", None)
    return app.state if app is not None else None
