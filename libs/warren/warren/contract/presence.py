"""Who is in which room now: what clients are shown, what gateways announce, how the services keep in step.

Nothing of this is stored, so any of it may get lost: everything is numbered, and whoever notices a gap asks again for
the whole.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from warren.contract.ids import TEXT_LIMIT, GivenName, Key, RoomId, RoomRef, UserId
from warren.contract.topology import SHARDS
from warren.contract.wire import Timestamp, Wire

HEARTBEAT = 5.0
"""Seconds between the heartbeats of a gateway."""
LEASE = 15.0
"""Seconds of silence after which a gateway's people count as gone."""
GRACE = 5.0
"""Seconds for which somebody whose last connection ended is shown on: a reload, a reconnect."""

Silence = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Seconds for which nothing was heard. No more than a number: one that is none would never be over."""
OnlineStatus = Literal["online", "away"]
"""`away`: connected, but nobody has touched any of the devices for a while."""
Status = Literal["online", "away", "offline"]


class Present(Wire):
    """Somebody's status in a room; `offline` only in a diff: they have gone."""

    user: UserId
    name: str
    status: Status


class Count(Wire):
    """How many people are in a room."""

    online: int
    away: int


class Presence(Wire):
    """Who is in a room: all of them (`state`), what has changed (`diff`), or in large rooms how many (`count`).

    Exactly one of the three is given. A diff follows on the frame with the version before it; to whoever has another
    version it means nothing. A state or a count stands by itself, whatever its version.
    """

    type: Literal["presence"] = "presence"
    room: RoomRef
    version: int
    state: list[Present] | None = None
    diff: list[Present] | None = None
    count: Count | None = None


class IsTyping(Wire):
    """Somebody is typing in a room. It holds for 6 s, unless they say something or type on."""

    type: Literal["typing"] = "typing"
    room: RoomRef
    user: UserId
    name: GivenName


class Partial(Wire):
    """What a bot has written so far of a message that will have this key. It holds until that comes, or for 15 s."""

    type: Literal["partial"] = "partial"
    room: RoomRef
    user: UserId
    name: GivenName
    key: Key
    text: str = Field(max_length=TEXT_LIMIT)


class UserStatus(Wire):
    """Somebody's status over all rooms, and since when they are offline if that is known. For gateways alone."""

    type: Literal["sighting"] = "sighting"
    user: UserId
    status: Status
    last_seen: Timestamp | None = None


AnyLive = Presence | IsTyping | Partial | UserStatus
"""The closed union of what passes on `warren.live`."""
LIVE_FRAME: TypeAdapter[AnyLive] = TypeAdapter(Annotated[AnyLive, Field(discriminator="type")])
BOT_FRAME: TypeAdapter[IsTyping | Partial] = TypeAdapter(Annotated[IsTyping | Partial, Field(discriminator="type")])
"""What of that is a bot's to say."""


class PresenceChange(Wire):
    """How somebody is present at one gateway, over all of their connections there that follow the room.

    `gone`: the last of them has ended; `ended`: so has their membership, and no grace is due. One's own inbox room
    stands for being connected at all.
    """

    room: RoomId
    user: UserId
    name: str
    status: Literal["online", "away", "gone", "ended"]


class Known(Wire):
    """The last frame of a room that a gateway has: its version, and the term that counts so."""

    room: RoomId
    term: str
    version: int


class Announcement(Wire):
    """What changed on a gateway in the rooms of one shard; with `full` all there is, in place of what was known.

    `seq` counts a gateway's announcements to the shard: 1, 2, 3 … Who finds one missing asks for a full one.
    `ask`: rooms whose state the gateway needs; `known`: rooms whose state it needs if that is another; `sought`: people
    whose status it needs, of this shard by their inboxes.
    """

    type: Literal["announcement"] = "announcement"
    gateway: str
    shard: int = Field(ge=0, lt=SHARDS)
    seq: int
    full: bool = False
    changes: list[PresenceChange] = Field(default_factory=list)
    ask: list[RoomId] = Field(default_factory=list)
    known: list[Known] = Field(default_factory=list)
    sought: list[UserId] = Field(default_factory=list)


class OwnershipProbe(Wire):
    """Nothing but a message in the shard's queue: whoever hears it is the shard's active consumer."""

    type: Literal["knock"] = "knock"
    replica: str


AnyShardMessage = Announcement | OwnershipProbe
"""The closed union of what passes on `warren.presence`."""
SHARD_MESSAGE: TypeAdapter[AnyShardMessage] = TypeAdapter(Annotated[AnyShardMessage, Field(discriminator="type")])


class Heartbeat(Wire):
    """A gateway lives. `seqs`: its last announcement to each shard, so that a lost one is noticed."""

    type: Literal["heartbeat"] = "heartbeat"
    gateway: str
    seqs: list[int] = Field(min_length=SHARDS, max_length=SHARDS)


class Goodbye(Wire):
    """A gateway stops, in order."""

    type: Literal["goodbye"] = "goodbye"
    gateway: str


class Resync(Wire):
    """Announce everything of this shard again: all gateways, or the one that is named.

    `term` names one hold of one replica on the shard. Whoever held it before lets go.
    """

    type: Literal["resync"] = "resync"
    shard: int = Field(ge=0, lt=SHARDS)
    term: str
    gateway: str | None = None


class RollCall(Wire):
    """A presence replica has just begun to listen: which gateways are there?"""

    type: Literal["roll_call"] = "roll_call"
    replica: str


class Roll(Wire):
    """The gateways that a presence replica has heard of, and for how many seconds each has been silent."""

    type: Literal["roll"] = "roll"
    gateways: dict[str, Silence]


AnyControl = Heartbeat | Goodbye | Resync | RollCall | Roll
"""The closed union of what passes on `warren.control`."""
CONTROL_MESSAGE: TypeAdapter[AnyControl] = TypeAdapter(Annotated[AnyControl, Field(discriminator="type")])
