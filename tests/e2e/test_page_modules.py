"""The parts of the page by themselves, in a browser and without a server."""

import re
import sys
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import warren_client
import warren_ui.component
from harness.page_scripts import run_in_page
from harness.web_site import WebSite
from playwright.async_api import Browser, Page
from warren_persistence.projections.folding import folded
from warren_ui.component.confusables import confusables_script

FOLDERS = (Path(warren_client.__file__).parent, Path(warren_ui.component.__file__).parent)
HOSTILE = {
    "hearts": ("❤", "x"),
    "hearts that ask for colour": ("❤️", "x"),
    "hearts, spread": ("❤ ", "x"),
    "half flags": ("🇩", "x"),
    "families": ("👨‍👩‍👧‍", "x"),
    "keycaps": ("1️", "x"),
    "tones": ("👍🏽🏽", "x"),
    "blanks": (" ", "x"),
    "lines": ("\n", "x"),
    "backticks": ("`", ""),
    "stars": ("**", ""),
    "brackets": ("[(", ""),
    "links": ("[a](http://b", "."),
    "addresses": ("http://", "."),
    "addresses of dots": ("https://....", "'"),
    "an address of dots": (".", ""),
    "marks": ("ć̂", "\\"),
    "wide characters": ("🐇", "x"),
    "halves of pairs": ("\ud83d", "x"),
    "names": ("@a-", "!"),
    "words": ("a ", "!"),
    "nothing to see": ("\u200b\u2060", "x"),
    "right to left": ("\u202eא", "x"),
}
"""What is repeated, and what comes after it, so that nothing of it matches after all."""
USES = """
const { rowNode, signature, worded, avatar } = await import("/draw.js");
const { initials, hueOf } = await import("/timeline.js");
const { noteText, noticeText, holdText, typingText } = await import("/wording.js");
const { sentence } = await import("/http.js");
const { looks } = await import("/lookalikes.js");
const { folded } = await import("/folding.js");
const event = (text) => ({
    seq: 1, number: 1, type: "message", id: "i", sender: text, name: text, key: text, user: text, title: text,
    reason: text, at: "2026-01-01T00:00:00Z", text, what: "member.muted", kind: "public",
});
const row = (text) => ({
    kind: "message", key: text, event: event(text), state: "failed", reason: text, first: true, last: true,
});
const muted = (text) => ({ until: Infinity, reason: text });
const called = (text) => ({ name: text, id: text });
const timeline = (text) => ({ title: text, kind: "public", number: 1, archived: false, muted: muted(text) });
const USES = {
    message: (text) => rowNode(row(text), timeline(text)),
    signature: (text) => signature(row(text), timeline(text), called(text)),
    start: (text) => rowNode({ kind: "start", key: "start" }, timeline(text), called(text)),
    note: (text) => worded(noteText({ ...event(text), type: "member.muted" }, "me", called)),
    notice: (text) => worded(noticeText(event(text), called, ({ title }) => called(title))),
    hold: (text) => holdText(timeline(text), text),
    typing: (text) => worded(typingText([called(text), { name: text }])),
    avatar: (text) => avatar(text, text),
    initials, hueOf, looks, folded, sentence,
};
"""
GROWTH = """async ([name, piece, end]) => {
    const FLOOR_MS = 5; // what takes less is noise
    const fastest = (use, text) => {
        let best = Infinity;
        for (let turn = 0; turn < 5; turn += 1) {
            const before = performance.now();
            use(text);
            best = Math.min(best, performance.now() - before);
        }
        return best;
    };
    const wrong = [];
    for (const [what, use] of Object.entries(USES)) {
        let [before, length] = [Infinity, 0];
        for (const size of [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000]) {
            const text = piece.repeat(size / piece.length) + end;
            const now = fastest(use, text);
            if (now > 3 * Math.max(before, FLOOR_MS)) {
                wrong.push(`${what} of ${name}: ${size} take ${now} ms, half of it ${before}`);
                break; // what grows so would take minutes soon
            }
            before = now;
        }
    }
    return wrong;
}"""


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[WebSite]:
    site = WebSite()
    files = [file for folder in FOLDERS for file in folder.glob("*.js")]
    imports = '<script type="importmap">{"imports": {"warren-client": "/client.js"}}</script>'
    made = {"/": f"<!doctype html>{imports}", "/confusables.js": confusables_script()}
    site.pages = {f"/{file.name}": file.read_text() for file in files} | made
    async with site.running():
        yield site


