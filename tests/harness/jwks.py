"""A token issuer's key server, which counts who asks and does what a test wants."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.tokens import SigningKey


class KeyServer:
    """Serves a JWK set at `url` and counts the fetches."""

    def __init__(self) -> None:
        self.fetches = 0
        self.broken = False
        """Whether it answers with 500."""
        self.held = threading.Event()
        """Answers wait for it while it is cleared."""
        self.held.set()
        self._body = b'{"keys":[]}'
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.fetches += 1
                server.held.wait(30)
                self.send_response(500 if server.broken else 200)
                self.send_header("Content-Length", str(len(server._body)))
                self.end_headers()
                self.wfile.write(server._body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def publish(self, *keys: SigningKey) -> None:
        """Serve these keys from now on."""
        self.serve([key.jwk for key in keys])

    def serve(self, jwks: Sequence[object]) -> None:
        """Serve these JWKs from now on, whatever they are."""
        self._body = json.dumps({"keys": list(jwks)}).encode()

    def serve_bytes(self, body: bytes) -> None:
        """Serve this from now on."""
        self._body = body

    @contextmanager
    def running(self) -> Iterator["KeyServer"]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.held.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()
