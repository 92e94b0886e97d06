"""The HTTP API, version 1: direct rooms, and who may reach one."""

from fastapi import APIRouter
from pydantic import BaseModel
from warren.contract import commands as c
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.ids import UserId, direct_room, inbox_room
from warren.contract.wire import Strict

from warren_gateway.auth.tokens import User
from warren_gateway.http.bodies import JsonRoute
from warren_gateway.http.changes import Change, common_fields, ensure, target_of
from warren_gateway.http.dependencies import AfterUser, Changer, Context, IdempotencyKey, Me, PageSize, Somebody
from warren_gateway.http.errors import READING, responses

router = APIRouter(prefix="/v1", route_class=JsonRoute)


class DirectRequest(Strict):
    """Whom to speak with."""

    user: UserId


class DirectResponse(BaseModel):
    """The direct room of two people."""

    room: str
    user: str


class BlocksResponse(BaseModel):
    """Whom one has blocked, by id; `more`: ask again with `after` = the last one."""

    people: list[q.Person]
    more: bool


@router.post("/direct", responses=responses(*READING, Code.FORBIDDEN, Code.NOT_FOUND))
async def direct(body: DirectRequest, user: Changer, context: Context, key: IdempotencyKey = None) -> DirectResponse:
    """Make the direct room of oneself and somebody who has ever signed in, or find the one there is."""
    other = target_of(body.user, user)
    room = direct_room(user.id, other)
    found = await ensure(context, c.CreateDirect(**common_fields(user, room, key), user=other))
    if found.seq is None:
        await ensure(context, c.Show(**_own(user, None), user=other))
    return DirectResponse(room=room, user=other)


@router.put("/direct/{user}/hidden", responses=responses(*READING, Code.NOT_FOUND))
async def hide(user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None) -> Change:
    """Leave a direct room out of one's list, until the next message in it."""
    other = target_of(user, caller)
    room = await context.rpc.ask(q.RoomAccess(room=direct_room(caller.id, other), user=caller.id), q.Access)
    return await ensure(context, c.Hide(**_own(caller, key), user=other, upto=room.number))


@router.delete("/direct/{user}/hidden", responses=responses(*READING))
async def show(user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None) -> Change:
    """Have a direct room in one's list again."""
    return await ensure(context, c.Show(**_own(caller, key), user=target_of(user, caller)))


@router.put("/people/{user}/block", responses=responses(*READING, Code.NOT_FOUND))
async def block(user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None) -> Change:
    """Let somebody reach one no more. They are not told."""
    return await ensure(context, c.Block(**_own(caller, key), user=target_of(user, caller)))


@router.delete("/people/{user}/block", responses=responses(*READING))
async def unblock(user: Somebody, caller: Changer, context: Context, key: IdempotencyKey = None) -> Change:
    """Let somebody reach one again."""
    return await ensure(context, c.Unblock(**_own(caller, key), user=target_of(user, caller)))


@router.get("/blocks", responses=responses(*READING))
async def blocks(user: Me, context: Context, after: AfterUser = "", limit: PageSize = q.PAGE_LIMIT) -> BlocksResponse:
    """List whom one has blocked."""
    answer = await context.rpc.ask(q.Blocks(user=user.id, after=after, limit=limit), q.PeopleAnswer)
    return BlocksResponse(people=answer.people, more=answer.more)


def _own(user: User, key: str | None) -> c.Common:
    """Return what every command about one's own affairs says: their log is one's inbox."""
    return common_fields(user, inbox_room(user.id), key)
