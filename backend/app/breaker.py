"""A circuit breaker: who would wait for a database that does not answer is told so at once."""

import logging
import math
import random
import time
from collections.abc import Callable

from app.errors import NotAsked

_logger = logging.getLogger("app")

#: So many failures in a row, without any answer between them, open it.
_FAILURES = 5
#: Seconds until one caller may try; somewhat random, so that processes do not try in step.
_OPEN_SECONDS = (0.8, 1.2)
#: Seconds for which that caller is the only one, unless it is known sooner what came of it.
_TRY_SECONDS = 3


class Breaker:
    """Closed as long as there is contact with the server; open, it lets one caller at a time try.

    Only what says that there is no contact counts: no connection can be opened, or the server answers neither
    a statement nor the request to cancel it. An error that PostgreSQL reports is an answer, so no statement
    and no lock opens it, however often it fails.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._opens = math.inf  # when the next caller may try
        self._trying = False
        self.closed = True  #: to be asked first: it costs the least

    def admit(self) -> None:
        """Let this caller through if it is the one that may try; else raise NotAsked."""
        if self.closed:
            return
        left = self._opens - self._clock()
        if left > 0:
            raise NotAsked(retry_after=math.ceil(left))
        self._trying = True
        self._opens = self._clock() + _TRY_SECONDS

    def made_contact(self) -> None:
        """Hear that the server answered."""
        self._failures = 0
        if not self.closed:
            self.closed, self._trying = True, False
            _logger.warning("The database answers again.")

    def lost_contact(self) -> None:
        """Hear that it did not."""
        self._failures += 1
        if self._failures < _FAILURES or not (self.closed or self._trying):
            return
        if self.closed:
            _logger.warning("The database does not answer; callers are told so at once, until it does.")
        self.closed, self._trying = False, False
        self._opens = self._clock() + random.uniform(*_OPEN_SECONDS)  # noqa: S311 - no secret
