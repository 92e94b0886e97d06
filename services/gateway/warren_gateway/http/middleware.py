"""What every HTTP exchange has: headers for browsers, a bound on the body, and a problem when all else fails."""

from collections.abc import Callable, Collection

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from warren.contract.codes import Code
from warren.supervise import failed

from warren_gateway.http.errors import problem_response
from warren_gateway.http.listener import HEADERS

Headers = list[tuple[bytes, bytes]]
ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # Pages of other origins use this gateway by CORS, which this says nothing about; it keeps them from embedding.
    (b"cross-origin-resource-policy", b"same-origin"),
]
POLICY: Headers = [(b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
API: Headers = [(b"cache-control", b"no-store")]
PATH_LIMIT = 1_024
"""Bytes of a path: a room and a person in it, each character escaped."""
QUERY_LIMIT = 2_048
"""Bytes of a query …"""
QUERY_FIELDS = 20
"""… and its parameters, but for a stream's: it names each of its rooms there."""
STREAM_PATH = "/v1/sse"


class SecurityHeaders:
    """Adds headers to every answer; what a route has set itself stays.

    `pages`: paths of what is made for browsers to show, with scripts.
    """

    def __init__(self, app: ASGIApp, pages: Collection[str] = ()) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        extra = self._extra(scope["path"])

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                set_already = {name.lower() for name, _ in headers}
                headers.extend(item for item in extra if item[0] not in set_already)
            await send(message)

        await self._app(scope, receive, sending)

    def _extra(self, path: str) -> Headers:
        headers = [*ALWAYS]
        if path not in self._pages:
            headers += POLICY
        if path.startswith("/v1/"):
            headers += API
        return headers


class CloseOnDrain:
    """Ends each connection with its answer once `leaving` holds.

    Proxies keep connections for further requests. One that comes as the connection is closed is lost, and nobody may
    repeat it for its sender if it is a POST.
    """

    def __init__(self, app: ASGIApp, leaving: Callable[[], bool]) -> None:
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and self._leaving():
                message.setdefault("headers", []).append((b"connection", b"close"))
            await send(message)

        await self._app(scope, receive, sending)


class HeadLimit:
    """Refuses what routing would cost too much for: more headers, parameters or characters than any request has here.

    `fields`: parameters of a query.
    """

    def __init__(self, app: ASGIApp, fields: int) -> None:
        self._app = app
        self._fields = fields

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif len(scope["headers"]) > HEADERS:
            await problem_response(431, Code.INVALID, f"more than {HEADERS} headers")(scope, receive, send)
        elif len(scope["raw_path"]) > PATH_LIMIT or not self._fits(scope["path"], scope["query_string"]):
            await problem_response(414, Code.INVALID, "the address is too long")(scope, receive, send)
        else:
            # Nobody here reads cookies, which are parsed for each request that might.
            scope["headers"] = [header for header in scope["headers"] if header[0] != b"cookie"]
            await self._app(scope, receive, send)

    def _fits(self, path: str, query: bytes) -> bool:
        if path == STREAM_PATH:
            return query.count(b"&") < self._fields
        return len(query) <= QUERY_LIMIT and query.count(b"&") < QUERY_FIELDS


class BodyLimit:
    """Answers 413 to a body that is too long for its path, and 500 to what nobody foresaw; both as problems."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._limit(scope["path"])
        if _declared(scope) > most:
            await problem_response(413, Code.INVALID, _too_long(most))(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, _bounded(receive, most), sending)
        except Exception as error:
            if started:
                raise
            failed("request", error, method=scope["method"])
            answer = problem_response(500, Code.UNAVAILABLE, "this should not have happened; try again")
            await answer(scope, receive, send)


def _bounded(receive: Receive, most: int) -> Receive:
    """Return a `receive` that fails when the body turns out to be longer than it may be."""
    left = most

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, _too_long(most))
        return message

    return receiving


def _too_long(most: int) -> str:
    return f"the body has more than {most} bytes"


def _declared(scope: Scope) -> int:
    """Return the length that the request declares, 0 if none."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()), 0)
