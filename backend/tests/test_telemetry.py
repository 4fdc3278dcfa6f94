"""OpenTelemetry: the standard variables bring it on, in real processes, to a receiver of the protocol."""

import os
import signal
import socket
import uuid
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.main import create_app
from app.telemetry import TracedRequest, telemetry
from tests.conftest import SECRET
from tests.live import token
from tests.otlp_receiver import receiving
from tests.servers import START_SECONDS, Commands, wait_for

OFTEN = {"otel_bsp_schedule_delay": 100, "otel_metric_export_interval": 200}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def attributes(of: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in of.attributes}


@pytest.fixture
def serving(commands, data_dir, database_url):
    def start(**variables):
        return commands.start(
            "tasks-api",
            "serve",
            data_dir=data_dir,
            database_url=database_url,
            better_auth_secret=SECRET,
            **OFTEN,
            **variables,
        )

    return start


@pytest.mark.slow
def test_spans_carry_the_request_id_and_nothing_private(serving):
    user_id = f"canary-user-{uuid.uuid4()}"
    with receiving() as received, serving(otel_exporter_otlp_endpoint=received.url) as service:
        service.started()
        headers = {"Authorization": f"Bearer {token(user_id)}", "X-Request-ID": "my-id"}
        with httpx.Client(base_url=service.url, headers=headers) as client:
            task = client.post("/tasks?canary=1", json={"text": "canary text"}).json()
            client.get("/tasks?q=canary")
            client.get("/canary-path", headers={"X-Request-ID": "other-id"})
            client.request("PROPFIND", "/tasks", headers={"User-Agent": "canary", "Cookie": "canary"})
            client.get("/tasks", headers={"Authorization": "Bearer canary"})
            client.post("/tasks", json={"text": "canary", "completed": "canary"})

        def roots() -> list[Any]:
            return [span for span in received.spans if span.kind == span.SPAN_KIND_SERVER]

        assert wait_for(lambda: len(roots()) >= 7, START_SECONDS), received.spans
        assert service.ends_after(signal.SIGTERM)
    by_name = {(span.name, attributes(span)["request_id"]): attributes(span) for span in roots()}
    created = by_name["POST /tasks", "my-id"]
    assert created["http.route"] == "/tasks"
    assert ("GET", "other-id") in by_name
    statuses = {attributes(span)["http.response.status_code"] for span in roots()}
    assert statuses >= {200, 201, 401, 404, 405, 422}
    for private in (b"canary", b"PROPFIND", user_id.encode(), task["id"].encode(), SECRET.encode(), b"eyJ"):
        assert private not in received.raw
    assert not [span for span in received.spans if span.events]


@pytest.mark.slow
def test_metrics_are_exported_too_and_logs_never(serving):
    with receiving() as received, serving(otel_exporter_otlp_endpoint=received.url) as service:
        service.started()

        def names() -> set[str]:
            return {metric.name for metric in received.metrics}

        assert wait_for(lambda: "http.server.request.duration" in names(), START_SECONDS), received.paths
        assert service.ends_after(signal.SIGTERM)
    assert received.paths == {"/v1/traces", "/v1/metrics"}


@pytest.mark.slow
def test_the_last_spans_are_sent_before_the_end(serving):
    with (
        receiving() as received,
        serving(otel_exporter_otlp_endpoint=received.url, otel_metrics_exporter="none", workers=2) as service,
    ):
        service.started(workers=2)
        httpx.get(f"{service.url}/health/live", headers={"X-Request-ID": "the-last"})
        assert service.ends_after(signal.SIGTERM)
    assert received.paths == {"/v1/traces"}
    assert "the-last" in [attributes(span).get("request_id") for span in received.spans]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_receiver_that_never_answers_does_not_hold_up_the_end(serving, workers):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with serving(otel_exporter_otlp_endpoint=url, workers=workers) as service:
            service.started(workers=workers)
            assert httpx.get(f"{service.url}/health/live").status_code == 200
            assert service.ends_after(signal.SIGTERM)


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, {"tracing", "metrics"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, {"metrics"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"}, {"tracing"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, {"tracing"}),
    ],
)
def test_the_standard_variables_say_what_is_on(monkeypatch, variables, on):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")  # or it would set others, for good
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = telemetry()
    assert {signal for signal in ("tracing", "metrics", "logs") if config[signal]} == on
    assert ("tracer_provider" in config) is ("tracing" in on)


def test_a_receiver_gets_less_time_than_the_end_of_the_process(monkeypatch):
    names = [f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT" for signal in ("", "TRACES_", "METRICS_")]
    for name in names:
        monkeypatch.setenv(name, "for the end of the test")
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "7")
    telemetry()
    assert [os.environ.get(name) for name in names] == [None, "0.8", "7"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "9")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
    telemetry()
    assert [os.environ.get(name) for name in names] == ["9", None, "7"]


async def test_without_them_nothing_stands_in_the_way_of_a_request(settings):
    app = create_app(settings)
    assert not app._native_telemetry.enabled()  # noqa: SLF001 - what FastAPI asks at each request
    assert TracedRequest not in {middleware.cls for middleware in app.user_middleware}  # type: ignore[comparison-overlap]
