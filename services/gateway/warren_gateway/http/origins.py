"""Pages that may not use this gateway: counted, and logged, since a browser tells the page nothing."""

import logging
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp
from warren.throttle import LogThrottle

from warren_gateway import metrics

log = logging.getLogger(__name__)

PREFLIGHT = 7_200
"""Seconds for which a browser need not ask again whether a page may; Chromium takes no more."""
SHOWN = 200
"""Characters of an origin in the log."""


class RefusedOrigins:
    """Tells of origins that are none of `WARREN_ORIGINS`, which `allowed` names."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed
        self._throttle = LogThrottle()

    def refused(self, origin: str) -> None:
        """Count a handshake or preflight of such an origin, and name it."""
        metrics.REFUSED.labels("origin").inc()
        fields = {"origin": origin[:SHOWN], "WARREN_ORIGINS": self._allowed}
        self._throttle.warn(log, fields["origin"], "a page was refused: its origin is none of WARREN_ORIGINS", **fields)


class Cors(CORSMiddleware):
    """Starlette's, which also logs the origins that it refuses."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], refused_origins: RefusedOrigins) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Retry-After"],
            max_age=PREFLIGHT,
        )
        self._refused_origins = refused_origins

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a page's browser, which asks before it sends anything that is more than a look."""
        origin = request_headers["origin"]
        if not self.is_allowed_origin(origin=origin):
            self._refused_origins.refused(origin)
        return super().preflight_response(request_headers)
