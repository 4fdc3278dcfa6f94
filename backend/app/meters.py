"""The metrics: their names, labels and buckets."""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.errors import AppError

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_OTHER_METHOD = "OTHER"

# Around the plan's bounds: 50, 100, 200 and 500 ms.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5)
_TOKEN_BUCKETS = (0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.05, 0.1, 0.5, 2)
_DATABASE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 4)
_WAIT_BUCKETS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 1, 4)

# When a series began would double their number, and no process can tell it of the others.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


def refusals() -> dict[str, int]:
    """Return the status of every code that the error family answers with."""
    family = [AppError]
    for error in family:
        family += error.__subclasses__()
    return {error.code: error.status for error in family[1:]}


class Meters:
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
        self.refused = {code: refused.labels(code) for code in refusals()}
        #: Where only the status is known: the code that its errors have most in common.
        self.refused_with = {status: self.refused[code] for code, status in reversed(refusals().items())}
        cut = Counter(
            "tasks_connections_cut", "Clients given up without an answer.", ("why",), registry=registry
        )
        self.cut = {why: cut.labels(why) for why in ("silent", "unread")}
        self.unexpected = Counter(
            "tasks_unexpected_errors", "Failures that nobody foresaw.", registry=registry
        )
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
        self.retries = Counter(
            "tasks_database_retries", "Statements that were tried again.", registry=registry
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
