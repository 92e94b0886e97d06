"""What an operator sees of a process: metrics, memory, open connections, logs."""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from warren_local.service import Service

from harness.transport import WITHIN

POLL = 0.05
"""Seconds between two looks."""


async def metric(url: str, name: str, **labels: str) -> float:
    """Return a metric's value, the sum over the labels that are not given; 0 if there is none."""
    async with httpx.AsyncClient(timeout=30, verify=False) as http:
        lines = (await http.get(f"{url}/metrics")).text.splitlines(keepends=True)
    text = "".join(line for line in lines if line.startswith(name))  # to parse it all takes longer than to serve it
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(
        sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
    )  # fmt: skip


def resident_mib(service: Service) -> float:
    """Return the resident memory of a running service in MiB."""
    return float(psutil.Process(service.pid).memory_info().rss) / 2**20


def connected(service: Service, port: int) -> bool:
    """Whether the service holds a connection whose other end is on this local port."""
    return any(found.raddr and found.raddr.port == port for found in psutil.Process(service.pid).net_connections("tcp"))


def log_lines(log: Path, containing: str) -> list[dict[str, Any]]:
    """Return the structured log lines in which a text occurs."""
    return [json.loads(line) for line in log.read_text(errors="replace").splitlines() if containing in line]


def errors(services: Iterable[Service]) -> list[dict[str, Any]]:
    """Return what services have logged as errors."""
    return [line for service in services for line in log_lines(service.log, '"ERROR"')]


def until(condition: Callable[[], bool]) -> None:
    """Return when it holds, of what there is nothing to wait on: a log file, another's database."""
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(POLL)
