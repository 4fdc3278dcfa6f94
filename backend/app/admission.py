"""Which requests may begin when more come at once than can be taken on, and what the others are answered."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.api.error_handlers import error_response
from app.auth import Verifier, bearer_token
from app.config import Settings
from app.cors import Cors
from app.database import Database
from app.errors import AppError, Overloaded
from app.middleware import request_id, security_headers
from app.observer import Observer
from app.slots import Slots

#: So many in one turn of the event loop are no burst: each is told all that may be wrong with it.
_FEW = 8
_TELL_SECONDS = 1
_ANY_OTHER = "null"  # no origin that can be allowed

_logger = logging.getLogger("app")


class Admission:
    """Counts what begins in a turn of the event loop: it ends before the database has answered any of it.

    A turn is short while the process has time, so that hardly anything comes in one. The longer it gets, the
    more have come meanwhile, and no more of them are begun than the database's slots and queue have room for;
    one credential's, no more than that leaves to others. While somebody waits for the database, it is asked
    of each whose user is known whether he may wait too.
    """

    def __init__(
        self,
        database: Database,
        verifier: Verifier,
        observer: Observer,
        cors: Cors,
        settings: Settings,
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._observer = observer
        self._cors = cors
        self._headers = security_headers(production=settings.production)
        self._answers: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._begun = 0
        self._by_credential = Counter[bytes]()
        self._shed = 0

    def admits(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether one more request may begin in this turn."""
        self._begun += 1
        if self._begun == 1:
            asyncio.get_running_loop().call_soon(self._next_turn)
        slots = self._database.slots
        if not slots.queued and self._begun <= _FEW:
            return True
        sent = next((value for name, value in headers if name == b"authorization"), b"")
        # However many spaces and tabs there are, and whatever case the scheme has.
        credential = sent.replace(b"\t", b" ").rpartition(b" ")[2]
        too_many = self._begun > _FEW and self._by_credential[credential] >= slots.room - self._begun
        if too_many or (slots.queued and self._would_be_refused(sent, slots)):
            self._begun -= 1
            return False
        self._by_credential[credential] += 1
        return True

    def _would_be_refused(self, credential: bytes, slots: Slots) -> bool:
        """Whether it is known whose credential this is, and that there is no place for him."""
        try:
            user = self._verifier.remembered(bearer_token([credential.decode("latin-1")]))
        except AppError:
            return False
        return user is not None and slots.refuses(user.id)

    def refusal(self, scope: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return the answer of a request that may not, without the headers of the server's own."""
        if not self._shed:
            asyncio.get_running_loop().call_later(_TELL_SECONDS, self.tell)
        self._shed += 1
        error, origin = Overloaded(), self._origin(scope)
        kind = origin, error.headers["Retry-After"]
        if kind not in self._answers:
            self._answers[kind] = self._rendered(error, origin)
        head, body = self._answers[kind]
        return b"%bx-request-id: %b\r\n" % (head, request_id(scope).encode()), body

    def _origin(self, scope: Mapping[str, Any]) -> str:
        """Return the page's origin if the answer depends on it; all others are one, so that few are kept."""
        origin = next((value for name, value in scope["headers"] if name == b"origin"), b"").decode("latin-1")
        if not origin or (not self._cors.allow_all_origins and self._cors.is_allowed_origin(origin)):
            return origin
        return _ANY_OTHER

    def _rendered(self, error: Overloaded, origin: str) -> tuple[bytes, bytes]:
        response = error_response(error)
        headers = [*response.raw_headers, *self._headers, *self._cors.headers_for(origin)]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"HTTP/1.1 503 Service Unavailable\r\n" + lines, bytes(response.body)

    def _next_turn(self) -> None:
        self._begun = 0
        self._by_credential.clear()

    def tell(self) -> None:
        """Say how many were refused: once a second, since of each it would cost more than to refuse it."""
        if not self._shed:
            return
        _logger.warning("%s: refused %d requests before they began", Overloaded.code, self._shed)
        self._observer.requests_shed(self._shed)
        self._shed = 0
