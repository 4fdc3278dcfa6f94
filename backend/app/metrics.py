"""The observer that counts."""

import time
from functools import cached_property

from prometheus_client import CollectorRegistry

from app.errors import Overloaded
from app.meters import Meters
from app.observer import Observer

# The classes of SQLSTATE (PostgreSQL, appendix A) and what comes before there is one.
_ERRORS = frozenset(
    [
        *("01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23"),
        *("24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42"),
        *("44", "53", "54", "55", "57", "58", "F0", "HV", "P0", "XX", "connection", "timeout"),
    ]
)
_INTERNAL_ERROR = "XX"

_NOT_MODIFIED = 304
_FIRST_REFUSAL = 400


class Metrics(Observer):
    """Counts. Nothing of a user, a path or a token becomes a label, and no caller can make a new one."""

    @cached_property
    def _values(self) -> Meters:
        return Meters()

    @property
    def registry(self) -> CollectorRegistry:
        """What this process counted."""
        return self._values.registry

    def request_began(self) -> None:
        self._values.in_flight.inc()

    def request_ended(
        self, method: str, route: str, status: int, seconds: float, code: str | None = None
    ) -> None:
        values = self._values
        values.in_flight.dec()
        hundreds = status // 100
        series = values.requests.get((method, route, hundreds)) or values.request(method, route, hundreds)
        series.observe(seconds)
        if status >= _FIRST_REFUSAL:
            if refused := values.refused.get(code or "") or values.refused_with.get(status):
                refused.inc()
        elif status == _NOT_MODIFIED:
            values.not_modified.inc()

    def requests_shed(self, count: int) -> None:
        self._values.refused[Overloaded.code].inc(count)

    def connection_cut(self, why: str) -> None:
        self._values.cut[why].inc()

    def nobody_caught(self) -> None:
        self._values.unexpected.inc()

    def token_known(self, began: float) -> None:
        super().token_known(began)
        self._values.tokens["cached"].inc()

    def token_checked(self, result: str, began: float) -> None:
        super().token_checked(result, began)
        self._values.tokens[result].inc()
        self._values.token_seconds.observe(time.perf_counter() - began)

    def statement_ended(self, began: float, connected: float | None) -> None:
        super().statement_ended(began, connected)
        now = time.perf_counter()
        self._values.waits.observe((connected or now) - began)
        if connected:
            self._values.statements.observe(now - connected)

    def statement_failed(self, kind: str) -> None:
        self._values.errors.labels(kind if kind in _ERRORS else _INTERNAL_ERROR).inc()

    def statement_retried(self) -> None:
        self._values.retries.inc()

    def rate_limited(self, policy: str) -> None:
        self._values.limited[policy].inc()

    def limits_alone(self) -> None:
        self._values.limits_alone.inc()

    def stream_opened(self) -> None:
        self._values.streams.inc()

    def stream_closed(self) -> None:
        self._values.streams.dec()
