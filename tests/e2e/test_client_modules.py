"""The parts of the browser's client by themselves, in a browser and without a server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import warren_client
from harness.page_scripts import run_in_page
from harness.web_site import WebSite
from playwright.async_api import Browser, Page, Route

FOLDER = Path(warren_client.__file__).parent


@pytest.fixture(scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    site = WebSite()
    site.pages = {f"/{file.name}": file.read_text() for file in FOLDER.glob("*.js")} | {"/": "<!doctype html>"}
    async with site.running():
        page = await browser.new_page()
        await page.goto(site.url)
        yield page
        await page.close()


async def test_the_stream_parser_takes_chunks_that_end_anywhere(page: Page) -> None:
    text = (
        '\ufeff: hello\r\nretry: 5\r\nid: 1.2\r\nevent: joined\r\ndata: {"ü": "🐇"}\r\n\r\n'
        "data\rdata:x\rdata:  y\r\r:\n\nevent: nothing\n\nid\ndata: z\n\n"
        'unknown: 1\ndata:{"a":1}\n\ndata: never ended\n'
    )
    found: dict[str, Any] = await run_in_page(
        page,
        """async (text) => {
            const { EventStreamParser } = await import("/eventstream.js");
            const bytes = new TextEncoder().encode(text);
            const parse = (...cuts) => {
                const [parser, ends] = [new EventStreamParser(), [...cuts, bytes.length]];
                return ends.flatMap((end, index) => parser.push(bytes.slice(index ? ends[index - 1] : 0, end)));
            };
            const whole = parse();
            const same = (...cuts) => JSON.stringify(parse(...cuts)) === JSON.stringify(whole);
            const right = (cut) => same(cut) && same(cut, cut + 1) && same(cut, cut, cut + 2);
            const wrong = [...bytes.keys()].filter((cut) => !right(cut));
            if (!same(...bytes.keys())) wrong.push("every byte");
            return { whole, wrong };
        }""",
        text,
    )
    assert found["wrong"] == []
    assert found["whole"] == [
        {"event": "joined", "data": '{"ü": "🐇"}', "id": "1.2"},
        {"event": "message", "data": "\nx\n y", "id": "1.2"},
        {"event": "message", "data": "z", "id": ""},
        {"event": "message", "data": '{"a":1}', "id": ""},
    ]


async def test_the_stream_parser_has_a_bound(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
        const { EventStreamParser } = await import("/eventstream.js");
        const parser = new EventStreamParser();
        const comments = new TextEncoder().encode(":\\n\\n".repeat(400_000));
        for (let turn = 0; turn < 20; turn += 1) parser.push(comments); // more than the bound, and none is kept
        const piece = new TextEncoder().encode("data: " + "x".repeat(4_000_000));
        try { for (let turn = 0; turn < 20; turn += 1) parser.push(piece); } catch (error) { return error.message; }
    }""",
    )
    assert found == "an event is too long"


async def test_each_event_comes_once_and_in_order_whatever_the_connection_does(page: Page) -> None:
    """A room's log of 300, shown by connections that lose, repeat and end; each join is answered from its cursor on."""
    found: dict[str, Any] = await run_in_page(
        page,
        """async () => {
        const { Subscriptions } = await import("/subscriptions.js");
        let seed = 7;
        const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
        const [seen, log] = [[], Array.from({ length: 300 }, (_, index) => ({ seq: index + 1, type: "message" }))];
        let [joins, head] = [[], 1];
        const rooms = new Subscriptions({
            isOnline: () => true, own: () => {},
            transmit: (frame) => frame.type === "join" && joins.push(frame),
            emit: (type, { events }) => type === "events" && seen.push(...events.map(({ seq }) => seq)),
        });
        const show = (from, to) => rooms.received({ room: "a", events: log.slice(from, to) });
        const answer = () => {
            for (const { since = head } of joins.splice(0)) {
                rooms.joined({ room: "a", epoch: "e", head, number: head, read: 0, reset: false });
                show(since, head);
            }
        };
        rooms.follow(["a"]);
        answer();
        for (let turn = 0; turn < 2_000 && seen.at(-1) !== 300; turn += 1) {
            const before = head;
            head = Math.min(300, head + random(4));
            const what = random(10);
            if (what < 5) show(before, head);
            else if (what < 7) show(Math.max(0, before - random(20)), head); // some of it again
            else if (what === 8) { rooms.lost(); rooms.settle(); }
            answer(); // after what was lost (7, 9) the next event shows the hole
            if (head === 300) show(299, 300);
        }
        return { seen, expected: log.slice(1).map(({ seq }) => seq) };
    }""",
    )
    assert found["seen"] == found["expected"]


