"""The Streamlit script: the login page, or the sidebar and the chat. Streamlit runs it from the top at every rerun."""

from pathlib import Path

import streamlit as st

from warren_ui import rooms, session
from warren_ui.api import ApiError, Refused
from warren_ui.component import Find, chat, wish

_STYLES = Path(__file__).parent / "styles"
# The sidebar's buttons by what they ask for: key, label, icon. (Streamlit would draw a docstring here.)
_ACTIONS = {
    "new": ("new-room", "New room", ":material/add:"),
    "browse": ("browse-rooms", "Browse rooms", ":material/search:"),
    "talk": ("message-somebody", "Message somebody", ":material/chat_bubble:"),
}


def _sign_in_page() -> None:
    st.html(_STYLES / "login.css")
    with st.container(key="login"):
        st.title("Warren", anchor=False)
        oidc = session.settings().oidc
        st.caption("Many rooms, connected." + ("" if oidc else " Choose the name that others will see."))
        if st.session_state.notice:
            st.warning(st.session_state.notice)
        if oidc:
            st.button("Sign in", key="sign-in", type="primary", width="stretch", on_click=st.login)
        else:
            _guest_form()


def _guest_form() -> None:
    with st.form("guest", border=False):
        name = st.text_input("Name", max_chars=64, placeholder="Your name", label_visibility="collapsed").strip()
        if st.form_submit_button("Enter", type="primary", width="stretch"):
            _sign_in(name)


def _sign_in(name: str) -> None:
    if not name:
        st.error("Enter a name.")
        return
    try:
        session.sign_in(name)
    except ApiError as error:
        st.error(str(error))
        return
    st.rerun()


def _sidebar(user: dict[str, str] | None) -> str:
    """Draw it, and return what it asks for."""
    wanted = ""
    with st.sidebar:
        with st.container(key="brand"):
            st.subheader("Warren", anchor=False)
        if user is None:
            st.warning("The server can't be reached just now. You stay signed in.")
        with st.container(key="actions", gap=None):
            for action, (key, label, icon) in _ACTIONS.items():
                if st.button(label, icon=icon, key=key, type="tertiary", width="stretch"):
                    wanted = action
        with st.container(key="account", horizontal=True, vertical_alignment="center"):
            st.text(user["name"] if user else "…", width="stretch")
            leave = None if not session.settings().oidc else session.leave
            if st.button("Sign out", icon=":material/logout:", key="sign-out", type="tertiary", on_click=leave):
                wanted = "leave"
    return wanted


@st.dialog("Sign out and lose this name?")
def _leave_as_guest(user: dict[str, str] | None) -> None:
    """Say what it means: what a guest is lies in this browser's token alone."""
    who = " ({name}, {id})".format(**user) if user else ""
    st.text(
        f"You are a guest{who}: no password brings you back. Whoever enters the same name is somebody else. "
        "Your private rooms, conversations and roles are lost to you; your messages stay."
    )
    with st.container(horizontal=True):
        if st.button("Sign out", key="sign-out-for-good", type="primary"):
            session.leave()
            st.rerun()  # all of the page: a press in here would draw this dialog alone
        if st.button("Stay", key="stay"):
            st.rerun()


def _wished() -> None:
    """Obey the component before the page is drawn."""
    if wish() == "expired":
        session.sign_out(session.ENDED)


def _chat_page(user: dict[str, str] | None) -> None:
    st.html(_STYLES / "chat.css")
    wanted = _sidebar(user) or wish()
    chat(
        gateways=session.settings().browser_gateways,
        token=session.token(),
        user=user,
        rooms=session.rooms() if user else None,
        active=st.session_state.get("active"),
        find=_find(wanted),
        on_wish=_wished,
    )
    if wanted == "new":
        rooms.new_room()
    if wanted == "leave":
        _leave_as_guest(user)


def _find(wanted: str) -> Find | None:
    """Have the chat ask, in this run alone: a widget would react when it is left, not while one types."""
    if wanted not in ("browse", "talk"):
        return None
    st.session_state["finds"] = st.session_state.get("finds", 0) + 1
    return {"what": wanted, "turn": st.session_state["finds"]}


def _page() -> None:
    user = session.verify() if session.token() else None
    if session.token():
        _chat_page(user)
    else:
        _sign_in_page()


def main() -> None:
    """Draw the page that fits."""
    st.set_page_config(page_title="Warren", page_icon=_STYLES / "icon.svg", layout="wide", initial_sidebar_state=256)
    session.restore()
    try:
        _page()
    except Refused as refusal:
        if not refusal.unauthorized:
            raise
        session.refused(refusal)
        st.rerun()
    session.keep_cookie()


if __name__ == "__main__":
    main()
