"""OpenTelemetry: whether the standard OTEL_* variables ask for it, and the request's id on its span."""

import os
from importlib.util import find_spec

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: How long, in seconds, a receiver may take, unless variables say otherwise. The SDK's own 10, once for spans
#: and twice for metrics when the process ends, are more than the end may take. Metrics lose nothing: the next
#: ones hold what these did.
_PATIENCE = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.8", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "0.4"}


def telemetry() -> TelemetryConfig:
    """Return FastAPI's `telemetry=`: everything off unless there is somewhere to export to.

    Logs stay off: they would carry what users wrote, in exception texts.
    """
    config: TelemetryConfig = {
        "tracing": _exported("TRACES"),
        "metrics": _exported("METRICS"),
        "logs": False,
        "auto_configure": True,
    }
    if (config["tracing"] or config["metrics"]) and "OTEL_EXPORTER_OTLP_TIMEOUT" not in os.environ:
        os.environ |= _PATIENCE | dict(os.environ)
    if config["tracing"] and find_spec("opentelemetry.sdk"):  # without, FastAPI says what to install
        from app.spans import tracer_provider  # noqa: PLC0415 - it needs the extra

        config["tracer_provider"] = tracer_provider()
    return config


def traced(config: TelemetryConfig) -> list[Middleware]:
    """Return what stands outermost where there are spans."""
    return [Middleware(TracedRequest)] if "tracer_provider" in config else []


class TracedRequest:
    """Names the request's id, which its answer carries, on its span: `request_id`, as in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.get_current_span().set_attribute("request_id", Headers(scope=message)["X-Request-ID"])
            await send(message)

        await self._app(scope, receive, send_and_tell)


def _exported(signal: str) -> bool:
    """Whether there is somewhere to send a signal to, and nothing that says not to."""
    variable = os.environ.get
    return (
        bool(variable(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
        and variable(f"OTEL_{signal}_EXPORTER", "").strip().lower() != "none"
        and variable("OTEL_SDK_DISABLED", "").lower() != "true"
    )
