"""Traces across the broker: W3C context in AMQP headers, named by OpenTelemetry's conventions for messaging.

Costs next to nothing until a process has a tracer provider (`warren.ops.tracing`). Many commands may share an AMQP
message: its context is that of the first that is traced, and the others are linked.
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

CONTEXT = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"
_tracer = trace.get_tracer("warren")


def begin(name: str, *, command: str) -> Span:
    """Begin the span of the command of this id; whoever gets its answer ends it, with `finish`."""
    return _tracer.start_span(name, kind=SpanKind.SERVER, attributes={"warren.command": command})


def finish(span: Span, outcome: str, *, failed: bool) -> None:
    """End a command's span with what became of it."""
    span.set_attribute("warren.outcome", outcome)
    if failed:
        span.set_status(StatusCode.ERROR, outcome)
    span.end()


@contextmanager
def speaking_for(spans: Iterable[Span]) -> Iterator[None]:
    """Let what is published meanwhile belong to the first of these that is recorded, and be linked to the others."""
    recorded = [span for span in spans if span.is_recording()]
    if not recorded:
        yield
        return
    first, *others = recorded
    with trace.use_span(first, end_on_exit=False):
        for other in others:
            first.add_link(other.get_span_context())
        yield


@contextmanager
def sending(exchange: str, key: str, properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the properties of a message that is published meanwhile, with the context of what is being traced."""
    if not trace.get_current_span().is_recording():
        yield properties
        return
    attributes = {**_messaging("send", exchange), "messaging.rabbitmq.destination.routing_key": key}
    with _tracer.start_as_current_span(f"send {exchange}", kind=SpanKind.PRODUCER, attributes=attributes):
        headers = dict(properties.get("headers") or {})
        CONTEXT.inject(headers)
        yield {**properties, "headers": headers}


def receiving(source: str, headers: Mapping[str, Any] | None) -> Span:
    """Begin the span of a message that came; one that is not traced has a span that records nothing."""
    if not headers or TRACEPARENT not in headers:
        return INVALID_SPAN
    context = CONTEXT.extract({TRACEPARENT: str(headers[TRACEPARENT])})
    attributes = _messaging("process", source)
    return _tracer.start_span(f"process {source}", context, SpanKind.CONSUMER, attributes)


@contextmanager
def within(spans: Iterable[Span], name: str) -> Iterator[None]:
    """Show what is done meanwhile in each of these traces."""
    with ExitStack() as exits:
        for span in spans:
            if span.is_recording():
                inner = _tracer.start_span(name, trace.set_span_in_context(span))
                exits.callback(inner.end)
        yield


def _messaging(operation: str, destination: str) -> dict[str, str]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }
