"""The page of docs/embedding.md behind nginx: it chats over whatever gets through, and says over what."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import BASE_PORT
from harness.certificate import make_certificate
from harness.concurrency import run_concurrently
from harness.nginx import MISSING, Nginx, bare_site, nginx, recommended_site
from harness.resilient_client import fresh_room
from harness.stack import READY_WITHIN, Stack
from harness.web_site import WebSite
from playwright.async_api import Browser, BrowserContext, Page, expect
from warren_local.home import repository
from warren_local.ports import HOST

WITHIN_MS = 30_000
"""A bound, not an expectation."""
PER_HOST = 6
"""Connections that a browser opens to one host over HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Base URLs that lead to the same gateways."""

    bare: str
    """nginx as it is."""
    chain: str
    """One nginx before another, both as they are."""
    recommended: str
    """nginx with the recommended lines."""


@pytest.fixture(scope="module")
def ways(stack: Stack, home: Path) -> Iterator[Ways]:
    program = nginx()
    if program is None:
        pytest.fail(MISSING, pytrace=False)
    bare, chain, recommended = range(BASE_PORT + 1_460, BASE_PORT + 1_463)
    one, other = stack.gateways
    certificate, key = make_certificate(home / "e2e-proxy")
    lines = recommended_site(recommended, [one, other], (certificate, key))
    sites = [bare_site(bare, one.url), bare_site(chain, f"http://{HOST}:{bare}"), lines]
    with Nginx(program, home / "e2e-proxy", bare, "\n".join(sites)) as running:
        running.wait_ready(READY_WITHIN)
        yield Ways(f"http://{HOST}:{bare}", f"http://{HOST}:{chain}", f"https://{HOST}:{recommended}")


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser that takes the certificate."""
    context = await browser.new_context(ignore_https_errors=True)
    yield context
    await context.close()


def ten_lines(gateway: str, options: str = "") -> str:
    """Return the page of the docs with this gateway, in a room of its own; its client is `chat` of the window."""
    docs = (repository() / "docs" / "embedding.md").read_text()
    page = re.findall(r"^```html\n(.*?)^```$", docs, re.MULTILINE | re.DOTALL)[0]
    for old, new in {
        "http://127.0.0.1:8000": gateway,
        '"lobby"': f'"{fresh_room("lobby")}"',
        'WarrenClient(await WarrenClient.guest("A visitor"))': (
            f'WarrenClient({{ ...(await WarrenClient.guest("A visitor")){options} }})'
        ),
        "chat.watch(": "window.chat = chat; chat.watch(",
    }.items():
        assert old in page
        page = page.replace(old, new)
    return str(page)


async def open_tabs(context: BrowserContext, site: WebSite, number: int, transport: str) -> list[Page]:
    """Open the page so often and wait until each tab is online, over this transport."""

    async def tab() -> Page:
        page = await context.new_page()
        await page.goto(f"{site.url}/chat.html")
        await page.wait_for_function(
            "transport => window.chat?.state === 'online' && chat.transport === transport", arg=transport,
            timeout=WITHIN_MS,
        )  # fmt: skip
        return page

    return await run_concurrently(*(tab() for _ in range(number)))


async def chat(speakers: list[Page], readers: list[Page]) -> None:
    """Have some say something, and see that everybody sees it once."""
    for number, page in enumerate(speakers):
        await page.fill("[name=text]", f"This is {number}")
        await page.press("[name=text]", "Enter")
    said = [f"This is {number}" for number in range(len(speakers))]
    for page in readers:
        for text in said:
            await expect(page.locator("li", has_text=text)).to_have_count(1, timeout=WITHIN_MS)


@pytest.mark.parametrize(("way", "transport"), [("bare", "sse"), ("chain", "polling"), ("recommended", "websocket")])
async def test_a_page_behind_nginx_chats(context: BrowserContext, ways: Ways, way: str, transport: str) -> None:
    async with WebSite(chat_html=ten_lines(getattr(ways, way))).running() as site:
        tabs = await open_tabs(context, site, 2, transport)
        await chat(tabs, tabs)


async def test_many_tabs_stream_over_http_2(context: BrowserContext, ways: Ways) -> None:
    async with WebSite(chat_html=ten_lines(ways.recommended, ', transports: ["sse"]')).running() as site:
        tabs = await open_tabs(context, site, PER_HOST + 1, "sse")
        await chat(tabs[-1:], tabs)