async def test_rooms_that_can_be_none_are_not_asked_for(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
        const { Subscriptions } = await import("/subscriptions.js");
        const [asked, denied] = [[], []];
        const rooms = new Subscriptions({
            isOnline: () => true, own: () => {}, transmit: ({ room }) => asked.push(room),
            emit: (type, { room }) => type === "denied" && denied.push(room),
        });
        rooms.follow(["@me", "Garden", "garden", "../x"]);
        return { asked, denied, joins: rooms.joins(100).map(({ room }) => room) };
    }""",
    )
    assert found == {"asked": ["@me", "garden"], "denied": ["Garden", "../x"], "joins": ["@me", "garden"]}


async def test_the_outbox(page: Page) -> None:
    found: dict[str, Any] = await run_in_page(
        page,
        """async () => {
        const { Outbox } = await import("/outbox.js");
        const store = { text: null, getItem: () => store.text, setItem: (_, text) => (store.text = text) };
        const texts = (outbox, user) => outbox.next(user).map(({ text }) => text);
        const first = new Outbox(store);
        const key = first.add("ann", "a", "1");
        first.add("ann", "a", "2", 7);
        first.add("ann", "b", "3");
        first.add("bob", "a", "4");
        first.add("", "a", "whose?");
        const reloaded = new Outbox(store);
        const kept = { ann: texts(reloaded, "ann"), bob: texts(reloaded, "bob"), nobody: texts(reloaded, "") };
        reloaded.take("ann", key);
        const [next] = reloaded.next("ann");
        reloaded.mark("ann", next.key, "No.");
        const broken = { getItem: () => "{", setItem: () => { throw new Error("full"); } };
        const other = new Outbox(broken);
        other.add("", "a", "5");
        other.adopt("cid");
        const left = texts(other, "cid");
        let full = "";
        try {
            for (let turn = 0; turn < 2_000; turn += 1) other.add("cid", "a", "x");
        } catch (error) {
            full = error.name;
        }
        return { kept, next: [next.text, next.replyTo], failed: texts(reloaded, "ann"), other: left, full };
    }""",
    )
    assert found["kept"] == {"ann": ["1", "3"], "bob": ["4"], "nobody": []}
    assert found["next"] == ["2", 7]
    assert found["failed"] == ["3"]
    assert (found["other"], found["full"]) == (["5"], "RangeError")


async def test_half_a_character_is_sent_as_one_that_cannot_be_shown(page: Page) -> None:
    """Also by browsers that have no `toWellFormed`: gateways refuse what is no UTF-8."""
    found: dict[str, Any] = await run_in_page(
        page,
        """async () => {
        const native = String.prototype.toWellFormed;
        delete String.prototype.toWellFormed;
        const { Outbox } = await import("/outbox.js");
        const { encoded } = await import("/http.js");
        const outbox = new Outbox(null);
        for (const text of ["hi \\ud83d", "\\udc07\\ud83d", "🐇\\ud83d🐇"]) outbox.add("ann", "a", text);
        const kept = outbox.of("ann", "a").map(({ text }) => text);
        String.prototype.toWellFormed = native;
        const frame = encoded({ type: "send", text: "\\ud83d", about: [{ reason: "\\\\ud83d \\udc07" }], seq: 7 });
        return { kept, frame: JSON.parse(frame) };
    }""",
    )
    assert found["kept"] == ["hi \ufffd", "\ufffd\ufffd", "🐇\ufffd🐇"]
    assert found["frame"] == {"type": "send", "text": "\ufffd", "about": [{"reason": "\\ud83d \ufffd"}], "seq": 7}


async def test_the_ladder_goes_down_at_once_and_up_now_and_then(page: Page) -> None:
    found: list[Any] = await run_in_page(
        page,
        """async () => {
        const { Fallback } = await import("/fallback.js");
        const fallback = new Fallback(["websocket", "sse", "polling"]);
        const was = [];
        const note = (...more) => was.push([fallback.kind, fallback.patience / 1_000, ...more]);
        note(fallback.fell());
        note(fallback.fell());
        note(fallback.fell()); // none is left: from the beginning
        fallback.fell();
        fallback.worked("sse");
        note();
        for (let turn = 0; turn < 5; turn += 1) fallback.failed("websocket");
        note();
        fallback.forget();
        note();
        fallback.worked("websocket");
        fallback.lost({ soon: false, mute: false });
        fallback.fell();
        fallback.worked("sse");
        note(); // the WebSocket has worked here: it is tried again soon
        fallback.lost({ soon: false, mute: true });
        note();
        for (let turn = 0; turn < 3; turn += 1) fallback.lost({ soon: true, mute: false });
        note();
        return was;
    }""",
    )
    assert found == [
        ["sse", 30, True],
        ["polling", 30, True],
        ["websocket", 30, False],
        ["sse", 30],
        ["sse", 300],
        ["sse", 30],
        ["sse", 2],
        ["polling", 2],
        ["websocket", 120],
    ]


async def test_a_token_function_is_asked_once_by_all_and_not_for_ever(page: Page) -> None:
    found: dict[str, Any] = await run_in_page(
        page,
        """async () => {
        const { TokenSource } = await import("/token.js");
        const asked = [];
        const source = new TokenSource(async ({ refresh }) => `token ${asked.push(refresh)}`, () => {});
        const first = await Promise.all([source.get(), source.get()]);
        const again = [source.refused("token 0"), source.refused("token 1")];
        const second = await Promise.all([source.get(), source.get()]);
        const fresh = source.refused("token 2");
        source.accepted();
        const later = source.refused("token 2");
        const given = new TokenSource("mine", () => {});
        return { asked, first, again, second, fresh, later, given: [await given.get(), given.refused("mine")] };
    }""",
    )
    assert found == {
        "asked": [False, True],
        "first": ["token 1", "token 1"],
        "again": [True, True],
        "second": ["token 2", "token 2"],
        "fresh": False,
        "later": True,
        "given": ["mine", False],
    }


async def test_a_watched_room_shows_history_and_what_came_meanwhile_once_and_in_order(page: Page) -> None:
    """History fails at first; events come while it is loaded, some of them in it already; then the room starts anew."""
    shown: list[list[int]] = await run_in_page(
        page,
        """async () => {
            const { watch } = await import("/watch.js");
            const message = (seq) => ({ seq, type: "message", text: String(seq) });
            const client = new EventTarget();
            const tell = (type, fields) => {
                client.dispatchEvent(new CustomEvent(type, { detail: { room: "a", ...fields } }));
            };
            const answers = [
                () => Promise.reject(Object.assign(new Error("not now"), { temporary: true })),
                () => {
                    tell("events", { events: [message(3), { seq: 4, type: "member.joined" }, message(5)] });
                    return Promise.resolve({ messages: [message(1), message(2), message(3)] });
                },
                () => Promise.resolve({ messages: [message(1)] }),
            ];
            client.history = () => answers.shift()();
            const shown = [];
            let moved;
            const until = (count) => new Promise((resolve) => {
                moved = () => shown.length >= count && resolve();
                moved();
            });
            const end = watch(client, "a", (messages) => { shown.push(messages.map(({ seq }) => seq)); moved?.(); });
            tell("joined", { fresh: true });
            await until(2);
            tell("joined", { fresh: false });
            tell("events", { events: [message(5), message(6)] });
            tell("events", { room: "b", events: [message(7)] });
            await until(3);
            tell("joined", { fresh: true });
            await until(4);
            end();
            tell("events", { events: [message(8)] });
            await Promise.resolve();
            return shown;
        }""",
    )
    assert shown == [[1, 2, 3], [1, 2, 3, 5], [1, 2, 3, 5, 6], [1]]


async def test_what_is_no_frame_is_told_from_what_a_newer_gateway_says(page: Page) -> None:
    good: list[dict[str, Any]] = [
        {"type": "welcome", "user": {"id": "a", "name": "A"}, "ping": 25, "limits": {"rooms": 200}, "expires_in": None},
        {"type": "joined", "room": "a", "epoch": "e", "head": 0, "number": 0, "read": 0, "reset": False},
        {"type": "events", "room": "a", "events": [dict.fromkeys(("id", "sender", "name", "key", "at"), "x")]},
        {"type": "ack", "room": "a", "key": "k", "seq": 1, "number": 1},
        {"type": "error", "code": "invalid", "detail": "no", "temporary": False, "retry_after": 5},
        {"type": "presence", "room": "a", "version": 1, "state": []},
        {"type": "typing", "room": "a", "user": "a", "name": "A"},
        {"type": "bye", "code": 4001, "after_ms": 100},
        {"type": "unheard_of", "anything": [1]},
        {"type": "left", "room": "a", "because": None, "a newer field": {}},
    ]
    good[2]["events"][0] |= {"seq": 1, "type": "of a newer gateway"}
    bad: tuple[Any, ...] = (None, {}, -1)
    wrong: list[Any] = [None, 5, "x", [], {}, {"type": 5}]
    wrong += [{**frame, name: value} for frame in good for name in frame if name in NEEDED for value in bad]
    found: dict[str, Any] = await run_in_page(
        page,
        """async ({ good, wrong }) => {
            const { isFrame, frameIn } = await import("/frames.js");
            const texts = ["", "{", "\\ufeff{}", JSON.stringify(good[0]), "x".repeat(100_000), "[".repeat(100_000)];
            const refused = good.filter((frame) => !isFrame(frame));
            return { refused, taken: wrong.filter(isFrame), found: texts.map(frameIn) };
        }""",
        {"good": good, "wrong": wrong},
    )
    assert found == {"refused": [], "taken": [], "found": [None, None, None, good[0], None, None]}


NEEDED = {"room", "user", "limits", "epoch", "head", "reset", "events", "key", "seq", "code", "detail", "after_ms"}
"""The fields of frames that must be there and be of their type."""


async def test_no_server_makes_a_client_wait_for_ever_or_not_at_all(page: Page) -> None:
    """A browser's timer fires at once when it is to wait for longer than 2^31 ms."""
    found = await run_in_page(
        page,
        """async () => {
        const { reasonable } = await import("/backoff.js");
        const { pause } = await import("/subscriptions.js");
        const { pulseOf } = await import("/transport.js");
        const waits = [-1, 0, 250, 1e12, Infinity].map(reasonable);
        const pulses = [0, 1e-9, 25, 1e12, undefined].map(pulseOf);
        return { waits, pulses, longest: pause(0, 1e12) < 2 ** 31 };
    }""",
    )
    assert found["waits"] == [0, 0, 250, 600_000, 600_000]
    assert found["pulses"] == [1_000, 1_000, 25_000, 600_000, 15_000]
    assert found["longest"]


async def test_typing_over_http_does_not_hold_up_messages(page: Page) -> None:
    """A browser has six connections to a host: on a slow way, whoever types would take them all."""
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    async def store(route: Route) -> None:
        await route.fulfill(json={"seq": 3, "number": 2})

    await page.route("**/typing", hold)
    await page.route("**/messages", store)
    heard = await run_in_page(
        page,
        """() => new Promise(async (hear) => {
        const { HttpSender } = await import("/httpsender.js");
        const httpSender = globalThis.httpSender = new HttpSender(location.origin, () => "t", hear, () => {});
        globalThis.told = Array.from({ length: 20 }, () => httpSender.typing({ room: "a" }));
        httpSender.send({ room: "a", key: "k", text: "hi" });
    })""",
    )
    assert heard == {"type": "ack", "key": "k", "room": "a", "seq": 3, "number": 2}
    (first,) = held
    async with page.expect_request("**/typing"):
        await first.fulfill(status=204)
        await run_in_page(page, "async () => { await Promise.all(told); httpSender.typing({ room: 'a' }); }")
    await page.unroute_all()
