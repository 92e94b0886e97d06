"""From `send` to display: a part of `./dev bench transports`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from e2e.browser import FLAGS
from harness.resilient_client import fresh_room
from harness.web_site import WebSite
from playwright.async_api import Browser, async_playwright

from benchmarks.ground import Ground
from benchmarks.lanes import PAGE, BrowserLane, Lane, RawLane, latencies
from benchmarks.readers import TRANSPORTS
from benchmarks.table import Table, quantiles

QUIET = 5.0
"""Messages a second of each lane, all lanes in turn."""
BUSY = 50.0
"""Messages a second in one room, over one transport."""


async def measure(ground: Ground, chromium: str, messages: int) -> Table:
    """Time so many messages of each lane, at a quiet rate and at a busy one."""
    table = Table(f"From send to display, ms: p50 / p99 of {messages} messages")
    async with AsyncExitStack() as exits:
        site = await exits.enter_async_context(WebSite(index_html=PAGE).running())
        browser = await exits.enter_async_context(_browser(chromium))
        lanes = {name: await _pair(exits, ground, name, browser, site) for name in TRANSPORTS}
        each = [(name, lane) for name, pair in lanes.items() for lane in pair]
        quiet = await latencies([lane for _, lane in each], QUIET, messages)
        for (name, lane), took in zip(each, quiet, strict=True):
            table.put(f"{lane.name}, {QUIET:g} a second", name, quantiles(took))
        for name, pair in lanes.items():
            for lane, took in zip(pair, await latencies(pair, BUSY / len(pair), messages), strict=True):
                table.put(f"{lane.name}, {BUSY:g} a second in the room", name, quantiles(took))
    return table


async def _pair(exits: AsyncExitStack, ground: Ground, transport: str, browser: Browser, site: WebSite) -> list[Lane]:
    """Return a lane without and one with a browser, both in the same room."""
    room, users = fresh_room("lane"), [f"lane{index}" for index in range(4)]
    await ground.fill([room], users)
    raw = RawLane(ground.url(transport), transport, room, users[:2])
    exits.callback(raw.close)
    await raw.connect()
    pages = BrowserLane(browser, f"{site.url}/index.html", ground.url(transport), transport, room)
    await pages.connect(users[2:])
    return [raw, pages]


@asynccontextmanager
async def _browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        await browser.close()