@pytest.fixture(scope="module")
async def page(browser: Browser, site: WebSite) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(site.url)
    yield page
    await page.close()


@pytest.mark.parametrize("name", HOSTILE)
async def test_twice_the_text_costs_twice_the_time(page: Page, name: str) -> None:
    """Whatever somebody writes, everybody who opens the room draws it: all that looks at it is linear.

    Doubling makes four times of what is quadratic, eight times of what is cubic.
    """
    found = await run_in_page(page, GROWTH.replace("const FLOOR_MS", f"{USES}\nconst FLOOR_MS"), [name, *HOSTILE[name]])
    assert found == []


async def test_a_few_emoji_are_large_and_nothing_else_is(page: Page) -> None:
    large = [
        "👍",
        "❤",
        "❤️",
        "👍🏽 👍",
        "🇩🇪",
        "🇩🇪🇫🇷 🇮🇹",
        "1️⃣",
        "#⃣",
        "👩🏻‍❤️‍💋‍👨🏻",
        "👨🏻‍👩🏻‍👧🏻‍👦🏻" * 3,
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "🏳️‍🌈",
        " 🐇\n🐇 ",
    ]
    small = [
        "",
        " ",
        "1",
        "12",
        "🇩",
        "🇩🇪🇫",
        "👍👍👍👍",
        "👍!",
        "a👍",
        "\u200d",
        "\ufe0f",
        "1\ufe0f",
        "❤" * 1_600,
        "❤" * 4_000 + "x",
    ]
    found = await run_in_page(
        page,
        """async (texts) => {
            const { rowNode } = await import("/draw.js");
            const about = { seq: 1, type: "message", sender: "a", name: "A", key: "k", at: "2026-01-01T00:00:00Z" };
            const row = (text) => ({ kind: "message", event: { ...about, text }, state: "stored" });
            return texts.filter((text) => rowNode(row(text)).classList.contains("jumbo"));
        }""",
        [*large, *small],
    )
    assert found == large


async def test_an_end_is_told_with_as_much_of_the_date_as_it_takes(browser: Browser, site: WebSite) -> None:
    context = await browser.new_context(locale="en-GB", timezone_id="UTC")
    page = await context.new_page()
    await page.clock.set_fixed_time("2026-06-01T12:00:00Z")
    await page.goto(site.url)
    moments = ["2026-06-01T14:30:00Z", "2026-07-06T14:30:00Z", "2027-07-06T14:30:00Z", "9999-12-31T00:00:00Z", "", None]
    told = await run_in_page(
        page,
        """async (moments) => {
            const { untilText } = await import("/wording.js");
            return moments.map(untilText);
        }""",
        moments,
    )
    assert told == ["until 14:30", "until 6 Jul, 14:30", "until 6 Jul 2027, 14:30", "", "", ""]
    await context.close()


def test_no_expression_of_the_page_repeats_what_repeats() -> None:
    """Nested quantifiers are what makes an expression exponential or of a high power; none is needed."""
    literal = re.compile(r"(?<![*/\w)\]])/(?![*/])((?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n\[])+)/[a-z]*(?=[.,;)\s])")
    atoms = re.compile(r"\\u\{[^}]*\}|\\p\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]")
    nested = re.compile(r"\([^()]*[*+}][^()]*\)(?:[*+]|\{)")
    found = {}
    for folder in FOLDERS:
        for file in folder.glob("*.js"):
            code = "\n".join(
                line for line in file.read_text().splitlines() if not line.lstrip().startswith(("/*", "*", "//"))
            )
            found.update(dict.fromkeys(literal.findall(code), file.name))
    assert len(found) > 8, "the expressions were not found"
    assert "^(@me|[a-z0-9][a-z0-9_-]{0,63})$" in found
    assert {text: name for text, name in found.items() if nested.search(atoms.sub("x", text))} == {}
    assert nested.search(atoms.sub("x", r"^(?:\p{L}[\p{L}]*\s*){1,3}$")), "the check itself finds one"


