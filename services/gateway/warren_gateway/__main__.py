"""`python -m warren_gateway`."""

import sys

from pydantic import ValidationError
from warren.contract.frames import FRAME_LIMIT
from warren.ops.serve import serve

from warren_gateway.app import create_app
from warren_gateway.config import Settings
from warren_gateway.listener import Listener
from warren_gateway.socket import Socket

SHUTDOWN_WITHIN = 5
"""Seconds for requests under way when the process is told to stop."""


def main() -> None:
    """Run one replica until SIGTERM."""
    settings = _settings()
    Socket.outbox_bytes = settings.outbox_bytes
    serve(
        "gateway",
        settings,
        create_app(settings),
        http=Listener,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        ws=Socket,
        ws_max_size=FRAME_LIMIT,
        ws_per_message_deflate=False,  # frames are encoded once for all connections, compression is by connection
        ws_ping_interval=None,  # the protocol has pings of its own, which JavaScript can send
        timeout_graceful_shutdown=SHUTDOWN_WITHIN,
    )


def _settings() -> Settings:
    """Read the settings; what is wrong with them is said in a line each, without values."""
    try:
        return Settings()
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            where = "".join(f"WARREN_{str(part).upper()}: " for part in found["loc"][:1])
            print(f"gateway: {where}{found['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
