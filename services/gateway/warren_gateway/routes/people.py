"""The HTTP API, version 1: people, and who is here."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.ids import MYSELF
from warren.contract.presence import OnlineStatus, Status
from warren.contract.wire import Timestamp, utc_now

from warren_gateway.http.bodies import JsonRoute
from warren_gateway.http.dependencies import Context, Me, PageSize, Room, Somebody, Typist
from warren_gateway.http.errors import OF_A_ROOM, READING, ProblemError, responses
from warren_gateway.rooms.access import check_may_type
from warren_gateway.rooms.names import resolve

router = APIRouter(prefix="/v1", route_class=JsonRoute)


class PeopleResponse(BaseModel):
    """People by id."""

    people: list[q.Person]


class Presence(BaseModel):
    """Somebody who is in a room now."""

    user: str
    name: str
    status: OnlineStatus


class RoomPresence(BaseModel):
    """Who is in a room now; `people` is null if they are too many to be named."""

    room: str
    online: int
    away: int
    people: list[Presence] | None


class UserStatus(BaseModel):
    """Whether somebody is connected; `last_seen` is when they last were, null while they are or if they never were."""

    user: str
    name: str
    status: Status
    last_seen: Timestamp | None


@router.get("/people", responses=responses(*READING))
async def people(
    user: Me,
    context: Context,
    q_: Annotated[str, Query(alias="q", min_length=1, max_length=128)],
    limit: PageSize = 20,
) -> PeopleResponse:
    """Find people by the beginning of their id, their name, or a word of it."""
    answer = await context.rpc.ask(q.People(user=user.id, prefix=q_, limit=limit), q.PeopleAnswer)
    return PeopleResponse(people=answer.people)


@router.get("/users/{user}", responses=responses(*READING, Code.NOT_FOUND))
async def user_status(user: Somebody, caller: Me, context: Context) -> UserStatus:
    """Say whether somebody is connected, to who shares a room with them."""
    other = caller.id if user == MYSELF else user
    found = await context.rpc.ask(q.Acquaintance(user=caller.id, other=other), q.Acquainted)
    seen = await context.presence.user_status(other)
    return UserStatus(user=other, name=found.name, status=seen.status, last_seen=seen.last_seen)


@router.get("/rooms/{room}/presence", responses=responses(*OF_A_ROOM))
async def room_presence(room: Room, user: Me, context: Context) -> RoomPresence:
    """Say who is in a room now, to its members."""
    access = await context.rpc.ask(q.RoomAccess(room=resolve(room, user.id), user=user.id), q.Access)
    if not access.member:
        raise ProblemError(Code.FORBIDDEN, "only members may do this")
    snapshot = await context.presence.snapshot(room)
    named = snapshot.people
    present = None if named is None else [Presence(**person.model_dump()) for person in named]
    return RoomPresence(room=room, online=snapshot.count.online, away=snapshot.count.away, people=present)


@router.post("/rooms/{room}/typing", status_code=204, responses=responses(*OF_A_ROOM))
async def typing(room: Room, user: Typist, context: Context) -> Response:
    """Show the room's other members that one is typing; to be said again every 3 seconds while it goes on."""
    access = await context.registry.access(resolve(room, user.id), user.id)
    check_may_type(access, utc_now())
    await context.presence.typing(room, user.id, user.name)
    return Response(status_code=204)
