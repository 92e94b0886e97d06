"""`/healthz`, `/readyz` and `/metrics`, the same on every service."""

import math
from collections.abc import Callable, Mapping
from functools import partial

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

Check = Callable[[], bool | None]
"""Whether something is there; None if that was not tried, because something else is missing."""
Checks = Mapping[str, Check]
Results = Mapping[str, bool | None]
"""What each check said."""
NOT_TRIED = "not tried"
READY = Gauge("warren_ready", "1 while the check holds, 0 while something is missing, NaN if not tried.", ["check"])


def _all_hold(results: Results) -> bool:
    return all(results.values())


def health_router(checks: Checks, ready: Callable[[Results], bool] = _all_hold) -> APIRouter:
    """Return the routes; the service is ready while every check holds, or when `ready` says so of what they say.

    Liveness asks nothing of broker or database: restarting a process does not bring those back.
    """
    router = APIRouter(tags=["operations"])
    for name, check in checks.items():
        READY.labels(name).set_function(partial(_value, check))

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer 200 while the process lives."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "Something that the service needs is missing."}})
    async def readyz(response: Response) -> dict[str, bool | str]:
        """Answer 200 when the service is to be used, else 503; and which check failed, or was not tried for another."""
        results = {name: check() for name, check in checks.items()}
        if not ready(results):
            response.status_code = 503
        return {name: NOT_TRIED if result is None else result for name, result in results.items()}

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _value(check: Check) -> float:
    result = check()
    return math.nan if result is None else float(result)
