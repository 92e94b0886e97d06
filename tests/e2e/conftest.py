"""A stack with the UI, a browser, and people in it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from conftest import BASE_PORT
from harness.concurrency import run_concurrently
from harness.resilient_client import fresh_room
from harness.stack import READY_WITHIN, Stack
from httpx import AsyncClient
from playwright.async_api import Browser, async_playwright
from warren_local.service import Service
from warren_ui.session import COOKIE

from e2e.browser import FLAGS, MISSING, chromium
from e2e.chat_page import ChatPage
from e2e.component_page import component_page
from e2e.registry import Guest, Registry

ROOMS_PER_CONNECTION = 6
"""Few, so that a test can go above it."""
WATCHER = "watcher"
"""A bot that may read every room, which is told to the members of each."""

Arrive = Callable[..., Awaitable[ChatPage]]
Meet = Callable[..., Awaitable[tuple[list[ChatPage], str]]]


@pytest.fixture(scope="package")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack of its own, since this one is not spared."""
    env = {"WARREN_ROOMS_PER_CONNECTION": str(ROOMS_PER_CONNECTION), "WARREN_READ_EVERYTHING": WATCHER}
    stack = Stack(home / "e2e", BASE_PORT + 1_000, presence=1, env=env)
    with stack.running():
        yield stack


@pytest.fixture(scope="package")
def ui(stack: Stack) -> Iterator[str]:
    """Start the UI and return its address."""
    env = {"WARREN_GATEWAYS": ",".join(gateway.url for gateway in stack.gateways)}
    port = BASE_PORT + 1_000 + 490
    log = stack.home / "logs" / "ui.log"
    with Service("ui", "warren_ui", env, port, log, health="/_stcore/health", home=stack.home) as service:
        service.wait_ready(READY_WITHIN)
        yield service.url


@pytest.fixture(scope="package")
async def component(stack: Stack) -> AsyncIterator[str]:
    """Serve the chat component by itself and return its address."""
    async with component_page([gateway.url for gateway in stack.gateways]).running() as site:
        yield site.url


@pytest.fixture
def page_url(ui: str) -> str:
    """Return where people arrive: at the page; files that are about what happens inside the chat have that alone."""
    return ui


@pytest.fixture(scope="package")
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
async def arrive(browser: Browser, page_url: str) -> AsyncIterator[Arrive]:
    """Bring people to the page, each in a browser profile of their own; no console may have complained in the end.

    A name is entered in the form; a guest has signed in already. With `own_clock` their time can be moved on; `script`
    runs before the page does; `at` is another page.
    """
    people: list[ChatPage] = []

    async def arrive(
        who: str | Guest, *, own_clock: bool = False, script: str = "", at: str = page_url, **options: object
    ) -> ChatPage:
        settings: dict[str, object] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
        context = await browser.new_context(**settings)  # type: ignore[arg-type]
        if own_clock:
            await context.clock.install()
        if script:
            await context.add_init_script(script)
        if isinstance(who, Guest):
            await context.add_cookies([{"name": COOKIE, "value": who.token, "url": at, "sameSite": "Strict"}])
        person = await ChatPage.arrive(context, at)
        people.append(person)
        await (person.is_online() if isinstance(who, Guest) else person.sign_in(who))
        return person

    yield arrive
    await run_concurrently(*(person.context.close() for person in people))
    assert [trouble for person in people for trouble in person.troubles] == []


@pytest.fixture
def registry(http: AsyncClient, gateways: list[str]) -> Registry:
    """Return what makes guests and rooms without a page."""
    return Registry(http, gateways[0])


@pytest.fixture
async def meet(arrive: Arrive, registry: Registry) -> Meet:
    """Bring people to the page who are in a room together, the first as its owner; return them and the room.

    How one signs in, makes a room and gets into it at the page have tests of their own.
    """

    async def meet(*names: str, kind: str = "public", **options: object) -> tuple[list[ChatPage], str]:
        (owner, *others), room = await registry.sign_in(*names), fresh_room("met")
        await registry.found(room, owner, *others, kind=kind)
        people = await run_concurrently(*(arrive(guest, **options) for guest in (owner, *others)))
        for person in people:
            await person.is_in(room)
        return people, room

    return meet
