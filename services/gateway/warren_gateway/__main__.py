"""`python -m warren_gateway`."""

from functools import partial

from warren.ops.serve import serve
from warren.ops.settings import read_settings

from warren_gateway.app import create_app
from warren_gateway.config import Settings
from warren_gateway.http.listener import Listener
from warren_gateway.transports.websocket_protocol import Socket

SHUTDOWN_WITHIN = 5
"""Seconds for requests under way when the process is told to stop."""


def main() -> None:
    """Run one replica until SIGTERM."""
    settings = read_settings("gateway", Settings)
    Socket.outbox_bytes = settings.outbox_bytes
    Socket.frames_rate = settings.rate("frames")
    app = create_app(settings)
    serve(
        "gateway",
        settings,
        app,
        app.state.gateway.drain,
        app.state.gateway.gone,
        http=partial(Listener, upgrades=app.state.handshakes),
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        ws="none",  # the listener has connections taken over by sockets of our own
        timeout_graceful_shutdown=SHUTDOWN_WITHIN,
    )


if __name__ == "__main__":
    main()
