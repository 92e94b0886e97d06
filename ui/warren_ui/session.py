"""Who is signed in, in this Streamlit session and over a reload of the page."""

import logging
import time
from functools import cache
from typing import Any

import streamlit as st

from warren_ui.api import Gateway, Refused, Unreachable
from warren_ui.component import cookie
from warren_ui.config import Settings
from warren_ui.throttle import LogThrottle

COOKIE = "warren_token"
ENDED = "Your session has ended. Sign in again."
_DAY = 86_400
_LONGEST_ID = 128
"""Characters of a provider's `sub` that the log has; ids here are no longer."""
_log = logging.getLogger(__name__)
_refusals = LogThrottle()


@cache
def settings() -> Settings:
    """Return the settings, read once."""
    return Settings()


@cache
def gateway() -> Gateway:
    """Return the gateway client that all sessions share."""
    return Gateway(settings().server_gateways)


def restore() -> None:
    """At the start of a session, take the token that the browser kept. (Later the cookie is as old as the session.)

    The provider's is in Streamlit's own cookies; where they change, Streamlit begins another session.
    """
    if "token" not in st.session_state:
        kept = st.user.tokens.get("id", "") if settings().oidc else st.context.cookies.get(COOKIE, "")
        st.session_state.update(token=kept, user=None, cookie={}, notice="")


def token() -> str:
    """Return the token in use, empty if nobody is signed in."""
    return str(st.session_state.token)


def sign_in(name: str) -> None:
    """Become the guest `name`. Raises ApiError."""
    answer = gateway().guest(name)
    seconds = int(answer.get("expires_in") or 30 * _DAY)
    order = {"keep": answer["token"], "seconds": seconds}
    st.session_state.update(token=answer["token"], user=answer["user"], cookie=order, notice="")


def leave() -> None:
    """Sign out because the person wants to: at the provider too, if it offers that."""
    sign_out()
    if settings().oidc:
        st.logout()


def refused(refusal: Refused) -> None:
    """Sign out whom the gateway does not take (any more), and say why: on the login page, and to the operator.

    The operator is not told where the token has merely expired.
    """
    if not settings().oidc or _has_expired():
        sign_out(ENDED)
    else:
        _report(str(st.user.get("sub") or "")[:_LONGEST_ID], str(refusal))
        sign_out(
            f"You are signed in with your provider, but not here: {refusal}. "
            "Sign in again; if that does not help, tell whoever runs this server."
        )


def _has_expired() -> bool:
    return float(str(st.user.get("exp") or 0)) <= time.time()


def _report(who: str, why: str) -> None:
    passed_over = _refusals.due((who, why))
    if passed_over is not None:
        _log.warning(
            "%r has signed in at the provider and is refused by the gateway: %s (%d more times before)",
            who,
            why,
            passed_over,
        )


def sign_out(notice: str = "") -> None:
    """Forget the token, here and in the browser; `notice` says why on the login page."""
    order = {} if settings().oidc else {"forget": token()}
    st.session_state.update(token="", user=None, cookie=order, notice=notice, active=None, landed=False)


def verify() -> dict[str, str] | None:
    """Return who is signed in, None while no gateway can say. A token that is no good signs out."""
    if st.session_state.user is None:
        try:
            st.session_state.user = gateway().me(token())
        except Unreachable:
            return None
        except Refused as refusal:
            if not refusal.unauthorized:
                raise
            refused(refusal)
    user: dict[str, str] | None = st.session_state.user
    return user


def rooms() -> list[Any] | None:
    """Return one's rooms, None while no gateway can say. Who comes and is in none lands in the room made for that."""
    try:
        found = gateway().rooms(token())
        if not found and not st.session_state.get("landed"):
            found = _land()
    except Unreachable:
        return None
    st.session_state.landed = st.session_state.get("landed") or bool(found)  # who leaves the last one wants to
    return found


def _land() -> list[Any]:
    landing = gateway().me(token()).get("landing")
    if not landing:
        return []
    try:
        gateway().join(token(), landing)
    except Refused as refusal:
        if refusal.unauthorized:
            raise
        return []  # it is archived, or not made yet
    open_room(landing)
    return gateway().rooms(token())


def open_room(room: str) -> None:
    """Have the chat open `room`."""
    turn = st.session_state.get("turn", 0) + 1
    st.session_state.update(turn=turn, active={"room": room, "turn": turn})


def keep_cookie() -> None:
    """Carry out what was decided about the cookie; needs to be drawn on every page."""
    with st.container(key="hidden"):
        cookie(st.session_state.cookie)
