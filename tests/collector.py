"""A collector of OpenTelemetry traces (OTLP over HTTP) that keeps what it receives."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from core import tracing

NAME, NUMBER = "SECRETARY^ZOË", "9990123456"
PATIENCE = 30.0


class Collector:
    """The received spans, and the bytes that carried them."""

    def __init__(self, endpoint: str, bodies: "queue.Queue[bytes]") -> None:
        self.endpoint = endpoint
        self._bodies = bodies
        self._seen: list[bytes] = []

    def wait_for(self, name: str) -> dict[str, Any]:
        """Return the attributes of the next span with this name."""
        while True:
            tracing.flush()
            self._seen.append(self._bodies.get(timeout=PATIENCE))
            sent = ExportTraceServiceRequest.FromString(self._seen[-1])
            for span in (each for of in sent.resource_spans for scope in of.scope_spans for each in scope.spans):
                if span.name == name:
                    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}

    def has(self, text: str) -> bool:
        """Tell whether the received bytes contain the text."""
        return any(text.encode() in body for body in self._seen)

    @property
    def has_patient_data(self) -> bool:
        """Tell whether the received bytes contain any patient data."""
        return any(map(self.has, ("SECRETARY", "ZOË", NUMBER)))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""
    bodies: queue.Queue[bytes] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the tests' output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Collector(f"http://127.0.0.1:{server.server_port}", bodies)
        server.shutdown()


@contextmanager
def traces_to(endpoint: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send this process's traces to the endpoint, by a new provider."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = endpoint
    tracing.provider.cache_clear()
    yield
    tracing.provider().shutdown()
    tracing.provider.cache_clear()
