"""The client wire, version 1: frames from clients (strict) and to clients."""

from typing import Annotated, Literal, get_args

from pydantic import Field, TypeAdapter

from warren.contract.ids import Cursor, Key, RoomId, RoomRef, Seq, Text, UserId
from warren.contract.presence import IsTyping, OnlineStatus, Partial, Presence
from warren.contract.sizes import SERVER_FRAME_LIMIT
from warren.contract.wire import Strict, Wire

SUBPROTOCOL = "warren.v1"
FRAME_LIMIT = 64 * 1024
"""The most bytes in one frame or request body; more closes the WebSocket with 1009."""
TOKEN_LIMIT = 8_192
"""The most characters in a token; a longer one is refused before anything else is looked at."""
REPLAY_LIMIT = 1_000
"""The most missed events that a join replays; more is a reset."""


Token = Annotated[str, Field(max_length=TOKEN_LIMIT)]


class Hello(Strict):
    """The first frame: who is there."""

    type: Literal["hello"] = "hello"
    token: Token


class Auth(Strict):
    """Go on with this token of the same person, in place of the one that expires."""

    type: Literal["auth"] = "auth"
    token: Token


class Join(Strict):
    """Subscribe to a room, from after `since` if given."""

    type: Literal["join"] = "join"
    room: RoomRef
    since: Cursor | None = None
    epoch: str | None = Field(default=None, max_length=64)


class Send(Strict):
    """Say something in a room."""

    type: Literal["send"] = "send"
    room: RoomId
    key: Key
    text: Text
    reply_to: Seq | None = None


class Leave(Strict):
    """End the subscription to a room (not the membership)."""

    type: Literal["leave"] = "leave"
    room: RoomRef


class Typing(Strict):
    """I am typing in this room. Say so again every few seconds while it goes on."""

    type: Literal["typing"] = "typing"
    room: RoomId


class ReportStatus(Strict):
    """Whether anybody is at this device. A connection begins as `online`."""

    type: Literal["status"] = "status"
    status: OnlineStatus


class Ping(Strict):
    """I am still here."""

    type: Literal["ping"] = "ping"


AnyClientFrame = Hello | Auth | Join | Send | Leave | Typing | ReportStatus | Ping
"""The closed union of all that a client may send."""
ClientFrame = Annotated[AnyClientFrame, Field(discriminator="type")]
CLIENT_FRAME: TypeAdapter[AnyClientFrame] = TypeAdapter(ClientFrame)
CLIENT_FRAMES: dict[str, type[AnyClientFrame]] = {
    model.model_fields["type"].default: model for model in get_args(AnyClientFrame)
}
"""The same by type, for a reader that looks at one thing after the other."""


class Identity(Wire):
    """Who a client is, as its token says."""

    id: UserId
    name: str


class Limits(Wire):
    """What the gateway lets one connection do. `server_frame_bytes`: no frame to it is larger, nor a poll's answer."""

    frame_bytes: int = FRAME_LIMIT
    server_frame_bytes: int = SERVER_FRAME_LIMIT
    text_characters: int
    rooms: int
    unanswered: int
    replay: int = REPLAY_LIMIT


class Welcome(Wire):
    """The answer to hello. `ping` is in seconds: send something at least that often."""

    type: Literal["welcome"] = "welcome"
    user: Identity
    ping: int
    limits: Limits
    expires_in: int | None = None
    """Seconds until the token expires and the connection is closed with 4503, unless `auth` renews it."""


class Renewed(Wire):
    """The answer to auth: the connection is good for another `expires_in` seconds."""

    type: Literal["renewed"] = "renewed"
    expires_in: int


class Joined(Wire):
    """The subscription stands. With `reset` the client must reload history: what it missed is not replayed."""

    type: Literal["joined"] = "joined"
    room: RoomRef
    epoch: str
    head: int
    number: int
    read: int
    reset: bool


class Left(Wire):
    """The subscription has ended: as was asked for, or by itself.

    `because`: the type of the event at `seq` that ended it (`member.removed`, `member.banned`, `member.left`), or
    `access` if the gateway learned by asking that one may not read (any more): in the middle of a replay, or after the
    room's history was replaced.
    """

    type: Literal["left"] = "left"
    room: RoomRef
    seq: int | None = None
    because: str | None = None


class Ack(Wire):
    """The message is stored, with this seq and number."""

    type: Literal["ack"] = "ack"
    key: Key
    room: RoomId
    seq: int
    number: int


class Error(Wire):
    """A frame was refused. `temporary`: the same frame, with the same key, may succeed later.

    `retry_after` is in seconds: before that it is refused again. `frame`: the type of the frame that was refused.
    """

    type: Literal["error"] = "error"
    frame: str | None = None
    key: str | None = None
    room: str | None = None
    code: str
    detail: str
    temporary: bool = False
    retry_after: int | None = None


class Pong(Wire):
    """The answer to ping."""

    type: Literal["pong"] = "pong"


class Bye(Wire):
    """The connection is about to end with `code`; reconnect after `after_ms` milliseconds."""

    type: Literal["bye"] = "bye"
    code: int
    after_ms: int


ServerFrame = Welcome | Renewed | Joined | Left | Ack | Error | Presence | IsTyping | Partial | Pong | Bye
"""All that a client may receive besides `warren.contract.events.Events`."""
