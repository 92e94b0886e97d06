"""Into the browser's client: gateways that lie to it, over every transport, and become good ones in the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import warren_client
from e2e.browser import FLAGS, MISSING, chromium
from fuzz.hostile_gateway import HostileGateway, Play
from fuzz.target import Case
from playwright.async_api import Browser, Error, Page, async_playwright

LIES_FOR = 2.0
"""Seconds for which a server lies."""
WITHIN_MS = 30_000
"""For the client to be well again; a bound, not an expectation."""
ASKS = (40, 12)
"""Requests and connections of a client: at once, and a second, for as long as it is lied to."""
SAYS = (200, 60)
"""Frames of a client, likewise."""
TRANSPORTS = (["websocket", "sse", "polling"], ["websocket"], ["sse"], ["polling"], ["sse", "polling"])


class Client:
    """Clients in pages of a browser, one each, at the same time."""

    name = "client"
    per_second = 1_000.0
    at_once = 12

    def __init__(self, pages: Sequence[Page], gateway: HostileGateway) -> None:
        self._gateway = gateway
        self._free: asyncio.Queue[Page] = asyncio.Queue(len(pages))
        self._uncaught: dict[Page, list[str]] = {page: [] for page in pages}
        for page in pages:
            page.on("pageerror", partial(self._caught, page))
            self._free.put_nowait(page)

    def show(self, case: Case) -> str:
        """Return over what it is lied to: the lies follow from what the client says."""
        return f"transports {case.rng.choice(TRANSPORTS)}"

    async def try_(self, case: Case) -> list[str]:
        """Lie to a client for a while, then be good to it; return what it did wrong."""
        page = await self._free.get()
        try:
            found = await self._tried(case, page)
            return [*found, *(f"uncaught in the page: {error}" for error in self._uncaught[page])]
        finally:
            self._uncaught[page].clear()
            self._free.put_nowait(page)

    async def _tried(self, case: Case, page: Page) -> list[str]:
        rng = case.rng
        transports, number = rng.choice(TRANSPORTS), str(case.number)
        play = self._gateway.plays[number] = Play(rng)
        await page.evaluate("([number, transports]) => begin(number, transports)", [number, transports])
        await asyncio.sleep(LIES_FOR)  # not a wait for something: for so long it is lied to
        play.turn_good()
        asks, says = ASKS[0] + ASKS[1] * LIES_FOR, SAYS[0] + SAYS[1] * LIES_FOR
        found = [f"asked {play.asked} times in {LIES_FOR} s"] if play.asked > asks else []
        found += [f"said {play.said} frames in {LIES_FOR} s"] if play.said > says else []
        async with asyncio.timeout(2 * WITHIN_MS / 1_000):
            trouble = await page.evaluate("([number, within]) => finish(number, within)", [number, WITHIN_MS])
        found += [f"not well again: {trouble}"] if trouble else []
        del self._gateway.plays[number]
        return found

    def _caught(self, page: Page, error: Error) -> None:
        self._uncaught[page].append(f"{error.message}\n{error.stack}")


@asynccontextmanager
async def clients(browser: Browser) -> AsyncIterator[Client]:
    """Open pages for clients, served by a hostile gateway."""
    files = {f"/{file.name}": file.read_text() for file in Path(warren_client.__file__).parent.glob("*.js")}
    files["/page.js"] = Path(__file__).with_name("page.js").read_text()
    files["/"] = '<!doctype html><script type="module" src="/page.js"></script>'
    async with HostileGateway(files).running() as gateway:
        # A context each, as people have browsers: one opens six connections to a host, and six streams hold them all.
        pages = [await (await browser.new_context()).new_page() for _ in range(Client.at_once)]
        for page in pages:
            await page.goto(gateway.url)
            await page.wait_for_function("() => globalThis.finish")
        yield Client(pages, gateway)
        for page in pages:
            await page.context.close()


@asynccontextmanager
async def own_browser() -> AsyncIterator[Browser]:
    """Start the machine's Chromium. Raises LookupError where there is none."""
    path = chromium()
    if path is None:
        raise LookupError(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        await browser.close()
