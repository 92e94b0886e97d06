"""A stack with the UI, a browser, and people in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from conftest import BASE_PORT
from e2e.browser import FLAGS, MISSING, chromium
from e2e.person import Person
from harness.stack import READY_WITHIN, Stack
from playwright.async_api import Browser, async_playwright
from warren_local.service import Service

ROOMS_PER_CONNECTION = 6
"""Few, so that a test can go above it."""

Arrive = Callable[..., Awaitable[Person]]


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack of its own, since this one is not spared."""
    env = {"WARREN_ROOMS_PER_CONNECTION": str(ROOMS_PER_CONNECTION)}
    stack = Stack(home / "e2e", BASE_PORT + 1_000, presence=1, env=env)
    with stack.running():
        yield stack


@pytest.fixture(scope="session")
def ui(stack: Stack) -> Iterator[str]:
    """Start the UI and return its address."""
    env = {"WARREN_GATEWAYS": ",".join(gateway.url for gateway in stack.gateways)}
    port = BASE_PORT + 1_000 + 490
    log = stack.home / "logs" / "ui.log"
    with Service("ui", "warren_ui", env, port, log, health="/_stcore/health", home=stack.home) as service:
        service.wait_ready(READY_WITHIN)
        yield service.url


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Start the machine's Chromium, without a window."""
    path = chromium()
    if path is None:
        pytest.fail(MISSING, pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def arrive(browser: Browser, ui: str) -> AsyncIterator[Arrive]:
    """Bring people to the page, each in a browser profile of their own; no console may have complained in the end.

    With `own_clock` their time can be moved on.
    """
    people: list[Person] = []

    async def arrive(name: str, *, own_clock: bool = False, **options: object) -> Person:
        settings: dict[str, object] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
        context = await browser.new_context(**settings)  # type: ignore[arg-type]
        if own_clock:
            await context.clock.install()
        person = await Person.arrive(context, ui)
        people.append(person)
        await person.sign_in(name)
        return person

    yield arrive
    await asyncio.gather(*(person.context.close() for person in people))
    assert [trouble for person in people for trouble in person.troubles] == []
