"""The metrics: their names, labels and buckets, and the observer that counts them."""

import time
from functools import cached_property

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.errors import AppError
from app.observer import Observer

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_OTHER_METHOD = "OTHER"

# Around the plan's bounds: 50, 100, 200 and 500 ms.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5)
_TOKEN_BUCKETS = (0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.05, 0.1, 0.5, 2)
_DATABASE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 4)
_WAIT_BUCKETS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 1, 4)

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

# When a series began would double their number, and no process can tell it of the others.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


def refusals() -> dict[int, str]:
    """Return the code of every status that the error family answers with; each status has one."""
    family = [AppError]
    for error in family:
        family += error.__subclasses__()
    return {error.status: error.code for error in family[1:]}


class _Values:
    """The metrics of one application. In a worker process they live in files, which making them opens."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "tasks_http_request_duration_seconds",
            "Requests, till their answer was sent.",
            ("method", "route", "status"),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.requests: dict[tuple[str, str, int], Histogram] = {}
        self.in_flight = _gauge("tasks_http_requests_in_flight", "Requests being answered.", registry)
        refused = Counter(
            "tasks_http_requests_refused", "Refusals, by their code.", ("code",), registry=registry
        )
        self.refused = {status: refused.labels(code) for status, code in refusals().items()}
        tokens = Counter(
            "tasks_token_verifications", "Credentials looked at.", ("result",), registry=registry
        )
        results = ("cached", "verified", "refused", "unavailable")
        self.tokens = {result: tokens.labels(result) for result in results}
        self.token_seconds = Histogram(
            "tasks_token_verification_duration_seconds",
            "Checks of credentials that were not remembered.",
            buckets=_TOKEN_BUCKETS,
            registry=registry,
        )
        self.statements = Histogram(
            "tasks_database_duration_seconds",
            "Statements, without the wait for a connection.",
            buckets=_DATABASE_BUCKETS,
            registry=registry,
        )
        self.waits = Histogram(
            "tasks_database_pool_wait_seconds",
            "Waits for a connection, those that ended without one included.",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.errors = Counter(
            "tasks_database_errors", "Statements that failed.", ("class",), registry=registry
        )
        self.not_modified = Counter("tasks_not_modified", "Answers 304.", registry=registry)
        limited = Counter(
            "tasks_rate_limited", "Requests beyond a rate limit.", ("policy",), registry=registry
        )
        self.limited = {policy: limited.labels(policy) for policy in ("user", "address")}
        self.limits_alone = Counter(
            "tasks_rate_limit_store_failures", "Requests counted without Redis.", registry=registry
        )
        self.streams = _gauge("tasks_event_streams", "Open streams of events.", registry)

    def request(self, method: str, route: str, hundreds: int) -> Histogram:
        """Return where a kind of request is counted; it is kept under the method's own name only if known."""
        known = method in _METHODS
        series = self._requests.labels(method if known else _OTHER_METHOD, route, f"{hundreds}xx")
        if known:
            self.requests[method, route, hundreds] = series
        return series


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode="livesum")


class Metrics(Observer):
    """Counts. Nothing of a user, a path or a token becomes a label, and no caller can make a new one."""

    @cached_property
    def _values(self) -> _Values:
        return _Values()

    @property
    def registry(self) -> CollectorRegistry:
        """What this process counted."""
        return self._values.registry

    def request_began(self) -> None:
        self._values.in_flight.inc()

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        values = self._values
        values.in_flight.dec()
        hundreds = status // 100
        series = values.requests.get((method, route, hundreds)) or values.request(method, route, hundreds)
        series.observe(seconds)
        if status >= _FIRST_REFUSAL:
            if status in values.refused:
                values.refused[status].inc()
        elif status == _NOT_MODIFIED:
            values.not_modified.inc()

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

    def rate_limited(self, policy: str) -> None:
        self._values.limited[policy].inc()

    def limits_alone(self) -> None:
        self._values.limits_alone.inc()

    def stream_opened(self) -> None:
        self._values.streams.inc()

    def stream_closed(self) -> None:
        self._values.streams.dec()