async def test_history_whose_drawing_fails_is_loaded_all_the_same(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
            const { History } = await import("/history.js");
            const client = { isJoined: () => true, history: async () => ({ messages: [], more: false }) };
            let isBroken = true;
            const history = new History(client, () => { if (isBroken) throw new Error("nobody foresaw this"); });
            const timeline = { room: "general", history: "failed", addPage() {}, trim() {} };
            await history.load(timeline).catch(() => {});
            const first = timeline.history;
            timeline.history = "failed";
            isBroken = false;
            await history.load(timeline);
            return [first, timeline.history];
        }""",
    )
    assert found == ["loaded", "loaded"]


async def test_an_inbox_that_could_not_be_read_is_read_with_the_next_connection(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
            const { InboxPanel } = await import("/inboxpanel.js");
            const asked = [];
            let isAway = true;
            const client = {
                history: async (room) => {
                    asked.push(room);
                    if (isAway) throw new Error("away");
                    return { messages: [], more: false };
                },
            };
            const memory = new Proxy({}, { get: () => () => [] });
            const owner = { draw() {}, befell() {}, visit: async () => {} };
            const inboxPanel = new InboxPanel(document.createElement("div"), client, memory, owner);
            inboxPanel.inbox = { reset() {}, add: () => [], open: () => [] };
            await inboxPanel.joined(0, 0, true);
            isAway = false;
            await inboxPanel.joined(0, 0, false);
            await inboxPanel.joined(0, 0, false);
            return asked;
        }""",
    )
    assert found == ["@me", "@me"]


async def test_a_name_that_nobody_could_tell_is_asked_for_again(browser: Browser, site: WebSite) -> None:
    page = await browser.new_page()
    await page.clock.install()
    await page.goto(site.url)
    found = await run_in_page(
        page,
        """async () => {
            const { Names } = await import("/names.js");
            let isAway = true;
            const people = async () => { if (isAway) throw new Error("away"); return [{ user: "ann", name: "Ann" }]; };
            window.names = new Names({ people }, () => {});
            window.back = () => { isAway = false; };
            return window.names.of("ann");
        }""",
    )
    assert found == "ann"
    await page.evaluate("window.back()")
    await page.clock.run_for(11_000)
    await page.evaluate("window.names.of('ann')")
    await page.wait_for_function("window.names.of('ann') === 'Ann'", polling=50)
    await page.close()


ALIKE = [
    ("Ann", "Ann"),
    ("Ann", "\u0410nn"),
    ("ann", "ａｎｎ"),
    ("Ann", "ANN"),
    ("IAN", "ian"),
    ("Alice", "AIice"),
    ("Alice", "A1ice"),
    ("helen", "\u041delen"),
    ("Bob", "B0b"),
    ("modem", "rnodern"),
    ("José", "Jose\u0301"),
    ("Ann", "A\u200bn\u2060n"),
    ("Ann", "\U0001d400\U0001d427\U0001d427"),
    ("Ann", "\u13aann"),
    ("\u0410\u043d\u043d\u0430", "A\u043d\u043da"),
]
DIFFERENT = [("Ann", "Ben"), ("Ann", "Anna"), ("Jose", "José"), ("Ali", "All"), ("安", "李"), ("🐇", "🐈")]


@pytest.mark.parametrize(
    ("names", "is_alike"),
    [*((pair, True) for pair in ALIKE), *((pair, False) for pair in DIFFERENT)],
)
async def test_of_two_whose_names_look_alike_both_are_shown_with_their_ids(
    page: Page, names: tuple[str, str], is_alike: bool
) -> None:
    found = await run_in_page(
        page,
        """async ([one, other]) => {
            const { Timeline } = await import("/timeline.js");
            const { rowNode } = await import("/draw.js");
            const { Names } = await import("/names.js");
            let drawings = 0;
            const names = new Names({}, () => { drawings += 1; });
            const timeline = new Timeline({ room: "garden", kind: "public", title: "Garden" });
            timeline.history = "loaded";
            const said = (seq, sender, name) => ({
                seq, sender, name, number: seq, type: "message", key: `${seq}`, text: "Hello", at: "2026-01-01T00:00Z",
            });
            const draw = () => timeline.rows("me", [], (user, name) => names.called(user, name))
                .filter(({ kind }) => kind === "message")
                .map((row) => rowNode(row, timeline, {}).querySelector(".author").textContent);
            const told = () => {
                const before = drawings;
                const drawn = draw();
                return drawings === before ? drawn : draw(); // a name that was met has made another one ambiguous
            };
            timeline.add([said(1, "u1", one)], "me");
            const alone = told();
            timeline.add([said(2, "u2", other), said(9, "u3", "Somebody else")], "me");
            return [alone, told()];
        }""",
        names,
    )
    one, other = names
    both = [f"{one} u1", f"{other} u2"] if is_alike else [one, other]
    assert found == [[one], [*both, "Somebody else"]]


