"""The chat goes on over what the network lets through, in Chromium, through a proxy that carries what it likes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import warren_client
from harness.concurrency import run_concurrently
from harness.http_proxy import HttpProxy, Kind
from harness.resilient_client import bearer, fresh_room, join_room, make_room
from harness.stack import Stack
from harness.tokens import token
from harness.web_site import WebSite
from httpx import AsyncClient
from playwright.async_api import Browser, BrowserContext, Request, expect
from warren_ui.component import chat_script

from e2e.chat_page import WITHIN_MS, ChatPage

_CHAT = """<!doctype html><title>Chat</title><div id="host"></div><script type="module">
    import mount from "/chat.js";
    window.mount = (data) => mount({ data, parentElement: host, setTriggerValue: () => {} });
</script>"""
"""The chat component by itself; `mount` does what Streamlit does."""
_BARE = """<!doctype html><title>Client</title><script type="module">
    import { WarrenClient } from "/client.js";
    window.connect = (options) => {
        const client = new WarrenClient(options);
        const seen = { events: [], states: [], client };
        client.addEventListener("events", ({ detail }) => seen.events.push(...detail.events));
        client.addEventListener("state", ({ detail: { state, transport, code } }) => {
            seen.states.push(transport ?? `${state} ${code}`);
        });
        client.start();
        return seen;
    };
</script>"""
"""A page that hosts the client's file and writes down what it says."""
DOWN: list[tuple[list[Kind], str]] = [(["websocket"], "sse"), (["websocket", "sse"], "polling")]
UP: list[tuple[list[Kind], str]] = [(["websocket"], "sse"), ([], "websocket")]
"""What the proxy refuses, and what is used then."""
OUTAGE_SECONDS = 20.0
TYPING_SECONDS = 0.5
PACE = 0.05
"""Seconds between two messages of somebody who talks."""
MOST = 400
"""Fewer than the page lets go of again."""
TOKEN_SECONDS = 8


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[WebSite]:
    site = WebSite()
    site.pages = {
        "/": _CHAT, "/chat.js": chat_script(), "/bare": _BARE, "/client.js": warren_client.script()
    }  # fmt: skip
    async with site.running():
        yield site


@pytest.fixture
async def proxy(stack: Stack) -> AsyncIterator[HttpProxy]:
    async with HttpProxy(stack.gateways[0].port).running() as proxy:
        yield proxy


@pytest.fixture
async def room(stack: Stack, http: AsyncClient) -> str:
    room = fresh_room("ways")
    await make_room(http, stack.gateways[1].url, room, token("ben"))
    return room


