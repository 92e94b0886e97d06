"""The HTTP API, version 1."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.commands import Accepted, CreateRoom, Join, Refused, Send
from warren.contract.events import RoomKind
from warren.contract.ids import Cursor, DisplayName, Key, RoomId, Seq, Text, Title, UserId, new_id
from warren.contract.wire import Strict

from warren_gateway.auth import TokenRefused, User
from warren_gateway.problems import ProblemError, responses
from warren_gateway.state import Gateway

router = APIRouter(prefix="/v1")
_bearer = HTTPBearer(auto_error=False, description="A token, from POST /v1/guest in guest mode.")


def gateway(request: Request) -> Gateway:
    """Return the gateway behind the app."""
    found: Gateway = request.app.state.gateway
    return found


Here = Annotated[Gateway, Depends(gateway)]


def signed_in(here: Here, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> User:
    """Return who is asking, from the Authorization header."""
    if credentials is None:
        raise ProblemError(Code.UNAUTHORIZED, "send a token: Authorization: Bearer …")
    try:
        return here.auth.verify(credentials.credentials)
    except TokenRefused as error:
        raise ProblemError(Code.UNAUTHORIZED, str(error)) from error


Me = Annotated[User, Depends(signed_in)]
Room = Annotated[RoomId, Path()]
IdempotencyKey = Annotated[Key | None, Header(alias="Idempotency-Key")]


class GuestRequest(Strict):
    """Who wants in."""

    name: DisplayName


class Identity(BaseModel):
    """Who somebody is."""

    id: UserId
    name: str


class GuestResponse(BaseModel):
    """A token and whom it stands for; `expires_in` is in seconds."""

    token: str
    user: Identity
    expires_in: int


class RoomRequest(Strict):
    """A room to be made."""

    room: RoomId
    kind: RoomKind = "public"
    title: Title | None = None


class RoomResponse(BaseModel):
    """A room that was made."""

    room: str
    kind: RoomKind
    title: str
    seq: int


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


class RoomsResponse(BaseModel):
    """One's own rooms."""

    rooms: list[q.RoomSummary]


class DirectoryResponse(BaseModel):
    """Public rooms by id; `more`: ask again with `after` = the last one."""

    rooms: list[q.DirectoryEntry]
    more: bool


class PageResponse(BaseModel):
    """Messages, newest last; `more`: there are further ones in the direction asked for."""

    messages: list[dict[str, Any]]
    more: bool


@router.post("/guest", responses=responses(Code.INVALID))
async def guest(body: GuestRequest, here: Here) -> GuestResponse:
    """Give a token to whoever asks (guest mode)."""
    token, user = here.auth.issue(body.name)
    identity = Identity(id=user.id, name=user.name)
    return GuestResponse(token=token, user=identity, expires_in=here.settings.token_seconds)


@router.get("/me", responses=responses(Code.UNAUTHORIZED))
async def me(user: Me) -> Identity:
    """Say whose token it is."""
    return Identity(id=user.id, name=user.name)


@router.get("/rooms", responses=responses(Code.UNAUTHORIZED, Code.UNAVAILABLE))
async def rooms(user: Me, here: Here) -> RoomsResponse:
    """List the rooms one is a member of."""
    answer = await here.asker.ask(q.MyRooms(user=user.id), q.RoomList)
    return RoomsResponse(rooms=answer.rooms)


@router.get("/directory", responses=responses(Code.UNAUTHORIZED, Code.INVALID, Code.UNAVAILABLE))
async def directory(
    user: Me,
    here: Here,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=q.PAGE_LIMIT)] = q.PAGE_LIMIT,
) -> DirectoryResponse:
    """List public rooms."""
    answer = await here.asker.ask(q.Directory(after=after, limit=limit), q.DirectoryPage)
    return DirectoryResponse(rooms=answer.rooms, more=answer.more)


@router.post(
    "/rooms", status_code=201, responses=responses(Code.UNAUTHORIZED, Code.INVALID, Code.EXISTS, Code.UNAVAILABLE)
)
async def create_room(body: RoomRequest, user: Me, here: Here, key: IdempotencyKey = None) -> RoomResponse:
    """Make a room and become its first member."""
    title = body.title or body.room
    command = CreateRoom(
        id=new_id(),
        room=body.room,
        sender=user.id,
        name=user.name,
        key=key or new_id(),
        kind=body.kind,
        title=title,
    )
    stored = accepted(await here.submitter.call(command))
    return RoomResponse(room=body.room, kind=body.kind, title=title, seq=stored.seq)


@router.put(
    "/rooms/{room}/members/{user}",
    responses=responses(Code.UNAUTHORIZED, Code.INVALID, Code.FORBIDDEN, Code.NOT_FOUND, Code.UNAVAILABLE),
)
async def join(
    room: Room, user: Annotated[Literal["me"] | UserId, Path()], caller: Me, here: Here, key: IdempotencyKey = None
) -> Identity:
    """Become a member of a public room (`me`); being one already is fine."""
    if user not in ("me", caller.id):
        raise ProblemError(Code.FORBIDDEN, "only for oneself")
    answer = await here.submitter.call(
        Join(id=new_id(), room=room, sender=caller.id, name=caller.name, key=key or new_id())
    )
    if not (isinstance(answer, Refused) and answer.code == Code.EXISTS):
        accepted(answer)
    return Identity(id=caller.id, name=caller.name)


@router.post(
    "/rooms/{room}/messages",
    status_code=201,
    responses=responses(Code.UNAUTHORIZED, Code.INVALID, Code.FORBIDDEN, Code.NOT_FOUND, Code.UNAVAILABLE),
)
async def send(room: Room, body: MessageRequest, user: Me, here: Here, key: IdempotencyKey = None) -> StoredResponse:
    """Say something; answered once it is stored. Without a key every request is a message of its own."""
    command = Send(
        id=new_id(),
        room=room,
        sender=user.id,
        name=user.name,
        key=key or new_id(),
        text=body.text,
        reply_to=body.reply_to,
    )
    stored = accepted(await here.submitter.call(command))
    return StoredResponse(room=room, seq=stored.seq, number=stored.number, key=command.key)


@router.get(
    "/rooms/{room}/messages",
    responses=responses(Code.UNAUTHORIZED, Code.INVALID, Code.NOT_FOUND, Code.UNAVAILABLE),
)
async def history(
    room: Room,
    user: Me,
    here: Here,
    before: Annotated[Seq | None, Query()] = None,
    after: Annotated[Cursor | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=q.PAGE_LIMIT)] = 50,
) -> PageResponse:
    """Read messages before or after a seq; without either the newest."""
    if before is not None and after is not None:
        raise ProblemError(Code.INVALID, "before or after, not both")
    query = q.History(room=room, user=user.id, before=before, after=after, limit=limit)
    answer = await here.asker.ask(query, q.Page)
    return PageResponse(messages=answer.messages, more=answer.more)


def accepted(answer: Accepted | Refused) -> Accepted:
    """Return the answer if the command was stored, else raise the problem."""
    if isinstance(answer, Refused):
        raise ProblemError(answer.code, answer.detail)
    return answer
