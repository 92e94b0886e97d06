"""The chat component and the cookie keeper: JavaScript in the page (components v2), no iframe, no build step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import streamlit as st
from warren_client import bundle, enclosed

from warren_ui.component.confusables import confusables_script

_HERE = Path(__file__).parent
_CHAT = (
    "wording.js", "lookalikes.js", "timeline.js", "emoji.js", "draw.js", "dot.js",
    "storage.js", "memory.js", "names.js", "rooms.js", "history.js", "inbox.js", "notices.js", "inboxpanel.js",
    "page.js", "banner.js",
    "presence.js", "typing.js", "growing.js", "idle.js", "midnight.js", "presencesync.js",
    "composer.js", "log.js", "aside.js", "head.js", "roomlist.js", "rights.js", "measures.js", "panelrows.js",
    "search.js", "panel.js", "finder.js", "folding.js", "lookups.js", "chat.js", "mount.js",
)  # fmt: skip
"""The modules of the chat, dependencies first; no two of them name a thing alike at their top level."""


class Peer(TypedDict):
    """The other one of a direct room."""

    user: str
    name: str


class RoomInfo(TypedDict):
    """A room as the chat lists it: `head` and `number` count its events and messages up to then."""

    room: str
    kind: str
    title: str
    head: int
    number: int
    read: int
    role: str
    archived: bool
    peer: Peer | None
    hidden: bool
    blocked: bool


class Active(TypedDict):
    """The room to open, once for each new `turn`."""

    room: str
    turn: int


class Find(TypedDict):
    """What to let the person look for, once for each new `turn`: `browse` (rooms), `talk` (people)."""

    what: str
    turn: int


class Wish(TypedDict):
    """What the person asked the script for inside the component: `new`, `refresh`, `expired`."""

    wish: str
    at: float


def chat_script() -> str:
    """Return the chat's JavaScript with the client: one module, which exports the function that Streamlit calls."""
    return f"{enclosed()}\n{bundle([confusables_script(), *map(_text, _CHAT)])}"


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


_chat = st.components.v2.component("warren.chat", js=chat_script(), css=_text("chat.css"))
_cookie = st.components.v2.component("warren.cookie", js=_text("cookie.js"))


def chat(
    *,
    gateways: list[str],
    token: str,
    user: dict[str, str] | None,
    rooms: list[RoomInfo] | None,
    active: Active | None,
    find: Find | None,
    on_wish: Callable[[], None],
) -> None:
    """Draw the chat. `rooms` None: they could not be asked for, the component will."""
    data = {"gateways": gateways, "token": token, "user": user, "rooms": rooms, "active": active, "find": find}
    _chat(key="chat", data=data, on_wish_change=on_wish)


def wish() -> str:
    """Return what the component asked for in this run, or the empty text."""
    state: Any = st.session_state.get("chat")
    asked: Wish | None = state.get("wish") if state else None
    return asked["wish"] if asked else ""


def cookie(order: dict[str, str | int]) -> None:
    """Have the browser keep (`keep`, `seconds`) or forget (`forget`) a token."""
    _cookie(key="cookie", data=order)