async def test_a_name_that_is_somebody_elses_id_is_shown_with_its_own(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
            const { Lookalikes } = await import("/lookalikes.js");
            const people = new Lookalikes();
            people.meet("ann", "ann");
            const news = [people.meet("eve", "Ann"), people.meet("eve", "Ann"), people.meet("ben", "Ben")];
            return [news, people.idOf("ann", "ann"), people.idOf("eve", "Ann"), people.idOf("ben", "Ben")];
        }""",
    )
    assert found == [[True, False, False], "", "eve", ""]


async def test_who_looks_like_a_member_that_the_list_names_is_shown_with_the_id(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
            const { Panel } = await import("/panel.js");
            const { Timeline } = await import("/timeline.js");
            const { Names } = await import("/names.js");
            const { skeleton } = await import("/page.js");
            const members = async () => ({ members: [{ user: "u2", name: "Ann" }], more: false });
            const timeline = new Timeline({ room: "garden", kind: "public", title: "Garden" });
            return await new Promise((resolve) => {
                const names = new Names({}, () => resolve([before, names.called("u1", "Ann")]));
                const before = names.called("u1", "Ann");
                const parts = skeleton();
                document.body.attachShadow({ mode: "open" }).append(parts.root);
                const panel = new Panel(parts, { members }, names, {});
                panel.draw(timeline, "me", undefined);
                panel.open();
            });
        }""",
    )
    assert found == [{"name": "Ann", "id": ""}, {"name": "Ann", "id": "u1"}]


async def test_rooms_and_people_are_found_by_one_folding(page: Page) -> None:
    """The page's is the persistence service's, for every character. (Of Cherokee the capitals are older.)"""
    every = [chr(code) for code in range(0x20, sys.maxunicode + 1)]
    known = [char for char in every if unicodedata.category(char) not in ("Cn", "Cs", "Co", "Cc")]
    found = await run_in_page(
        page,
        """async (texts) => {
            const { folded } = await import("/folding.js");
            return texts.map(folded);
        }""",
        known,
    )
    other = [char for char, mine in zip(known, found, strict=True) if mine != folded(char)]
    assert [char for char in other if not unicodedata.name(char).startswith("CHEROKEE")] == []


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("Kapı", "kapi"), ("KAPI", "kapı"), ("Łódź", "lodz"), ("Smørrebrød", "SMORREBROD"), ("Straße", "strasse"),
        ("STRASSE", "straße"), ("Œuvre", "oeuvre"), ("ΟΔΟΣ", "οδος"), ("Ｇａｒｄｅｎ", "garden"),
        ("Tea  house", "tea house"),
    ],
)  # fmt: skip
async def test_rooms_are_found_as_people_write_them(page: Page, title: str, wanted: str) -> None:
    found = await run_in_page(
        page,
        """async ([title, wanted]) => {
            const { roomLookup } = await import("/lookups.js");
            const rooms = [{ room: "x", kind: "public", title }, { room: "y", kind: "public", title: "Another" }];
            const lookup = roomLookup({ directory: async () => ({ rooms, more: false }) }, () => false, () => {});
            return (await lookup.find(wanted)).found.map(({ name }) => name);
        }""",
        [title, wanted],
    )
    assert found == [title]


async def test_whom_one_has_blocked_is_not_seen_typing(page: Page) -> None:
    """Nor are replies of a bot as they grow; whoever else types still is."""
    found = await run_in_page(
        page,
        """async () => {
            const { PresenceSync } = await import("/presencesync.js");
            const { Names } = await import("/names.js");
            const { Timeline } = await import("/timeline.js");
            const blocked = new Set();
            const client = new EventTarget();
            client.report = () => {};
            const line = document.createElement("p");
            const owner = { changed() {}, isBlocked: (user) => blocked.has(user) };
            const presenceSync = new PresenceSync(line, client, new Names({}, () => {}), owner);
            const timeline = new Timeline({ room: "garden", kind: "public", title: "Garden" });
            const type = (user, name) => client.dispatchEvent(
                new CustomEvent("typing", { detail: { room: "garden", user, name } }));
            const told = () => { presenceSync.draw(timeline); return line.textContent; };
            type("ben", "Ben");
            const before = told();
            blocked.add("ben");
            const since = told();
            type("ben", "Ben");
            type("cat", "Cat");
            client.dispatchEvent(new CustomEvent("partial", {
                detail: { room: "garden", user: "ben", name: "Ben", key: "k", text: "So" } }));
            const found = [before, since, told(), presenceSync.growingIn("garden")];
            presenceSync.stop();
            return found;
        }""",
    )
    assert found == ["Ben is typing", "", "Cat is typing", []]


