"""The dialog that makes rooms."""

import re
import secrets
import unicodedata

import streamlit as st

from warren_ui import session
from warren_ui.api import ApiError

_ROOM_LENGTH = 64
_KINDS = {"public": "Public: anybody can find and join it", "private": "Private: its members alone see it"}


def slug(title: str) -> str:
    """Return the room id nearest to `title`, empty if none is left of it: `Café Übersee!` is `cafe-ubersee`."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:_ROOM_LENGTH].rstrip("-_")


@st.dialog("New room")
def new_room() -> None:
    """Ask for a name and open the room. A private one gets an address that nobody can guess."""
    kind = st.radio("Who may read it?", list(_KINDS), format_func=_KINDS.__getitem__)
    with st.form("new-room", border=False):
        title = st.text_input("Name", max_chars=80, placeholder="Garden planning").strip()
        room = ""
        if kind == "public":
            room = st.text_input("Address", max_chars=_ROOM_LENGTH, placeholder="made from the name").strip()
        if st.form_submit_button("Create room", type="primary", width="stretch"):
            _create(slug(room or title) if kind == "public" else None, kind, title)


def _create(room: str | None, kind: str, title: str) -> None:
    if not title or room == "":
        st.error("Give the room a name." if not title else "Give the room an address: a-z, 0-9, - and _.")
        return
    wanted = (room or "", kind, title)
    try:
        room = session.gateway().create_room(session.token(), room, kind, title, _key(*wanted))
    except ApiError as error:
        st.error(str(error))
        return
    st.session_state["keys"].pop(wanted)
    session.open_room(room)
    st.rerun()


def _key(*wanted: str) -> str:
    """Return the same key for the same wish, so that pressing the button again after a failure repeats the command."""
    keys: dict[tuple[str, ...], str] = st.session_state.setdefault("keys", {})
    return keys.setdefault(wanted, secrets.token_hex(16))