class Ben:
    """Somebody else in the room, who says numbers through another gateway."""

    def __init__(self, http: AsyncClient, gateway: str, room: str) -> None:
        self.said: list[str] = []
        self._http = http
        self._url = f"{gateway}/v1/rooms/{room}/messages"

    async def say(self, count: int = 1) -> None:
        for _ in range(count):
            text = f"{len(self.said) + 1}"
            answer = await self._http.post(self._url, json={"text": text}, headers=bearer(token("ben")))
            answer.raise_for_status()
            self.said.append(text)

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Have him say one after another meanwhile."""
        ended = asyncio.Event()

        async def talk() -> None:
            while not ended.is_set() and len(self.said) < MOST:
                await self.say()
                await asyncio.sleep(PACE)

        talking = asyncio.create_task(talk())
        try:
            yield
        finally:
            ended.set()
            await talking


@pytest.fixture
def ben(stack: Stack, http: AsyncClient, room: str) -> Ben:
    return Ben(http, stack.gateways[1].url, room)


Visit = Callable[..., Awaitable[ChatPage]]


@pytest.fixture
async def visit(browser: Browser, site: WebSite, stack: Stack, room: str, http: AsyncClient) -> AsyncIterator[Visit]:
    """Bring people into the room, with the gateways given."""
    people: list[ChatPage] = []

    async def visit(name: str, *gateways: str, context: BrowserContext | None = None, clock: bool = False) -> ChatPage:
        await join_room(http, stack.gateways[1].url, room, token(name))
        context = context or await browser.new_context()
        if clock:
            await context.clock.install()
        person = await ChatPage.arrive(context, site.url)
        person.in_outage = True
        people.append(person)
        await show(person, name, *gateways)
        await person.is_in(room)
        return person

    yield visit
    for context in {person.context for person in people}:
        await context.close()
    assert [trouble for person in people for trouble in person.troubles] == []


async def show(person: ChatPage, name: str, *gateways: str) -> None:
    data = {
        "gateways": list(gateways),
        "token": token(name),
        "user": {"id": name, "name": name},
        "rooms": None,
        "active": None,
    }
    await person.page.wait_for_function("() => window.mount !== undefined")
    await person.page.evaluate("data => mount(data)", data)


async def is_on(person: ChatPage, transport: str) -> None:
    await expect(person.page.get_by_test_id("status")).to_have_attribute("data-transport", transport)


async def texts(person: ChatPage) -> list[str]:
    return [message.text for message in await person.seen()]


async def is_shown_typing(typist: ChatPage, other: ChatPage) -> None:
    """Type on until the other page says so: a notice between two polls, or just after a message, does not show."""
    shown = expect(other.typing).to_contain_text("is typing", timeout=WITHIN_MS)
    showing = asyncio.ensure_future(shown)
    while not showing.done():
        await typist.type("x")
        await asyncio.wait([showing], timeout=TYPING_SECONDS)
    await showing


async def look_for_better(person: ChatPage) -> None:
    """Say what the browser says when the network is back: it would be tried by itself half a minute later."""
    await person.page.evaluate("dispatchEvent(new Event('online'))")


async def test_from_websocket_down_to_polling_and_back_without_a_loss(visit: Visit, proxy: HttpProxy, ben: Ben) -> None:
    ana = await visit(f"ana-{uuid4().hex}", proxy.url)
    await is_on(ana, "websocket")
    await ana.watch_banner()
    async with ben.talking():
        for refused, transport in DOWN:
            proxy.refuse(*refused)
            await is_on(ana, transport)
            await ana.say(f"by {transport}")
            await ana.sees(f"by {transport}")
        await ana.page.evaluate("window.moods.length = 0")
        for refused, transport in UP:
            proxy.refused = set(refused)
            await look_for_better(ana)
            await is_on(ana, transport)
            await ana.say(f"again by {transport}")
            await ana.sees(f"again by {transport}")
        assert set(await ana.page.evaluate("window.moods")) <= {"", "good"}  # nothing was said of the change
    await ana.sees(ben.said[-1])
    shown = [message.seq for message in await ana.seen()]
    assert shown == list(range(shown[0], shown[0] + len(ben.said) + 4))
    assert [text for text in await texts(ana) if text.isdigit()] == ben.said


@pytest.mark.parametrize("transport", ["sse", "polling"])
async def test_two_people_chat_where_websockets_are_blocked(
    visit: Visit, proxy: HttpProxy, stack: Stack, transport: str
) -> None:
    proxy.refused = {"websocket"}
    proxy.buffered = {"sse"} if transport == "polling" else set()
    names = [f"{name}-{uuid4().hex}" for name in ("ana", "cid")]
    ana, cid = await run_concurrently(visit(names[0], proxy.url), visit(names[1], stack.gateways[1].url))
    await is_on(ana, transport)
    await ana.say("Is this a school?")
    await cid.sees("Is this a school?")
    await is_shown_typing(cid, ana)
    await cid.say("It is.")
    await run_concurrently(ana.sees("It is."), cid.sees("It is."))
    assert await ana.seen() == await cid.seen()
    await is_shown_typing(ana, cid)
    await run_concurrently(ana.show_panel(), cid.show_panel())
    await run_concurrently(ana.is_shown(names[1], "online"), cid.is_shown(names[0], "online"))


async def test_the_network_is_off_for_twenty_seconds(visit: Visit, proxy: HttpProxy, ben: Ben) -> None:
    ana = await visit(f"ana-{uuid4().hex}", proxy.url)
    await ben.say(3)
    await ana.sees("3")
    await ana.watch_banner()
    await ana.context.set_offline(True)
    proxy.stall()
    proxy.refuse("websocket", "sse", "polling", "request")
    back = asyncio.get_running_loop().time() + OUTAGE_SECONDS
    for turn in range(3):
        await ana.say(f"Ana {turn}")
        await ben.say(5)
    await ana.banner_was("wait")
    await asyncio.sleep(back - asyncio.get_running_loop().time())  # the outage itself is what is tested
    assert "4" not in await texts(ana)
    proxy.flow()
    proxy.refuse()
    await ana.context.set_offline(False)
    await ana.banner_was("wait", "good", "")
    await ana.sees(*ben.said, "Ana 0", "Ana 1", "Ana 2")
    assert [text for text in await texts(ana) if text.isdigit()] == ben.said
    assert [text for text in await texts(ana) if text.startswith("Ana")] == ["Ana 0", "Ana 1", "Ana 2"]


@pytest.mark.parametrize("transport", ["websocket", "sse", "polling"])
async def test_a_laptop_that_slept(visit: Visit, proxy: HttpProxy, ben: Ben, transport: str) -> None:
    """Its connection is dead, and nothing says so: it looks as soon as it wakes up."""
    proxy.refused = {"websocket", "sse"} if transport == "polling" else {"websocket"} if transport == "sse" else set()
    ana = await visit(f"ana-{uuid4().hex}", proxy.url, clock=True)
    await is_on(ana, transport)
    await ben.say()
    await ana.sees("1")
    proxy.stall()  # what is open now stays open, and nothing comes
    await ben.say(3)
    before = proxy.carried.total()
    proxy.forget()
    await ana.page.clock.fast_forward("02:00:00")
    await ana.sees(*ben.said)
    assert await texts(ana) == ben.said
    assert proxy.carried.total() > before


async def test_two_tabs_of_one_person(visit: Visit, stack: Stack, ben: Ben) -> None:
    name = f"ana-{uuid4().hex}"
    here, there = stack.gateways[0].url, stack.gateways[1].url
    one = await visit(name, here)
    two = await visit(name, there, context=one.context)
    async with ben.talking():
        for turn in range(3):
            await run_concurrently(one.say(f"one {turn}"), two.say(f"two {turn}"))
        await run_concurrently(
            *(tab.sees(f"{which} {turn}") for tab in (one, two) for which in ("one", "two") for turn in range(3))
        )
    await run_concurrently(one.sees(ben.said[-1]), two.sees(ben.said[-1]))
    assert await one.seen() == await two.seen()
    assert len(await texts(one)) == len(set(await texts(one))) == len(ben.said) + 6


async def test_a_reload_and_a_duplicated_tab_while_nothing_can_be_reached(visit: Visit, proxy: HttpProxy) -> None:
    name = f"ana-{uuid4().hex}"
    ana = await visit(name, proxy.url)
    proxy.refuse("websocket", "sse", "polling", "request")
    said = ["first", "second", "third"]
    for text in said:
        await ana.say(text)
    outbox = await ana.page.evaluate("sessionStorage.getItem('warren:outbox')")
    assert [entry["text"] for entry in json.loads(outbox)] == said
    await ana.page.reload()
    await show(ana, name, proxy.url)
    copy = await ChatPage.arrive(ana.context, ana.url)
    copy.in_outage = True
    await copy.page.evaluate("outbox => sessionStorage.setItem('warren:outbox', outbox)", outbox)
    await show(copy, name, proxy.url)
    proxy.refuse()
    for tab in (ana, copy):
        await tab.page.get_by_test_id("room-item").click()
        await tab.sees(*said)
        assert await texts(tab) == said
    for tab in (ana, copy):
        await tab.page.wait_for_function("sessionStorage.getItem('warren:outbox') === '[]'")


async def test_a_token_function_is_called_before_the_end_and_nobody_notices(
    browser: Browser, site: WebSite, stack: Stack, room: str, ben: Ben
) -> None:
    """Over each transport, for as long as a token lives."""
    page = await browser.new_page()
    await page.goto(f"{site.url}/bare")
    asked: list[tuple[str, bool]] = []

    async def give(name: str, refresh: bool) -> str:
        asked.append((name, refresh))
        return token(name, expires_in=TOKEN_SECONDS)

    await page.expose_function("give", give)
    names = {kind: f"{kind}-{uuid4().hex}" for kind in ("websocket", "sse", "polling")}
    await page.wait_for_function("() => window.connect !== undefined")
    await page.evaluate(
        """([names, gateway, room]) => {
            window.all = Object.entries(names).map(([kind, name]) => connect({
                gateways: [gateway], transports: [kind], storage: null, token: ({ refresh }) => give(name, refresh),
            }));
            for (const { client } of all) client.follow([room]);
        }""",
        [names, stack.gateways[0].url, room],
    )
    await page.wait_for_function("room => all.every(({ client }) => client.isJoined(room))", arg=room)
    while any(asked.count((name, True)) < 2 for name in names.values()):
        await ben.say()
        await page.wait_for_function("n => all.every(({ events }) => events.length === n)", arg=len(ben.said))
    assert all(asked.count((name, False)) == 1 for name in names.values())
    states = await page.evaluate("all.map(({ states }) => states)")
    assert states == [["connecting 0", kind] for kind in names]
    shown = await page.evaluate("all.map(({ events }) => events.map(({ text }) => text))")
    assert shown == [ben.said] * 3
    await page.close()


async def test_a_token_that_is_refused_is_fetched_once_more(browser: Browser, site: WebSite, stack: Stack) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.url}/bare")
    await page.wait_for_function("() => window.connect !== undefined")
    user = f"ana-{uuid4().hex}"
    good, bad = token(user), token(user, expires_in=-60)
    asked = await page.evaluate(
        """async ([gateway, good, bad]) => {
            const asked = { mended: [], hopeless: [] };
            const options = { gateways: [gateway], storage: null };
            const token = (kind, later) => ({ refresh }) => {
                asked[kind].push(refresh);
                return refresh ? later : bad;
            };
            window.mended = connect({ ...options, token: token("mended", good) });
            window.hopeless = connect({ ...options, token: token("hopeless", bad) });
            window.given = connect({ ...options, token: bad });
            await new Promise((resolve) => mended.client.addEventListener("welcome", resolve));
            await mended.client.api.rooms();
            await hopeless.client.api.rooms().catch(() => {});
            return asked;
        }""",
        [stack.gateways[0].url, good, bad],
    )
    await page.wait_for_function("() => [hopeless, given].every(({ client }) => client.state === 'refused')")
    assert await page.evaluate("[mended, hopeless, given].map(({ states }) => states.at(-1))") == [
        "websocket", "refused 4503", "refused 4503"
    ]  # fmt: skip
    assert asked == {"mended": [False, True], "hopeless": [False, True]}
    await page.close()


async def test_nothing_goes_on_after_stop(
    browser: Browser, site: WebSite, stack: Stack, proxy: HttpProxy, room: str
) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.url}/bare")
    await page.wait_for_function("() => window.connect !== undefined")
    await page.evaluate(
        """([gateway, room, token]) => {
            window.all = ["websocket", "sse", "polling"].map((kind) => connect({
                gateways: [gateway], transports: [kind], storage: null, token,
            }));
            for (const { client } of all) client.follow([room]);
        }""",
        [proxy.url, room, token(f"ana-{uuid4().hex}")],
    )
    await page.wait_for_function("room => all.every(({ client }) => client.isJoined(room))", arg=room)
    await page.evaluate("for (const { client } of all) client.stop()")
    await proxy.idle()
    assert await page.evaluate("all.map(({ states }) => states.at(-1))") == ["stopped 0"] * 3
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.evaluate("for (const { client } of all) client.start()")  # and it can begin anew
    await page.wait_for_function("room => all.every(({ client }) => client.isJoined(room))", arg=room)
    await page.close()


async def test_a_room_may_be_called_like_what_every_object_has(
    browser: Browser, site: WebSite, stack: Stack, http: AsyncClient, room: str, ben: Ben
) -> None:
    """Over each transport one reads it, alone, until one may not, and goes on with another room."""
    page = await browser.new_page()
    waiting: set[Request] = set()  # polls

    def asked(request: Request) -> None:
        if '"wait":25' in (request.post_data or ""):
            waiting.add(request)

    def answered(request: Request) -> None:
        waiting.discard(request)

    page.on("request", asked)
    page.on("requestfinished", answered)
    await page.clock.install()
    await page.goto(f"{site.url}/bare")
    await page.wait_for_function("() => window.connect !== undefined")
    namesake = Ben(http, stack.gateways[1].url, "constructor")
    await make_room(http, stack.gateways[1].url, "constructor", token("ben"))
    user = f"ana-{uuid4().hex}"
    await page.evaluate(
        """([gateway, rooms, token]) => {
            window.gone = 0;
            window.all = ["websocket", "sse", "polling"].map((kind) => connect({
                gateways: [gateway], transports: [kind], storage: null, token,
            }));
            for (const { client } of all) {
                for (const way of ["left", "denied"]) client.addEventListener(way, () => (gone += 1));
                client.follow(rooms);
            }
        }""",
        [stack.gateways[0].url, ["constructor"], token(user)],
    )
    joined = "rooms => all.every(({ client }) => rooms.every((room) => client.isJoined(room)))"
    heard = "n => all.every(({ events }) => events.filter(({ type }) => type === 'message').length === n)"
    await page.wait_for_function(joined, arg=["constructor"])
    await namesake.say()
    await page.wait_for_function(heard, arg=1)
    while not waiting:
        await page.wait_for_event("request")
    ban = f"{stack.gateways[1].url}/v1/rooms/constructor/bans/{user}"
    (await http.put(ban, json={}, headers=bearer(token("ben")))).raise_for_status()
    await page.wait_for_function("gone === 3")
    await page.clock.run_for(1_000)  # now nothing is left to poll for
    await page.evaluate("room => all.forEach(({ client }) => client.follow(['constructor', room]))", room)
    await page.wait_for_function(joined, arg=[room])
    await ben.say()
    await page.wait_for_function(heard, arg=2)
    states = await page.evaluate("all.map(({ states }) => states)")
    assert states == [["connecting 0", kind] for kind in ("websocket", "sse", "polling")]
    await page.close()
