"""A receiver of OTLP over HTTP, which decodes what comes with the protocol's own messages."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Received:
    """All that came, by path."""

    url: str = ""
    raw: bytes = b""
    paths: set[str] = field(default_factory=set)
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        self.raw += body
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body).resource_spans
            self.spans += [span for one in traces for scope in one.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            groups = ExportMetricsServiceRequest.FromString(body).resource_metrics
            self.metrics += [
                metric for one in groups for scope in one.scope_metrics for metric in scope.metrics
            ]


@contextmanager
def receiving() -> Iterator[Received]:
    """Listen on loopback."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
