"""Finds the replicas, and reads what each counts, at `/metrics`."""

import math
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from warren_ui.operations.figures import METRICS

TIMEOUT = 1.5
"""Seconds to connect, and seconds for all of an answer."""
MOST_BYTES = 2 * 1024 * 1024
"""Of an answer: a gateway's has 10 kB, RabbitMQ's with a thousand bots' queues less than this."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by the sample's name and its labels, sorted."""


class NoAnswer(Exception):
    """A replica did not answer as it should; the text says how."""


@dataclass(frozen=True, slots=True)
class Target:
    """A service, and the URL of its metrics; whatever addresses the URL's host has are replicas."""

    service: str
    url: str


@dataclass(frozen=True, slots=True)
class Replica:
    """One of those that share a service's name."""

    service: str
    url: str
    found: bool = True
    """Whether the name has an address."""

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"{self.service} {urlsplit(self.url).netloc}"


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a replica said, of what is drawn. `metrics`: the metrics that it has, also where nothing was counted yet."""

    samples: Samples
    metrics: frozenset[str]


def replicas(targets: Iterable[Target]) -> Iterator[Replica]:
    """Yield who is behind the targets now. A name without an address counts as one that does not answer."""
    for target in targets:
        parts = urlsplit(target.url)
        port = parts.port or 80
        name = parts.hostname or ""
        hosts = addresses(name, port)
        for host in hosts or [name]:
            yield Replica(target.service, parts._replace(netloc=f"{host}:{port}").geturl(), bool(hosts))


def addresses(host: str, port: int) -> list[str]:
    """Return a name's addresses as they stand in a URL: its IPv4 ones, or if it has none its IPv6 ones."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    four = {str(info[4][0]) for info in found if info[0] == socket.AF_INET}
    return sorted(four) or sorted({f"[{info[4][0]}]" for info in found if info[0] == socket.AF_INET6})


def client() -> httpx.Client:
    """Return what replicas are asked with: no proxy, and nothing that unpacks to more than was sent."""
    return httpx.Client(timeout=TIMEOUT, trust_env=False, headers={"Accept-Encoding": "identity"})


def read(http: httpx.Client, replica: Replica) -> Scrape:
    """Return what a replica counts. Raises NoAnswer."""
    if not replica.found:
        raise NoAnswer("its name has no address")
    try:
        return _parse(_body(http, replica.url).decode())
    except httpx.TimeoutException:
        raise NoAnswer("timed out") from None
    except httpx.ConnectError:
        raise NoAnswer("no connection") from None
    except httpx.HTTPError:
        raise NoAnswer("the connection broke") from None
    except (ValueError, LookupError):
        raise NoAnswer("what it answers are no metrics") from None


def _body(http: httpx.Client, url: str) -> bytes:
    body, until = bytearray(), time.monotonic() + TIMEOUT
    with http.stream("GET", url) as response:
        if response.status_code != httpx.codes.OK:
            raise NoAnswer(f"HTTP {response.status_code}")
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                raise NoAnswer(f"its answer is longer than {MOST_BYTES >> 20} MiB")
            if time.monotonic() > until:
                raise NoAnswer("timed out")
    return bytes(body)


def _parse(text: str) -> Scrape:
    samples: Samples = {}
    told = set()
    for family in text_string_to_metric_families(text):
        name = family.name if family.name in METRICS else f"{family.name}_total"  # the parser takes it off counters
        if name in METRICS:
            told.add(name)
            samples |= {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for sample in family.samples
                if _sound(sample)
            }
    if not told:
        raise NoAnswer("what it answers has none of Warren's metrics")
    return Scrape(samples, frozenset(told))


def _sound(sample: Sample) -> bool:
    return math.isfinite(sample.value) and not math.isnan(float(sample.labels.get("le", 0)))
