"""An OpenTelemetry collector in this process: takes spans over OTLP/HTTP and keeps them."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was exported; times in nanoseconds since 1970."""

    service: str
    name: str
    id: bytes
    parent: bytes
    start: int
    end: int
    attributes: dict[str, str] = field(compare=False)


class Collector:
    """What has come, by trace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._spans: defaultdict[bytes, list[Span]] = defaultdict(list)

    def take(self, body: bytes) -> None:
        """Take an export."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                for scope in resource.scope_spans:
                    for one in scope.spans:
                        attributes = {a.key: a.value.string_value for a in one.attributes}
                        times = one.start_time_unix_nano, one.end_time_unix_nano
                        found = Span(service, one.name, one.span_id, one.parent_span_id, *times, attributes)
                        self._spans[one.trace_id].append(found)

    def traces(self) -> list[list[Span]]:
        """Return what has come, each trace's spans in the order in which they began."""
        with self._lock:
            return [sorted(spans, key=lambda span: span.start) for spans in self._spans.values()]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
