"""Scripts that tests run in a page."""

from typing import Any

from playwright.async_api import Page

_RUN = "([script, arg]) => window.running = (0, eval)(`(${script})`)(arg)"


async def run_in_page(page: Page, script: str, arg: object = None) -> Any:
    """Call a function in the page and return what it comes to.

    The page holds on to the promise. Chromium now and then collects one that nobody but the debugger waits for, while
    the module that it waits for is being loaded.
    """
    return await page.evaluate(_RUN, [script, arg])
