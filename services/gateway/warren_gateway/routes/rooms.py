"""The HTTP API, version 1: rooms, their people, and what moderators do."""

import secrets
from hashlib import sha256
from typing import Annotated, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, model_validator
from warren.contract import commands as c
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.events import NewRoomKind, Role, RoomKind
from warren.contract.ids import Key, Reason, RoomId, RoomRef, Title
from warren.contract.wire import Strict, Timestamp

from warren_gateway.auth.tokens import User
from warren_gateway.http.bodies import JsonRoute
from warren_gateway.http.changes import Change, common_fields, ensure, submit, target_of
from warren_gateway.http.dependencies import AfterUser, Changer, Context, IdempotencyKey, Me, PageSize, Room, Somebody
from warren_gateway.http.errors import OF_A_ROOM, READING, responses
from warren_gateway.rooms.names import resolve

router = APIRouter(prefix="/v1", route_class=JsonRoute)


class RoomRequest(Strict):
    """A room to be made. Without `room` it gets an id that nobody can guess; best for private ones."""

    room: RoomId | None = None
    kind: NewRoomKind = "public"
    title: Title | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.room is None and self.title is None:
            raise ValueError("give a room, a title or both")
        return self


class RoomResponse(BaseModel):
    """A room that was made."""

    room: str
    kind: RoomKind
    title: str
    seq: int


class RoomChange(Strict):
    """What shall be different in the room; one thing at a time, since each is an event of its own."""

    title: Title | None = None
    archived: bool | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.title is None) == (self.archived is None):
            raise ValueError("give either title or archived")
        return self


class RoomDetails(BaseModel):
    """A room and what one is in it; `role` is null for who only reads, `muted` the end of a mute."""

    room: str
    kind: RoomKind
    title: str
    head: int
    number: int
    read: int
    member: bool
    role: Role | None
    muted: str | None
    archived: bool
    peer: q.Person | None


class MemberRequest(Strict):
    """The role that somebody shall have; without one, they are to become a member or be invited."""

    role: Role | None = None


class MeasureRequest(Strict):
    """How long a ban or mute holds (for ever without `until`), and why."""

    until: Timestamp | None = Field(default=None, strict=False)
    reason: Reason | None = None


class RoomsResponse(BaseModel):
    """One's own rooms."""

    rooms: list[q.RoomSummary]


class DirectoryResponse(BaseModel):
    """Public rooms by id; `more`: ask again with `after` = the last one."""

    rooms: list[q.DirectoryEntry]
    more: bool


class MembersResponse(BaseModel):
    """People of a room by id; `more`: ask again with `after` = the last one.

    `watched_by`: bots that read the room without being members, since the operator lets them read every room.
    """

    members: list[q.MemberEntry]
    more: bool
    watched_by: list[str]


@router.get("/rooms", responses=responses(*READING))
async def rooms(user: Me, context: Context) -> RoomsResponse:
    """List the rooms one is a member of."""
    answer = await context.rpc.ask(q.MyRooms(user=user.id), q.RoomList)
    return RoomsResponse(rooms=answer.rooms)


@router.get("/directory", responses=responses(*READING))
async def directory(
    user: Me,
    context: Context,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: PageSize = q.PAGE_LIMIT,
) -> DirectoryResponse:
    """List public rooms."""
    answer = await context.rpc.ask(q.Directory(user=user.id, after=after, limit=limit), q.DirectoryPage)
    return DirectoryResponse(rooms=answer.rooms, more=answer.more)


@router.post("/rooms", status_code=201, responses=responses(*READING, Code.FORBIDDEN, Code.EXISTS))
async def create_room(body: RoomRequest, user: Changer, context: Context, key: IdempotencyKey = None) -> RoomResponse:
    """Make a room and become its owner."""
    room = body.room or _unguessable(user, key)
    title = body.title or room
    command = c.CreateRoom(**common_fields(user, room, key), kind=body.kind, title=title)
    stored = await submit(context, command)
    return RoomResponse(room=room, kind=body.kind, title=title, seq=stored.seq)


@router.get("/rooms/{room}", responses=responses(*OF_A_ROOM))
async def room_details(room: Annotated[RoomRef, Path()], user: Me, context: Context) -> RoomDetails:
    """Say what a room is and what one may do there."""
    found = await context.rpc.ask(q.RoomAccess(room=resolve(room, user.id), user=user.id), q.Access)
    return RoomDetails(room=room, **found.model_dump(mode="json", exclude={"type", "epoch"}))


