"""`POST /v1/poll`: what is new in the rooms of one client, as soon as there is something."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from warren.contract.ids import RoomRef
from warren.contract.presence import OnlineStatus, Presence
from warren.contract.wire import Strict

from warren_gateway.connections.limits import address_of
from warren_gateway.http.bodies import JsonRoute
from warren_gateway.http.dependencies import Context
from warren_gateway.http.errors import READING, responses
from warren_gateway.transports.long_lived import LongLivedUser, RoomCursor, cursors_of, disconnect_watched, one_by_one
from warren_gateway.transports.poll_answer import PollTransport

router = APIRouter(prefix="/v1", route_class=JsonRoute)

WAIT_LIMIT = 30.0
"""Seconds that a poll may wait: half of what proxies commonly allow."""
WAIT = 25.0
GRACE = 3.0
"""Seconds between two polls in which others see that nothing has changed."""


class PollCursor(RoomCursor):
    """Where the client is in a room.

    `presence`: what it knows of who is there, as the last answer said; the empty text at first. Without it, nothing is
    told of that.
    """

    presence: str | None = Field(default=None, max_length=64)


class PollRequest(Strict):
    """The rooms to follow, for how many seconds to wait, and whether anybody is at the device."""

    cursors: Annotated[dict[RoomRef, PollCursor], one_by_one(PollCursor)] = Field(min_length=1)
    wait: float = Field(default=WAIT, ge=0, le=WAIT_LIMIT)
    status: OnlineStatus = "online"


class Ended(BaseModel):
    """One may not read the room any more, since the event of type `because` at `seq`."""

    seq: int | None
    because: str | None


class Refusal(BaseModel):
    """The room cannot be followed; `temporary`: at the moment."""

    code: str
    detail: str
    temporary: bool


class Typist(BaseModel):
    """Somebody who is typing."""

    user: str
    name: str


class Growing(Typist):
    """What a bot has written so far of the message that will have this key."""

    key: str
    text: str


class RoomNews(BaseModel):
    """What is new in a room; where it stood when the poll came. With `reset`: reload history."""

    epoch: str | None = None
    head: int | None = None
    number: int | None = None
    read: int | None = None
    reset: bool | None = None
    events: list[dict[str, Any]] = Field(default_factory=list)
    presence: Presence | None = None
    typing: list[Typist] = Field(default_factory=list)
    partial: list[Growing] = Field(default_factory=list)
    left: Ended | None = None
    error: Refusal | None = None


class PollResponse(BaseModel):
    """What is new, by room, and the cursors of the next poll."""

    rooms: dict[str, RoomNews]
    cursors: dict[str, PollCursor]


@router.post("/poll", response_model=PollResponse, responses=responses(*READING))
async def poll(body: PollRequest, user: LongLivedUser, context: Context, request: Request) -> JSONResponse:
    """Follow rooms until there is something new, or `wait` seconds have passed."""
    cursors = cursors_of(body.cursors, user, context)
    presence = {room: cursor.presence for room, cursor in body.cursors.items() if cursor.presence is not None}
    answer = PollTransport(cursors, presence, context.presence.known)
    with context.serving(answer, address_of(request.scope), grace=GRACE) as connection:
        connection.admit(user)
        connection.follow(cursors.joins, body.status)

        def gone() -> None:
            connection.close(GRACE)
            answer.answer_now()

        with disconnect_watched(request.receive, gone):
            await connection.joins_done()
            await answer.wait(min(body.wait, user.expires - time.time()))
    return JSONResponse(answer.body())
