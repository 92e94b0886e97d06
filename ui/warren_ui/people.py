"""The dialog that finds somebody to speak with."""

import re

import streamlit as st

from warren_ui import session
from warren_ui.api import ApiError

_USER_ID = re.compile(r"[A-Za-z0-9_.@+-]{1,128}")


@st.dialog("Message somebody")
def message_somebody() -> None:
    """Find a person by name or id, and open the room of the two."""
    wanted = st.text_input("Find", placeholder="Name or id", label_visibility="collapsed", max_chars=128).strip()
    if not wanted:
        st.caption("Only the two of you can read it.")
        return
    try:
        found = session.gateway().people(session.token(), wanted)
    except ApiError as error:
        st.error(str(error))
        return
    me = (st.session_state.user or {}).get("id")
    others = [person for person in found if person["user"] != me]
    if not found:
        st.caption("Nobody of that name has been here. An exact id can be written to all the same.")
        if _USER_ID.fullmatch(wanted):
            others = [{"user": wanted, "name": wanted}]
    with st.container(height=min(420, 20 + 62 * len(others)) if others else "content", border=False):
        for person in others:
            _entry(person)


def _entry(person: dict[str, str]) -> None:
    name, button = st.columns([4, 1.4], vertical_alignment="center")
    with name, st.container(gap=None):
        st.text(person["name"])
        st.caption(re.sub(r"([_@+.-])", r"\\\1", person["user"]))  # a caption is Markdown
    if button.button("Message", key=f"message-{person['user']}", type="primary", width="stretch"):
        _open(person["user"])


def _open(user: str) -> None:
    try:
        room = session.gateway().direct(session.token(), user)
    except ApiError as error:
        st.error(str(error))
        return
    session.open_room(room)
    st.rerun()