@router.patch("/rooms/{room}", responses=responses(*OF_A_ROOM))
async def change_room(
    room: Room, body: RoomChange, user: Changer, context: Context, key: IdempotencyKey = None
) -> Change:
    """Rename the room (moderators), archive or restore it (owners)."""
    common = common_fields(user, room, key)
    if body.title is not None:
        return await ensure(context, c.Rename(**common, title=body.title))
    return await ensure(context, c.Archive(**common) if body.archived else c.Restore(**common))


@router.get("/rooms/{room}/members", responses=responses(*OF_A_ROOM))
async def members(
    room: Room,
    user: Me,
    context: Context,
    state: Annotated[q.MemberState, Query()] = "member",
    after: AfterUser = "",
    limit: PageSize = q.PAGE_LIMIT,
) -> MembersResponse:
    """List the room's members (for members), or who is invited or banned (for moderators)."""
    query = q.Members(room=room, user=user.id, state=state, after=after, limit=limit)
    answer = await context.rpc.ask(query, q.MemberPage)
    return MembersResponse(members=answer.members, more=answer.more, watched_by=answer.watched_by)


@router.put("/rooms/{room}/members/{user}", responses=responses(*OF_A_ROOM))
async def put_member(
    room: Room,
    user: Somebody,
    caller: Changer,
    context: Context,
    body: MemberRequest | None = None,
    key: IdempotencyKey = None,
) -> Change:
    """Join (`me`), invite somebody, or give somebody a role; being so already is fine."""
    common, target = common_fields(caller, room, key), target_of(user, caller)
    if body is not None and body.role is not None:
        return await ensure(context, c.SetRole(**common, user=target, role=body.role))
    if target == caller.id:
        return await ensure(context, c.Join(**common))
    return await ensure(context, c.Invite(**common, user=target))


@router.delete("/rooms/{room}/members/{user}", responses=responses(*OF_A_ROOM))
async def delete_member(
    room: Room, user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None
) -> Change:
    """Leave or decline (`me`), or remove somebody or their invitation (moderators)."""
    common, target = common_fields(caller, room, key), target_of(user, caller)
    if target == caller.id:
        return await ensure(context, c.Leave(**common))
    return await ensure(context, c.Remove(**common, user=target))


@router.put("/rooms/{room}/bans/{user}", responses=responses(*OF_A_ROOM))
async def ban(
    room: Room,
    user: Somebody,
    caller: Changer,
    context: Context,
    body: MeasureRequest | None = None,
    key: IdempotencyKey = None,
) -> Change:
    """Keep somebody out of the room (moderators)."""
    measure = (body or MeasureRequest()).model_dump()
    return await ensure(context, c.Ban(**common_fields(caller, room, key), user=target_of(user, caller), **measure))


@router.delete("/rooms/{room}/bans/{user}", responses=responses(*OF_A_ROOM))
async def unban(room: Room, user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None) -> Change:
    """Let somebody come back (moderators)."""
    return await ensure(context, c.Unban(**common_fields(caller, room, key), user=target_of(user, caller)))


@router.put("/rooms/{room}/mutes/{user}", responses=responses(*OF_A_ROOM))
async def mute(
    room: Room,
    user: Somebody,
    caller: Changer,
    context: Context,
    body: MeasureRequest | None = None,
    key: IdempotencyKey = None,
) -> Change:
    """Keep somebody from writing (moderators; in a direct room each the other)."""
    measure = (body or MeasureRequest()).model_dump()
    return await ensure(context, c.Mute(**common_fields(caller, room, key), user=target_of(user, caller), **measure))


@router.delete("/rooms/{room}/mutes/{user}", responses=responses(*OF_A_ROOM))
async def unmute(room: Room, user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None) -> Change:
    """Let somebody write again (moderators; in a direct room who muted the other)."""
    return await ensure(context, c.Unmute(**common_fields(caller, room, key), user=target_of(user, caller)))


def _unguessable(user: User, key: Key | None) -> str:
    """Return a room id; the same for the same key, so that a repeated request does not make a second room."""
    return "r-" + (sha256(f"{user.id}\n{key}".encode()).hexdigest()[:24] if key else secrets.token_hex(12))
