"""What a span says of a request when it begins. Needs the extra `telemetry`."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

#: FastAPI would also give the path and the query, which may hold anything.
_HARMLESS = frozenset(
    {
        "code.function.name",
        "http.request.method",
        "network.protocol.version",
        "server.address",
        "server.port",
        "url.scheme",
    }
)


def tracer_provider() -> TracerProvider:
    """Make what OTEL_TRACES_SAMPLER and its like ask for, but of spans that hold nothing private."""
    provider = TracerProvider(shutdown_on_exit=False)  # FastAPI ends the exporter that it adds
    provider.sampler = _Harmless(provider.sampler)
    return provider


class _Harmless(Sampler):
    """Samples as another does. A span begins with the attributes that its sampler hands on."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917 - as the SDK calls it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Leave out whatever is not known to be harmless."""
        kept = {key: value for key, value in (attributes or {}).items() if key in _HARMLESS}
        return self._sampler.should_sample(parent_context, trace_id, name, kind, kept, links, trace_state)

    def get_description(self) -> str:
        """Tell which sampler decides."""
        return self._sampler.get_description()
