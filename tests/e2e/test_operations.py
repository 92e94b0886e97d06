"""The operations page, watching the stack: it says first who is missing, and its figures move."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from conftest import BASE_PORT
from harness.resilient_client import bearer, fresh_room, make_room, sign_in
from harness.stack import READY_WITHIN, Stack
from httpx import AsyncClient
from playwright.async_api import Browser, Page, expect
from warren_local.service import Service

WITHIN = 30_000
"""Milliseconds; a bound, not an expectation."""
STORED = re.compile(r"stored +(?!0/s)[\d.]+/s")
"""What the figure's legend says while something is stored."""


@pytest.fixture(scope="module")
def operations(stack: Stack) -> Iterator[str]:
    """Start the page's server, and return its address."""
    kinds = {"gateway": stack.gateways, "persistence": stack.persistence, "presence": stack.presence}
    env = {"WARREN_TARGETS": ",".join(f"{kind}={one.url}" for kind, found in kinds.items() for one in found)}
    port, log = BASE_PORT + 1_000 + 492, stack.home / "logs" / "operations.log"
    with Service(
        "operations", "warren_ui.operations", env, port, log, health="/_stcore/health", home=stack.home
    ) as service:
        service.wait_ready(READY_WITHIN)
        yield service.url


@pytest.fixture
async def page(browser: Browser, operations: str) -> AsyncIterator[Page]:
    """Open the page; its console may not have complained in the end."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = await context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    await page.goto(operations)
    yield page
    await context.close()
    assert troubles == []


async def talk(http: AsyncClient, gateway: str) -> None:
    token, _ = await sign_in(http, gateway, "Ann")
    room = fresh_room("operations")
    await make_room(http, gateway, room, token)
    while True:
        answer = await http.post(f"{gateway}/v1/rooms/{room}/messages", headers=bearer(token), json={"text": "hello"})
        answer.raise_for_status()
        await asyncio.sleep(0.2)  # the pace of the talk


async def test_who_is_missing_is_said_and_figures_move(page: Page, stack: Stack, http: AsyncClient) -> None:
    alerts = page.get_by_test_id("stAlert")
    count = len(stack.services)
    await expect(alerts).to_contain_text(f"{count} of {count} replicas answer and are ready.", timeout=WITHIN)

    talking = asyncio.create_task(talk(http, stack.gateways[0].url))
    try:
        await expect(page.get_by_label("Answers to what people do", exact=True)).to_contain_text(STORED, timeout=WITHIN)
    finally:
        talking.cancel()

    silent = stack.presence[0]
    silent.pause()
    try:
        missing = f"presence 127.0.0.1:{silent.port}: no answer (timed out)"
        await expect(alerts).to_contain_text(missing, timeout=WITHIN)
    finally:
        silent.resume()
    await expect(alerts).to_contain_text(f"{count} of {count} replicas answer and are ready.", timeout=WITHIN)
