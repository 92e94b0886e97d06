"""The HTTP API, version 1: who one is, and what is said."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.commands import Send
from warren.contract.frames import Identity, Limits
from warren.contract.ids import Cursor, DisplayName, RoomRef, Seq, Text
from warren.contract.wire import Strict

from warren_gateway.http.bodies import JsonRoute
from warren_gateway.http.changes import common_fields, submit
from warren_gateway.http.dependencies import Context, IdempotencyKey, Me, PageSize, Room, Sender, SignedIn
from warren_gateway.http.errors import OF_A_ROOM, ProblemError, responses
from warren_gateway.rooms.names import resolve

router = APIRouter(prefix="/v1", route_class=JsonRoute)
guests = APIRouter(prefix="/v1", route_class=JsonRoute)
"""Where the gateway hands out tokens itself …"""
no_guests = APIRouter(prefix="/v1")
"""… and where it does not, and reads nothing of what is asked of it."""


class GuestRequest(Strict):
    """Who wants in."""

    name: DisplayName


class MeResponse(Identity):
    """Whose token it is; `expires_in` is in seconds. `landing`: the room for who is in none yet, if there is one."""

    limits: Limits
    expires_in: int
    landing: str | None


class GuestResponse(BaseModel):
    """A token and whom it stands for; `expires_in` is in seconds."""

    token: str
    user: Identity
    expires_in: int


class MessageRequest(Strict):
    """Something to say."""

    text: Text
    reply_to: Seq | None = None


class StoredResponse(BaseModel):
    """Where something is stored; the same answer comes for the same key, ever."""

    room: str
    seq: int
    number: int
    key: str


class PageResponse(BaseModel):
    """Messages, newest last; `more`: there are further ones in the direction asked for.

    `at`: the seq at which the page was read, so that only events after it are news to it.
    `notes`: the other events between them, if they were asked for; the newest 200, or fewer if they are large.
    `notes_cut`: there are older ones between them, which the room's `events` have.
    """

    messages: list[dict[str, Any]]
    more: bool
    at: int | None = None
    notes: list[dict[str, Any]] = Field(default_factory=list)
    notes_cut: bool = False


class LogResponse(BaseModel):
    """Events of a room's log, oldest first and without a gap; there are more while the last is below `head`."""

    epoch: str
    head: int
    events: list[dict[str, Any]]


@no_guests.post("/guest", responses=responses(Code.NOT_FOUND, Code.TOO_MANY))
async def no_guest() -> None:
    """Give a token to nobody."""
    raise ProblemError(Code.NOT_FOUND, "tokens come from elsewhere: there are no guests")


@guests.post("/guest", responses=responses(Code.INVALID, Code.NOT_FOUND, Code.TOO_MANY))
async def guest(body: GuestRequest, context: Context) -> GuestResponse:
    """Give a token to whoever asks (guest mode)."""
    if context.guests is None:
        raise ProblemError(Code.NOT_FOUND, "tokens come from elsewhere: there are no guests")
    token, user = context.guests.issue(body.name)
    context.sign_ins.note(user)
    identity = Identity(id=user.id, name=user.name)
    return GuestResponse(token=token, user=identity, expires_in=context.guests.token_seconds)


@router.get("/me", responses=responses(Code.UNAUTHORIZED, Code.TOO_MANY))
async def me(user: SignedIn, context: Context) -> MeResponse:
    """Say whose token it is, for how many seconds, and what one connection may do."""
    expires_in = max(0, int(user.expires - time.time()))
    return MeResponse(
        id=user.id,
        name=user.name,
        limits=context.limits.advertised,
        expires_in=expires_in,
        landing=context.settings.landing_room,
    )


@router.post("/rooms/{room}/messages", status_code=201, responses=responses(*OF_A_ROOM))
async def send(
    room: Room, body: MessageRequest, user: Sender, context: Context, key: IdempotencyKey = None
) -> StoredResponse:
    """Say something; answered once it is stored. Without a key every request is a message of its own."""
    command = Send(**common_fields(user, room, key), **body.model_dump())
    stored = await submit(context, command)
    return StoredResponse(room=room, seq=stored.seq, number=stored.number, key=command.key)


@router.get("/rooms/{room}/messages", responses=responses(*OF_A_ROOM))
async def history(
    room: Annotated[RoomRef, Path()],
    user: Me,
    context: Context,
    before: Annotated[Seq | None, Query()] = None,
    after: Annotated[Cursor | None, Query()] = None,
    limit: PageSize = 50,
    notes: Annotated[bool, Query()] = False,
) -> PageResponse:
    """Read messages (of `@me`: notices) before or after a seq; without either the newest."""
    if before is not None and after is not None:
        raise ProblemError(Code.INVALID, "before or after, not both")
    query = q.History(room=resolve(room, user.id), user=user.id, before=before, after=after, limit=limit, notes=notes)
    answer = await context.rpc.ask(query, q.Page)
    return PageResponse(**answer.model_dump(exclude={"type"}))


@router.get("/rooms/{room}/events", responses=responses(*OF_A_ROOM))
async def events(
    room: Annotated[RoomRef, Path()],
    user: Me,
    context: Context,
    after: Annotated[Cursor, Query()] = 0,
    limit: Annotated[int, Query(ge=1, le=q.RANGE_LIMIT)] = q.RANGE_LIMIT,
) -> LogResponse:
    """Read the log itself after a seq, as it was written: messages, and who did what to whom."""
    query = q.EventRange(room=resolve(room, user.id), user=user.id, after=after, limit=limit)
    answer = await context.rpc.ask(query, q.Range)
    return LogResponse(epoch=answer.epoch, head=answer.head, events=answer.events)
