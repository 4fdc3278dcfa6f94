"""HTTP/1.1 as `serve` speaks it: uvicorn's protocol, with limits on what a client may send and how slowly.

uvicorn waits for ever for the rest of a request and takes a head of any size (docs/decisions/0025). What is
refused here is answered by the app's own middleware: one error shape, one log line, counted as all others.
"""

import asyncio
from typing import Any, cast

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.config import Settings
from app.corked import Corked
from app.errors import AppError, BadRequest, RateLimited, RequestTimeout
from app.framing import Framing
from app.observer import Observer
from app.patience import Patience
from app.refusals import MOST_HEADERS, half_closing, refusal, too_large

#: Requests that wait for the answers before theirs; one takes a hundred times its bytes of memory.
_MOST_WAITING = 32


class Config(uvicorn.Config):
    """uvicorn's configuration, for our app; what the protocol needs of that is there once it is loaded."""

    settings: Settings
    observer: Observer
    refusing: Any  # the ASGI app that answers with what is refused here
    patience: Patience

    def __init__(self, app: Any, **options: Any) -> None:  # noqa: ANN401 - a name, or what it stands for
        super().__init__(app, **{"http": Protocol} | options)

    def load_app(self) -> Any:  # noqa: ANN401 - it is uvicorn's
        service = super().load_app()
        state = service.state
        self.settings, self.observer, self.refusing = state.settings, state.observer, state.refusing
        self.patience = Patience(head=self.settings.request_head_timeout, send=self.settings.send_timeout)
        return service


class Protocol(Framing):
    """A connection.

    A request begins with a new `scope`, and its complete head with a new `cycle`: while the cycle's scope is
    another one, a head is on its way.
    """

    config: Config

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._most = self.config.settings.max_header_bytes
        self._most_url = self._most // 2
        self._overhead = 0  # bytes of the message so far that are no data; the end of one before may be in it
        self._refused = False
        self._answering: RequestResponseCycle | None = None
        self._awaited: object = None
        self._unsent = self._looks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", Corked(transport, self.loop)))
        self.config.patience.watch(self.loop, cast("set[Protocol]", self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it to who answers too, which uvicorn does not if another request waits behind."""
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; nothing any more after a refusal.

        In place of uvicorn's own, which warns of upgrades (RFC 9110 section 7.8 lets a server ignore them)
        and stops the keep-alive timer for whatever comes: here that timer also ends a body that goes on
        after its answer.
        """
        if len(data) > self._most:  # in parts: the parser may hold one more than is counted
            for start in range(0, len(data), self._most):
                self.data_received(data[start : start + self._most])
            return
        if self._refused:
            return
        self._overhead += len(data)
        try:
            self.feed(data)
        except httptools.HttpParserError as error:
            own = error.__context__
            self._refuse(own if isinstance(own, AppError) else BadRequest(reason=f"malformed: {error}"))
            return
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope and not cycle.more_body:
            self._overhead = 0
        elif self._overhead > 2 * self._most:
            self._refuse(too_large(self.url, self._most))

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        # It begins in the part that is just being fed, so no more can be its own.
        self._overhead = min(self._overhead, self._most)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._overhead > self._most_url or len(self.headers) > MOST_HEADERS:
            self._refuse_large_head()
        if len(self.pipeline) >= _MOST_WAITING:
            raise RateLimited
        if self.timeout_keep_alive_task is not None:  # the head began before the answer to the one before
            self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # Chunks have their sizes and extensions: twice as much as data is enough.
        self._overhead = max(self._overhead - 3 * len(body), 0)
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse_large_head(self) -> None:
        """Count exactly, now that all is there; raises UriTooLong and HeadersTooLarge, to the parser."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) > self._most_url or size > self._most or len(self.headers) > MOST_HEADERS:
            raise too_large(self.url, self._most)

    def _should_upgrade(self) -> bool:
        """Say no: there are no WebSockets here, whatever libraries are installed."""
        return False

    def look(self) -> None:
        """See, once a round, what the client is waited for, and give it up after too many of them."""
        unsent, cycle = self.transport.get_write_buffer_size(), self.cycle
        on_its_way = cycle is None or cycle.scope is not self.scope
        if not (unsent or (on_its_way and self._waits_for_client())):
            self._looks = 0
            return
        awaited = self.transport if unsent else self.scope
        if awaited is not self._awaited or unsent < self._unsent:
            self._looks = 0
        self._awaited, self._unsent = awaited, unsent
        self._looks += 1
        if unsent and self._looks > self.config.patience.send:
            self.config.observer.connection_cut("unread")
            self.transport.abort()
        elif not unsent and self._looks > self.config.patience.head:
            self._give_up()

    def _waits_for_client(self) -> bool:
        """Whether it is the client who is waited for, and not we that do not read."""
        return not (self._refused or self.flow.read_paused or self.transport.is_closing())

    def _give_up(self) -> None:
        if self.scope is None:  # an answer now would be taken for that to a request just on its way
            self.config.observer.connection_cut("silent")
            self.transport.close()
        else:
            self._refuse(RequestTimeout(reason="the head did not come in time"), lingering=False)

    def _refuse(self, error: AppError, *, lingering: bool = True) -> None:
        """Answer what can't become a request, after those before it, and close the connection."""
        self._refused = True
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope:
            self._break_off(cycle, error)
            return
        refused = self.cycle = refusal(self, error, lingering=lingering)
        self.scope = refused.scope
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self._start_asgi_task(refused, self.config.refusing)
        else:
            self.pipeline.appendleft((refused, self.config.refusing))

    def _break_off(self, cycle: RequestResponseCycle, error: AppError) -> None:
        """End a body that is malformed: the gate refuses it, if nothing else was wrong with the request."""
        cycle.keep_alive, cycle.transport = False, half_closing(self.transport)
        if cycle.response_complete:
            cycle.transport.close()
        cycle.scope["state"]["refusal"] = error
        cycle.more_body = False
        cycle.message_event.set()
