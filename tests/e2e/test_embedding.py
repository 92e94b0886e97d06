"""The page that docs/embedding.md shows, word for word, in a site of its own."""

import re
from pathlib import Path

from harness.stack import Stack
from harness.web_site import WebSite
from playwright.async_api import Browser, Page, expect

DOCS = Path(__file__).parents[2] / "docs" / "embedding.md"
DEFAULT_GATEWAY = "http://127.0.0.1:8000"


def the_page(gateway: str) -> str:
    """Return the page of the docs; the only change is where the gateway is."""
    found = re.search(r"```html\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    assert found[1].count(DEFAULT_GATEWAY) == 1
    return found[1].replace(DEFAULT_GATEWAY, gateway)


async def test_the_page_of_the_docs_chats(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    """In one window from another site, in one from the disk, each through a gateway of its own."""
    here, there = stack.gateways
    saved = tmp_path / "chat.html"
    saved.write_text(the_page(there.url))
    async with WebSite(chat_html=the_page(here.url)).running() as site:
        pages: list[Page] = []
        troubles: list[str] = []
        for address in (f"{site.url}/chat.html", saved.as_uri()):
            page = await (await browser.new_context()).new_page()
            page.on("pageerror", lambda error: troubles.append(str(error)))
            await page.goto(address)
            pages.append(page)
        lines = [page.get_by_role("listitem") for page in pages]
        said = []
        for turn in range(2):
            for page in pages:
                said.append(f"A visitor: {turn} <b>from</b> {page.url}")
                await page.get_by_role("textbox").fill(said[-1].partition(": ")[2])
                await page.get_by_role("textbox").press("Enter")
                for line in lines:
                    await expect(line).to_have_text(said)
        await pages[0].reload()
        await expect(lines[0]).to_have_text(said)
        for page in pages:
            await page.context.close()
        assert troubles == []
