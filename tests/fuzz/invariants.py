"""The invariants that hold however hostile the others are, checked from outside of the services."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
from harness.http_transport import http_client
from harness.observability import resident_mib
from harness.stack import Stack
from prometheus_client.parser import text_string_to_metric_families
from warren_local.service import Service

BLOCKED = 0.05
"""Seconds for which an event loop may be at work on one thing."""
GROWTH_MIB = 250.0
"""How much larger a process may be in the end: its caches and buffers are bounded by far less."""
WITHIN = 30.0
"""Seconds for a service to answer; a bound, not an expectation."""
LINE = 16_384
"""Bytes of a line in a log: whoever is wrong a thousand times in one message is told of once."""
KNOWN_ERRORS = frozenset(
    {"dead letter", "answer not understood", "answers not understood", "message failed", "events failed"}
)
"""What is logged as an error because another replica is at fault, or an operator is to look at dead letters."""
_LAG = "warren_event_loop_lag_seconds"


class InvariantChecker:
    """Looks at each service, and remembers how it was when it was last looked at."""

    def __init__(self, stack: Stack) -> None:
        self.services = stack.services
        self._read: dict[str, int] = {service.name: _size(service.log) for service in self.services}
        self._blocked: dict[str, float] = {}
        self._resident = {service.name: resident_mib(service) for service in self.services}

    async def look(self) -> list[str]:
        """Return what is wrong since the last look, a sentence each. What has ended is started again."""
        found = [line for service in self.services for line in self._log(service)]
        for service in self.services:
            if not service.running:
                found.append(f"{service.name} has ended")
                await asyncio.to_thread(_again, service)
                self._blocked.pop(service.name, None)
        async with http_client() as http:
            for service in self.services:
                found += await self._ask(http, service)
        return found

    def sizes(self) -> Mapping[str, float]:
        """Return how many MiB each has grown by."""
        return {service.name: resident_mib(service) - self._resident[service.name] for service in self.services}

    def grown(self) -> list[str]:
        """Return who is larger than bounded buffers explain."""
        return [f"{name} has grown by {by:.0f} MiB" for name, by in self.sizes().items() if by > GROWTH_MIB]

    def _log(self, service: Service) -> list[str]:
        """Return the lines that nobody may cause to be logged."""
        if _size(service.log) < self._read[service.name]:  # put aside as it started again
            self._read[service.name] = 0
        with service.log.open("rb") as file:
            file.seek(self._read[service.name])
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read[service.name] += len(whole)
        return [f"{service.name} logged {line}" for line in map(_bad, whole.splitlines()) if line]

    async def _ask(self, http: httpx.AsyncClient, service: Service) -> list[str]:
        found = []
        try:
            ready = await http.get(f"{service.url}/readyz", timeout=WITHIN)
            if ready.status_code != 200:
                found.append(f"{service.name} is not ready: {ready.text}")
            metrics = await http.get(f"{service.url}/metrics", timeout=WITHIN)
        except httpx.HTTPError as error:
            return [f"{service.name} does not answer: {error!r}"]
        blocked = _lags_above(metrics.text, BLOCKED)
        before = self._blocked.get(service.name)
        self._blocked[service.name] = blocked
        if before is not None and blocked > before:
            found.append(f"{service.name} was blocked for more than {BLOCKED:g} s")
        return found


def _again(service: Service) -> None:
    service.start()
    service.wait_ready(WITHIN)


def _size(log: Path) -> int:
    return log.stat().st_size


def _bad(line: bytes) -> str | None:
    """Return the line, as text, if it tells of a fault of Warren's."""
    text = line.decode(errors="replace")
    if len(line) > LINE:
        return f"a line of {len(line)} bytes: {text[:LINE]}"
    try:
        said = json.loads(text)
    except ValueError:
        return text  # what a process says that is dying
    bad = said["level"] in ("ERROR", "CRITICAL") or "exc_info" in said or "never retrieved" in said["message"]
    return text if bad and said["message"] not in KNOWN_ERRORS else None


def _lags_above(metrics: str, seconds: float) -> float:
    lines: Iterable[str] = (line for line in metrics.splitlines(keepends=True) if line.startswith(f"{_LAG}_bucket"))
    bounds = {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families("".join(lines))
        for sample in family.samples
    }
    return bounds.get("+Inf", 0.0) - bounds.get(f"{seconds}", 0.0)
