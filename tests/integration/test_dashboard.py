"""Grafana's dashboard, asked of a Prometheus that watches a real stack: what it asks is understood, and has answers."""

import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conftest import BASE_PORT
from harness.bots import until
from harness.prometheus import MISSING, Prometheus, prometheus
from harness.scripted_client import ScriptedSocketClient, connect
from harness.stack import Stack
from integration.conftest import Place
from warren_local.ports import HOST
from warren_ui.operations.grafana import dashboard

PROGRAM = prometheus()
if PROGRAM is None:
    pytest.skip(MISSING.replace("ALERT", "QUERY OF THE DASHBOARD"), allow_module_level=True)

WINDOW = "5s"
NOT_HERE = ("warren_bot_", "rabbitmq_")
"""Nobody in this stack counts these."""
MAY_BE_EMPTY = {
    "warren_connections_closed_total", "warren_requests_refused_total", "warren_limited_total",
    "warren_queries_dropped_total", "warren_presence_frames_total", "warren_live_messages_refused_total",
    "warren_failures_total",
}  # fmt: skip
"""Labelled by what may not have happened yet."""
EXPRESSIONS: dict[str, str] = {
    f"{panel['title']} ({target['refId']})": target["expr"].replace("$__rate_interval", WINDOW)
    for panel in dashboard()["panels"]
    for target in panel.get("targets", [])
}


@pytest.fixture(scope="module")
def watching(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Have Prometheus watch the stack of all tests."""
    assert PROGRAM is not None
    services = {"gateway": stack.gateways, "persistence": stack.persistence, "presence": stack.presence}
    targets = {job: [f"{HOST}:{service.port}" for service in found] for job, found in services.items()}
    home: Path = tmp_path_factory.mktemp("dashboard")
    with Prometheus(PROGRAM, home, BASE_PORT + 470, targets) as process:
        process.wait_ready()
        yield process


@pytest.fixture
async def ann(place: Place, gateways: list[str]) -> AsyncIterator[ScriptedSocketClient]:
    async with connect(gateways[0], place.ann.token) as client:
        await client.join(place.room)
        yield client


def may_be_empty(expression: str) -> bool:
    return any(name in expression for name in (*NOT_HERE, *MAY_BE_EMPTY))


async def test_every_question_is_understood_and_has_an_answer(
    watching: Prometheus, ann: ScriptedSocketClient, place: Place
) -> None:
    waiting = dict(EXPRESSIONS)

    async def answered() -> bool:
        await ann.send(place.room, "hello")
        for name, expression in list(waiting.items()):
            found = await watching.ask(expression)  # fails if it is not understood
            if may_be_empty(expression) or any(math.isfinite(value) for _, value in found):
                del waiting[name]
        return not waiting

    try:
        await until(answered)
    except TimeoutError:
        pytest.fail(f"no answer: {waiting}")
    ((_, replicas),) = await watching.ask('sum(up{job=~"gateway|persistence|presence"})')
    assert replicas == 6