CHAT = """async () => {
    const { Chat } = await import("/chat.js");
    const place = document.body.appendChild(document.createElement("div")).attachShadow({ mode: "open" });
    const user = { id: "ana", name: "Ana" };
    const room = (fields) => ({
        room: "dm-1", kind: "direct", title: "", head: 1, number: 0, read: 0, role: "member", archived: false,
        peer: { user: "ben", name: "Ben" }, hidden: false, blocked: false, ...fields });
    const data = { gateways: [location.origin], token: "t", user, rooms: [room({})], active: null };
    const chat = new Chat(place, data);
    chat.update(data, () => {});
    const answers = [];
    chat.client.api.rooms = () => new Promise((resolve) => answers.push((fields) => resolve([room(fields)])));
    const told = async () => {
        await new Promise((resolve) => setTimeout(resolve)); // all that is to be drawn is drawn
        return [...place.querySelectorAll("[data-testid=room-item]")].map((item) => item.textContent);
    };
    const hear = (type, detail) => chat.client.dispatchEvent(new CustomEvent(type, { detail }));
    const joined = () => hear("joined", { room: "@me", number: 0, read: 0, fresh: true });
    try {
        return await PLAY;
    } finally {
        chat.destroy();
    }
}"""
"""A chat without a gateway, whose lists of rooms are answered by hand."""


async def test_what_was_decided_before_the_inbox_was_joined_is_asked_for(page: Page) -> None:
    """The list that came with the page, or at the welcome, may be of a moment before that."""
    play = """(async () => {
        const before = await told();
        joined();
        answers[0]({ hidden: true });
        return [before, await told()];
    })()"""
    assert await run_in_page(page, CHAT.replace("PLAY", play)) == [["Ben"], []]


async def test_an_older_list_of_rooms_takes_no_newer_ones_place(page: Page) -> None:
    play = """(async () => {
        joined();
        joined();
        answers[1]({ blocked: true });
        const newer = await told();
        answers[0]({ blocked: false });
        return [newer, await told()];
    })()"""
    assert await run_in_page(page, CHAT.replace("PLAY", play)) == [["Ben blocked"], ["Ben blocked"]]


async def test_what_one_decides_is_not_undone_by_a_list_that_was_asked_for_before(page: Page) -> None:
    play = """(async () => {
        joined();
        const event = { seq: 2, type: "direct.hidden", sender: "ana", user: "ben", upto: 0 };
        hear("events", { room: "@me", events: [event] });
        answers[0]({ hidden: false });
        return [answers.length, await told()];
    })()"""
    assert await run_in_page(page, CHAT.replace("PLAY", play)) == [2, []]


async def test_a_field_for_looking_has_no_cross_of_the_browsers(page: Page) -> None:
    """One of the type `search` has, right below the one that closes. What it is for is told all the same."""
    found = await run_in_page(
        page,
        """async () => {
            const { Finder } = await import("/finder.js");
            const { Search } = await import("/search.js");
            const fields = [new Finder(document.createElement("div")).input, new Search({}, {}).input];
            return fields.map((field) => [field.type, field.getAttribute("role")]);
        }""",
    )
    assert found == [["text", "searchbox"]] * 2


async def test_where_no_room_is_open_there_is_no_empty_heading(page: Page) -> None:
    found = await run_in_page(
        page,
        """async () => {
            const { Head } = await import("/head.js");
            const { skeleton } = await import("/page.js");
            const head = new Head(skeleton());
            const others = { here: undefined, peer: undefined };
            const isHidden = (name) => { head.draw(undefined, { name }, [], others); return head.title.hidden; };
            return ["", "Welcome"].map(isHidden);
        }""",
    )
    assert found == [True, False]


def test_modules_that_become_one_name_nothing_alike() -> None:
    top = re.compile(r"^(?:export )?(?:default )?(?:async )?(?:function|class|const|let) \*?(\w+)", re.MULTILINE)
    for folder in FOLDERS:
        names = [
            name for file in folder.glob("*.js") if file.name != "cookie.js" for name in top.findall(file.read_text())
        ]
        assert len(names) > 40
        assert sorted({name for name in names if names.count(name) > 1}) == []
