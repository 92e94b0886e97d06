"""A small client of the gateway's HTTP API, for what happens outside the chat: who am I, my rooms, new rooms."""

import logging
from typing import Any

import httpx

_TIMEOUT = httpx.Timeout(10.0, connect=2.0)
"""Seconds. A room is created with a write that waits for the store, so an answer may take some."""
_IDLE = 4.0
"""Seconds for which a connection is kept: gateways close theirs after five, and what is sent at that moment is lost."""

_log = logging.getLogger(__name__)


class ApiError(Exception):
    """The gateway did not do it; the text is for the person."""


class Refused(ApiError):
    """The gateway refused, with this HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status

    @property
    def unauthorized(self) -> bool:
        """Whether the token is not (any more) good."""
        return self.status == httpx.codes.UNAUTHORIZED


class Unreachable(ApiError):
    """No gateway could take the request: worth another try."""


class Gateway:
    """Speaks to whichever gateway answers. Safe to share between threads."""

    def __init__(self, urls: list[str], transport: httpx.BaseTransport | None = None) -> None:
        self._urls = urls
        transport = transport or httpx.HTTPTransport(limits=httpx.Limits(keepalive_expiry=_IDLE))
        self._http = httpx.Client(timeout=_TIMEOUT, transport=transport)

    def guest(self, name: str) -> dict[str, Any]:
        """Sign in as a guest: `{"token", "user": {"id", "name"}, "expires_in"?}`."""
        answer: dict[str, Any] = self._ask("POST", "/v1/guest", json={"name": name})
        return answer

    def me(self, token: str) -> dict[str, str]:
        """Return whose token it is, and where who is new lands: `{"id", "name", "landing"?}`."""
        person: dict[str, str] = self._ask("GET", "/v1/me", token)
        return person

    def rooms(self, token: str) -> list[dict[str, Any]]:
        """Return the rooms that one is a member of."""
        rooms: list[dict[str, Any]] = self._ask("GET", "/v1/rooms", token)["rooms"]
        return rooms

    def create_room(self, token: str, room: str | None, kind: str, title: str, key: str) -> str:
        """Create a room and return its id, unguessable if none is given; the same `key` again creates nothing more."""
        body = {"kind": kind, "title": title, **({"room": room} if room else {})}
        return str(self._ask("POST", "/v1/rooms", token, json=body, headers={"Idempotency-Key": key})["room"])

    def join(self, token: str, room: str) -> None:
        """Become a member of a public room."""
        self._ask("PUT", f"/v1/rooms/{room}/members/me", token)

    def _ask(
        self, method: str, path: str, token: str = "", *, json: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        """Try each gateway in turn. All requests here may be repeated: they read, or do no harm twice."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        trouble = "No gateway is configured."
        for url in self._urls:
            try:
                response = self._http.request(method, url + path, json=json, headers=sent)
            except httpx.TransportError as error:
                _log.warning("%s %s%s: %s", method, url, path, type(error).__name__)
                trouble = "The server can't be reached just now. Try again in a moment."
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return _answer(response)
            trouble = _detail(response)
        raise Unreachable(trouble)


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    raise Refused(response.status_code, _detail(response))


def _detail(response: httpx.Response) -> str:
    """The sentence of an RFC 9457 problem, or the bare status."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {response.status_code}."
