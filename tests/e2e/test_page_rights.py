"""What the page offers to whom is what the registry lets them do: the rules stand there, and the page repeats them."""

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import warren_ui.component
from harness.web_site import WebSite
from playwright.async_api import Browser, Page
from warren.contract import commands as c
from warren.contract.events import Role, RoomKind
from warren.contract.ids import direct_room
from warren_persistence.domain.decide import decide
from warren_persistence.domain.facts import NO_FACTS
from warren_persistence.domain.room import FOREVER, Membership, Room

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS: tuple[RoomKind, ...] = ("public", "private", "direct")
ROLES: tuple[Role, ...] = ("member", "moderator", "owner")
OFFERED = """async (cases) => {
    const { roomRights, memberActions } = await import("/rights.js");
    return cases.map(({ timeline, entry }) => (entry ? memberActions(timeline, entry, "ann") : roomRights(timeline)));
}"""
ABOUT_ROOMS: dict[str, tuple[type[c.AnyCommand], dict[str, Any]]] = {
    "rename": (c.Rename, {"title": "Other"}),
    "invite": (c.Invite, {"user": "eve"}),
    "leave": (c.Leave, {}),
}
ABOUT_PEOPLE: dict[str, tuple[type[c.AnyCommand], dict[str, Any]]] = {
    "mute": (c.Mute, {}),
    "unmute": (c.Unmute, {}),
    "remove": (c.Remove, {}),
    "ban": (c.Ban, {}),
    **{f"role-{role}": (c.SetRole, {"role": role}) for role in ROLES},
}


@pytest.fixture(scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page from which the module can be imported."""
    site = WebSite()
    source = Path(warren_ui.component.__file__).with_name("rights.js").read_text()
    site.pages = {"/": "<!doctype html>", "/rights.js": source}
    async with site.running():
        page = await browser.new_page()
        await page.goto(site.url)
        yield page
        await page.close()


def room(kind: RoomKind, mine: Role, theirs: Role, *, archived: bool, muted: bool) -> Room:
    """Return a room of ann, bob, and another owner, so that nobody is the last of them."""
    people = {"ann": Membership("member", mine), "bob": Membership("member", theirs, muted=FOREVER if muted else None)}
    name = direct_room("ann", "bob") if kind == "direct" else "garden"
    found = Room(name, head=9, number=5, kind=kind, title="T", archived=archived, owners=3, members=people)
    if kind == "direct":
        found.pair = ("ann", "bob")
    return found


def allowed(found: Room, command: type[c.AnyCommand], fields: dict[str, Any]) -> bool:
    """Whether ann may do this."""
    common: c.Common = {"id": "i", "room": found.name, "sender": "ann", "name": "Ann", "key": "k"}
    asked = command.model_validate({**common, **fields})
    return not isinstance(decide(found, asked, NOW, NO_FACTS), c.Refused)


def places() -> Iterator[tuple[RoomKind, Role, Role, bool, bool]]:
    """Yield every kind of room with every two people in it; a direct one has no roles and no archive."""
    for kind, mine, theirs, archived, muted in itertools.product(KINDS, ROLES, ROLES, (False, True), (False, True)):
        if kind != "direct" or (mine, theirs, archived) == ("member", "member", False):
            yield kind, mine, theirs, archived, muted


async def test_what_is_offered_about_a_member_is_what_one_may_do(page: Page) -> None:
    cases = list(places())
    told = [
        {
            "timeline": {"kind": kind, "role": mine, "archived": archived, "isBlocked": False},
            "entry": {"user": "bob", "role": theirs, "muted": "9999-12-31T00:00:00.000Z" if muted else None},
        }
        for kind, mine, theirs, archived, muted in cases
    ]
    for (kind, mine, theirs, archived, muted), offered in zip(cases, await page.evaluate(OFFERED, told), strict=True):
        found = room(kind, mine, theirs, archived=archived, muted=muted)
        may = {name for name, (verb, fields) in ABOUT_PEOPLE.items() if allowed(found, verb, {"user": "bob", **fields})}
        if muted:
            may.discard("mute")  # one may, for longer; it is not offered
        assert set(offered) - {"talk"} == may, (kind, mine, theirs, archived, muted)


async def test_what_is_offered_about_a_room_is_what_one_may_do(page: Page) -> None:
    cases = [case for case in places() if case[1] == case[2] and not case[4]]
    told = [
        {"timeline": {"kind": kind, "role": mine, "archived": archived, "isBlocked": False}}
        for kind, mine, _, archived, _ in cases
    ]
    for (kind, mine, theirs, archived, muted), offered in zip(cases, await page.evaluate(OFFERED, told), strict=True):
        found = room(kind, mine, theirs, archived=archived, muted=muted)
        may = {name: allowed(found, verb, fields) for name, (verb, fields) in ABOUT_ROOMS.items()}
        may["archive"] = allowed(found, c.Restore if archived else c.Archive, {})
        assert {name: offered[name] for name in may} == may, (kind, mine, archived)
