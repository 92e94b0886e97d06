"""`GET /v1/sse`: the rooms of one client as Server-Sent Events."""

import asyncio
import contextlib
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import FailFast, StringConstraints
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from warren.contract.codes import Code
from warren.contract.ids import RoomRef
from warren.contract.presence import OnlineStatus

from warren_gateway.auth.tokens import User
from warren_gateway.connections.limits import address_of
from warren_gateway.context import AppContext
from warren_gateway.delivery.subscriber import CLOSE_GRACE
from warren_gateway.http.bodies import JsonRoute
from warren_gateway.http.dependencies import Context
from warren_gateway.http.errors import READING, ProblemError, responses
from warren_gateway.http.listener import EXTENSION, Listener
from warren_gateway.transports.cursors import CURSOR_PATTERN, Cursors
from warren_gateway.transports.event_stream import SseTransport
from warren_gateway.transports.long_lived import Following, LongLivedUser, cursors_of, disconnect_watched, pay_for

router = APIRouter(prefix="/v1", route_class=JsonRoute)

CursorText = Annotated[str, StringConstraints(pattern=CURSOR_PATTERN, max_length=4_000)]


HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would gather events until there are 4 KB of them
    "Connection": "close",  # its end ends the connection: what a slow reader has left lying goes with it
}


class EventStream(Response):
    """A stream as the answer to a request, for as long as client and gateway live."""

    media_type = "text/event-stream"

    def __init__(self, context: AppContext, user: User, cursors: Cursors, status: OnlineStatus) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._context = context
        self._user = user
        self._cursors = cursors
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        listener: Listener = scope["extensions"][EXTENSION]
        abort_later = partial(asyncio.get_running_loop().call_later, CLOSE_GRACE, listener.abort)
        stream = SseTransport(listener, self._cursors, self._context.settings.outbox_bytes, abort_later)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        stream.begin()
        with self._context.serving(stream, address_of(scope)) as connection:
            connection.admit(self._user)
            connection.follow(self._cursors.joins, self._status)
            with disconnect_watched(receive, stream.gone):
                await _last(stream, self._context.limits.keep_alive)
        await send({"type": "http.response.body", "body": b""})


async def _last(stream: SseTransport, keep_alive: int) -> None:
    """Return when the stream is over, and keep what lies between here and the client from thinking that it is dead."""
    while not stream.over.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(keep_alive):
                await stream.over.wait()
        stream.keep_alive()


_AS_A_STREAM: dict[str, Any] = {
    "status_code": 200,
    "response_class": EventStream,
    "responses": {
        **responses(*READING),
        200: {"description": "Events, as docs/protocol.md says.", "content": {"text/event-stream": {}}},
    },
}


@router.get("/sse", **_AS_A_STREAM)
async def sse(
    user: LongLivedUser,
    context: Context,
    room: Annotated[list[RoomRef], FailFast(), Query(min_length=1)],
    cursor: Annotated[CursorText | None, Query()] = None,
    status: OnlineStatus = "online",
    last_event_id: Annotated[CursorText | None, Header()] = None,
) -> EventStream:
    """Follow rooms, from where `Last-Event-ID` or `cursor` says that the client is."""
    if len(room) > context.settings.rooms_per_connection:
        raise ProblemError(Code.INVALID, f"more than {context.settings.rooms_per_connection} rooms")
    if len(set(room)) < len(room):
        raise ProblemError(Code.INVALID, "a room is named twice")
    try:
        cursors = Cursors.parse(room, last_event_id or cursor)
    except ValueError as error:
        raise ProblemError(Code.INVALID, str(error)) from error
    pay_for(cursors, user, context)
    return EventStream(context, user, cursors, status)


@router.post("/sse", **_AS_A_STREAM)
async def follow(body: Following, user: LongLivedUser, context: Context) -> EventStream:
    """Follow rooms, likewise: a body holds more rooms than an address, and stands in no log."""
    return EventStream(context, user, cursors_of(body.cursors, user, context), body.status)
