"""Trace actions, queries and reports as OpenTelemetry spans, if OTEL_EXPORTER_OTLP_ENDPOINT is set.

Without it nothing of OpenTelemetry is imported, and a span does nothing. With it a thread of the library sends the
spans by OTLP over HTTP; the library reads its other OTEL_ variables itself. An attribute is an id, a type, a status or
a number, never a value of a patient. Of an exception only the type is sent.
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

#: How long an ending process waits for its last spans to be sent.
FLUSH_SECONDS = 2.0


class Span(Protocol):
    """A piece of work that is being traced."""

    def set(self, **attributes: Value | None) -> None:
        """Add attributes; those that are None are left out."""


class _NoSpan:
    """Does nothing, as tracing is off."""

    def set(self, **attributes: Value | None) -> None:
        pass


class _RecordedSpan:
    """Writes to a span of OpenTelemetry."""

    def __init__(self, span: object) -> None:
        self._span = span

    def set(self, **attributes: Value | None) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(f"gateway.{name}", value)  # type: ignore[attr-defined]


@contextmanager
def span(name: str, **attributes: Value | None) -> Iterator[Span]:
    """Trace the block as a span of this name, with the current correlation id.

    The span does not become OpenTelemetry's current one: the block may be in a generator that is abandoned half-way,
    and the span would then stay current for unrelated work.
    """
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        yield _NoSpan()
        return
    from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - only if tracing is on

    traced = provider().get_tracer("gateway").start_span(name, kind=SpanKind.SERVER)
    recorded = _RecordedSpan(traced)
    recorded.set(correlation_id=correlation_id(), **attributes)
    try:
        yield recorded
    except Exception as error:
        traced.set_status(StatusCode.ERROR, type(error).__name__)  # not record_exception: it sends the text
        raise
    finally:
        traced.end()


@cache
def provider() -> "TracerProvider":
    """Return what creates this process's spans, and sends them in batches."""
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
    """Send the waiting spans. Give up after `patience` seconds, so that an absent collector does not delay an exit."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and provider.cache_info().currsize:
        sending = threading.Thread(target=provider().force_flush, name="flush-spans", daemon=True)
        sending.start()
        sending.join(patience)
