"""Owns the optional traces: what an action, a query and a report cost, as OpenTelemetry spans.

Without OTEL_EXPORTER_OTLP_ENDPOINT nothing of OpenTelemetry is imported, and a span is nothing. With it spans go out by
OTLP over HTTP, from a thread of the library's, which reads its other OTEL_ variables itself. An attribute is an id, a
type, a status or a number, never a value of a patient; of an exception the type is told, and not its words.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol

from django.conf import settings

from core.correlation import correlation_id
from core.instance import instance_name, version

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Value = str | int | bool

#: How long the end of a process waits for its last spans.
FLUSH_SECONDS = 2.0


class Span(Protocol):
    """Something that is being done."""

    def set(self, **attributes: Value | None) -> None:
        """Say more of it."""


class _Nothing:
    """Where nobody traces."""

    def set(self, **attributes: Value | None) -> None:
        """Nobody hears it."""


class _Recorded:
    """A span of OpenTelemetry's; an attribute without a value is left out."""

    def __init__(self, span: object) -> None:
        self._span = span

    def set(self, **attributes: Value | None) -> None:
        """Say more of it."""
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(f"gateway.{name}", value)  # type: ignore[attr-defined]


@contextmanager
def span(name: str, **attributes: Value | None) -> Iterator[Span]:
    """The block as a span of this name, with the correlation id in force.

    It is not made the current one: a generator that is left half way would take it along into somebody else's context.
    """
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        yield _Nothing()
        return
    from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - only where it is wanted

    traced = provider().get_tracer("gateway").start_span(name, kind=SpanKind.SERVER)
    recorded = _Recorded(traced)
    recorded.set(correlation_id=correlation_id(), **attributes)
    try:
        yield recorded
    except Exception as error:
        traced.set_status(StatusCode.ERROR, type(error).__name__)  # never record_exception: it sends the words
        raise
    finally:
        traced.end()


@cache
def provider() -> "TracerProvider":
    """What makes the spans of this process and sends them, in batches."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    ours = {
        "service.name": "screening-gateway",
        "service.version": version(),
        "service.instance.id": instance_name(),
    }
    made = TracerProvider(resource=Resource(ours).merge(OTELResourceDetector().detect()))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


def flush(patience: float = FLUSH_SECONDS) -> None:
    """Send what is waiting, for so many seconds at most: a collector that is away must not keep a process."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and provider.cache_info().currsize:
        sending = threading.Thread(target=provider().force_flush, name="last-spans", daemon=True)
        sending.start()
        sending.join(patience)
