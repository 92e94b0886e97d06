"""From `send` to display: speakers and readers over one transport, raw or in a browser, with all times on one clock.

That clock is the machine's, in milliseconds since 1970; in a page `performance.now()` is set by it once.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import quote

from harness.tokens import token
from playwright.async_api import Browser, Page

from benchmarks.audience import Audience
from benchmarks.readers import TRANSPORTS, gather
from benchmarks.speakers import speaker

LENGTH = 200
"""Characters of a message."""
SEEN_WITHIN = 30.0
"""Seconds from the last send until everything must have been shown."""
_SERIAL = itertools.count(1)

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>One reader, one speaker</title>
<ol id="log"></ol>
<script type="module">
  const { gateway, token, room, transport } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const { WarrenClient } = await import(`${gateway}/client.js`);
  // Date.now() has whole milliseconds only: a moment at which it goes on is exact.
  const ticked = () => {
    const start = Date.now();
    while (Date.now() === start);
    return start + 1 - performance.now();
  };
  const ahead = Math.max(...Array.from({ length: 9 }, ticked));
  const clock = () => performance.now() + ahead;
  const seen = {};
  const client = new WarrenClient({ gateways: [gateway], token, transports: [transport] });
  client.addEventListener("events", ({ detail }) => {
    for (const { type, text } of detail.events) {
      if (type !== "message") continue;
      log.append(Object.assign(document.createElement("li"), { textContent: text }));
      seen[text] = clock();
    }
  });
  client.follow([room]);
  client.start();
  const talk = (texts, begin, every) => new Promise((resolve) => {
    const sent = {};
    texts.forEach((text, index) => setTimeout(() => {
      sent[text] = clock();
      client.send(room, text);
      if (index === texts.length - 1) resolve(sent);
    }, begin + index * every - clock()));
  });
  window.bench = { client, room, seen, talk };
</script>
"""

Times = Mapping[str, float]
"""Milliseconds since 1970 by text."""


def clock() -> float:
    """Return the milliseconds since 1970."""
    return time.time() * 1_000


class Lane(Protocol):
    """Somebody who says something, and somebody else who is shown it."""

    name: str

    async def talk(self, texts: Sequence[str], begin: float, every: float) -> Times:
        """Say these texts, the first at `begin`, one `every` so many milliseconds; return when each was said."""

    async def seen(self, texts: Sequence[str]) -> Times:
        """Return when each of these was shown."""


class RawLane:
    """Without a browser."""

    name = "raw"

    def __init__(self, gateway: str, transport: str, room: str, users: Sequence[str]) -> None:
        self._seen: dict[str, float] = {}
        self._room = room
        self._audience = Audience(shown=self._take)
        self._reader = TRANSPORTS[transport](gateway, room, users[0], self._audience)
        self._speaker = speaker(gateway, transport, room, users[1])

    async def connect(self) -> None:
        """Connect both."""
        await gather(self._audience, [self._reader])
        await self._speaker.connect()

    def close(self) -> None:
        """Drop both."""
        self._audience.over = True
        self._reader.close()
        self._speaker.close()

    async def talk(self, texts: Sequence[str], begin: float, every: float) -> Times:
        """Say these texts."""
        sent = {}
        async with asyncio.TaskGroup() as tasks:
            for index, text in enumerate(texts):
                await asyncio.sleep((begin + index * every - clock()) / 1_000)
                sent[text] = clock()
                tasks.create_task(self._speaker.say(text))
        return sent

    async def seen(self, texts: Sequence[str]) -> Times:
        """Return when each was read."""
        await self._audience.until(lambda: all(text in self._seen for text in texts), SEEN_WITHIN)
        return self._seen

    def _take(self, text: str) -> None:
        self._seen[text] = clock()


class BrowserLane:
    """Two pages that use /client.js, and are kept to one transport. Shown is what is in the DOM."""

    name = "browser"

    def __init__(self, browser: Browser, site: str, gateway: str, transport: str, room: str) -> None:
        self._browser = browser
        self._site = site
        self._options = {"gateway": gateway, "transport": transport, "room": room}
        self._pages: list[Page] = []

    async def connect(self, users: Sequence[str]) -> None:
        """Open a page for the reader and one for the speaker, each in a profile of its own."""
        for user in users:
            page = await (await self._browser.new_context()).new_page()
            options = quote(json.dumps({**self._options, "token": token(user)}))
            await page.goto(f"{self._site}#{options}")
            await page.wait_for_function("window.bench?.client.isJoined(bench.room)", timeout=SEEN_WITHIN * 1_000)
            self._pages.append(page)

    async def talk(self, texts: Sequence[str], begin: float, every: float) -> Times:
        """Say these texts."""
        found = await self._pages[1].evaluate("given => bench.talk(...given)", [list(texts), begin, every])
        return {str(text): float(at) for text, at in found.items()}

    async def seen(self, texts: Sequence[str]) -> Times:
        """Return when each was in the DOM."""
        await self._pages[0].wait_for_function(
            "texts => texts.every((text) => text in bench.seen)", arg=list(texts), timeout=SEEN_WITHIN * 1_000
        )
        found = await self._pages[0].evaluate("bench.seen")
        return {str(text): float(at) for text, at in found.items()}


async def latencies(lanes: Sequence[Lane], rate: float, messages: int) -> list[list[float]]:
    """Have each lane say so many messages at `rate` a second, in turn; return the milliseconds they took, by lane."""
    every = 1_000 / rate
    begin = clock() + 500  # until then everybody has been told
    said = [[f"{next(_SERIAL)} ".ljust(LENGTH, "x") for _ in range(messages)] for _ in lanes]

    async def one(number: int, lane: Lane) -> list[float]:
        texts = said[number]
        sent = await lane.talk(texts, begin + every * number / len(lanes), every)
        seen = await lane.seen(texts)
        return [seen[text] - sent[text] for text in texts]

    return list(await asyncio.gather(*(one(number, lane) for number, lane in enumerate(lanes))))
