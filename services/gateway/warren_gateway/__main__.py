"""`python -m warren_gateway`."""

from warren.contract.frames import FRAME_LIMIT
from warren.ops.serve import serve
from warren.ops.settings import read_settings

from warren_gateway.app import create_app
from warren_gateway.config import Settings
from warren_gateway.http.listener import Listener
from warren_gateway.transports.websocket_handshake import Handshake
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
        http=Listener,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        ws=Handshake,
        ws_max_size=FRAME_LIMIT,
        ws_per_message_deflate=False,  # frames are encoded once for all connections, compression is by connection
        ws_ping_interval=None,  # the protocol has pings of its own, which JavaScript can send
        timeout_graceful_shutdown=SHUTDOWN_WITHIN,
    )


if __name__ == "__main__":
    main()
