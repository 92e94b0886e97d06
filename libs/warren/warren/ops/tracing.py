"""OpenTelemetry traces, where the standard variables name a collector (OTEL_EXPORTER_OTLP_ENDPOINT and its like)."""

import os

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def configure_tracing(service: str, replica: str) -> None:
    """Send this process's spans to the collector, if there is one; how many, OTEL_TRACES_SAMPLER says."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    # Half a second of imports that nobody without a collector should wait for.
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.name": f"warren-{service}", "service.instance.id": replica})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
