"""The client protocol without I/O: frames in, actions out, the clock a parameter.

A transport feeds it what arrives and the passing of time, and carries out the actions. The session never waits, never
raises on what a client sends, and holds nothing that grows: the client has the cursors, the hub has the rooms.
"""

from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_core import from_json
from warren.contract import frames as f
from warren.contract.codes import TEMPORARY, Close, Code
from warren.contract.commands import Accepted, Refused
from warren.contract.ids import TEXT_LIMIT

from warren_gateway.auth import User
from warren_gateway.limits import Bucket

HELLO_WITHIN = 5.0
"""Seconds from the connection to its hello."""
PING_EVERY = 25
"""Seconds: what `welcome` asks of the client. Proxies commonly cut what is silent for 60."""
SILENT_AFTER = 2 * PING_EVERY + 10
"""Seconds without any frame after which the client counts as gone: two pings lost, and some grace."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this frame."""

    frame: f.ServerFrame


@dataclass(frozen=True, slots=True)
class End:
    """Close the connection; nothing follows."""

    code: Close
    reason: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Check the token, then call `verified` or `refused`."""

    token: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe to the room, then call `subscribed`."""

    room: str
    since: int | None
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """End the subscription."""

    room: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit the command, then call `answered`."""

    frame: f.Send


Action = Reply | End | Verify | Subscribe | Unsubscribe | Submit


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one connection may do."""

    frames_per_second: float
    frames_burst: int
    unanswered: int
    rooms: int


@dataclass(slots=True)
class Session:
    """One client connection."""

    limits: SessionLimits
    opened: float
    user: User | None = None
    ended: bool = False
    rooms: set[str] = field(default_factory=set)
    """Subscribed, or about to be."""
    joining: set[str] = field(default_factory=set)
    unanswered: int = 0
    heard: float = field(init=False)
    bucket: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.heard = self.opened
        self.bucket = Bucket.full(self.limits.frames_per_second, self.limits.frames_burst, self.opened)

    def receive(self, data: str | bytes, now: float) -> list[Action]:
        """Take one text frame."""
        if self.ended:
            return []
        self.heard = now
        if not self.bucket.take(now):
            return self._end(Close.FLOODING, "too many frames")
        try:
            frame = f.CLIENT_FRAME.validate_json(data)
        except ValidationError as error:
            return self._malformed(data, error)
        if self.user is None:
            return self._greet(frame)
        return self._dispatch(frame)

    def receive_binary(self) -> list[Action]:
        """Take one binary frame: there are none in this protocol."""
        return [] if self.ended else self._end(Close.BAD_FRAME, "binary frames are not spoken here")

    def tick(self, now: float, wall: float) -> list[Action]:
        """Notice what did not happen. `now` is monotonic, `wall` Unix time; both in seconds."""
        if self.ended:
            return []
        if self.user is None:
            late = now - self.opened > HELLO_WITHIN
            return self._end(Close.NO_HELLO, "no hello in time") if late else []
        if wall >= self.user.expires:
            return self._end(Close.TOKEN_REFUSED, "the token has expired")
        if now - self.heard > SILENT_AFTER:
            return self._end(Close.SILENT, "nothing heard in a long time")
        return []

    def verified(self, user: User) -> list[Action]:
        """Take the answer to Verify: the token is good."""
        if self.ended:
            return []
        self.user = user
        limits = f.Limits(text_characters=TEXT_LIMIT, rooms=self.limits.rooms, unanswered=self.limits.unanswered)
        return [Reply(f.Welcome(user=f.Person(id=user.id, name=user.name), ping=PING_EVERY, limits=limits))]

    def refused(self, reason: str) -> list[Action]:
        """Take the answer to Verify: the token is not good."""
        return [] if self.ended else self._end(Close.TOKEN_REFUSED, reason)

    def subscribed(self, room: str, *, done: bool) -> None:
        """Take the outcome of Subscribe."""
        self.joining.discard(room)
        if not done:
            self.rooms.discard(room)

    def answered(self, frame: f.Send, answer: Accepted | Refused) -> list[Action]:
        """Take the outcome of Submit."""
        self.unanswered -= 1
        if self.ended:
            return []
        if isinstance(answer, Accepted):
            return [Reply(f.Ack(key=frame.key, room=frame.room, seq=answer.seq, number=answer.number))]
        return [error_reply(answer.code, answer.detail, key=frame.key, room=frame.room)]

    def _greet(self, frame: object) -> list[Action]:
        if isinstance(frame, f.Hello):
            return [Verify(frame.token)]
        return self._end(Close.BAD_FRAME, "the first frame must be hello")

    def _dispatch(self, frame: f.Hello | f.Join | f.Send | f.Leave | f.Ping) -> list[Action]:
        match frame:
            case f.Send():
                return self._send(frame)
            case f.Ping():
                return [Reply(f.Pong())]
            case f.Join():
                return self._join(frame)
            case f.Leave():
                return self._leave(frame)
            case f.Hello():
                return [error_reply(Code.INVALID, "hello was said already")]

    def _send(self, frame: f.Send) -> list[Action]:
        if self.unanswered >= self.limits.unanswered:
            detail = f"{self.unanswered} sends wait for their ack already"
            return [error_reply(Code.TOO_MANY, detail, key=frame.key, room=frame.room)]
        self.unanswered += 1
        return [Submit(frame)]

    def _join(self, frame: f.Join) -> list[Action]:
        if frame.room in self.joining:
            return [error_reply(Code.TOO_MANY, "a join of this room is under way", room=frame.room)]
        if frame.room not in self.rooms and len(self.rooms) >= self.limits.rooms:
            return [error_reply(Code.TOO_MANY, f"more than {self.limits.rooms} rooms", room=frame.room)]
        self.rooms.add(frame.room)
        self.joining.add(frame.room)
        return [Subscribe(frame.room, frame.since, frame.epoch)]

    def _leave(self, frame: f.Leave) -> list[Action]:
        if frame.room in self.joining:
            return [error_reply(Code.TOO_MANY, "a join of this room is under way", room=frame.room)]
        if frame.room not in self.rooms:
            return [error_reply(Code.NOT_FOUND, "not joined", room=frame.room)]
        self.rooms.discard(frame.room)
        return [Unsubscribe(frame.room), Reply(f.Left(room=frame.room))]

    def _malformed(self, data: str | bytes, error: ValidationError) -> list[Action]:
        """What is no frame at all ends the connection; a known frame with a wrong field is answered, and it goes on."""
        if self.user is None:
            return self._end(Close.BAD_FRAME, "the first frame must be hello")
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if not first["loc"]:  # not JSON, not an object, or of no type that is known
            return self._end(Close.BAD_FRAME, "not a frame of this protocol")
        where = ".".join(str(part) for part in first["loc"][1:])
        found = from_json(data)
        return [
            error_reply(
                Code.INVALID,
                f"{where}: {first['msg']}",
                key=_short_text(found.get("key")),
                room=_short_text(found.get("room")),
            )
        ]

    def _end(self, code: Close, reason: str) -> list[Action]:
        self.ended = True
        return [End(code, reason)]


def error_reply(code: str, detail: str, *, key: str | None = None, room: str | None = None) -> Reply:
    """Return an error frame; whether it is temporary follows from the code."""
    return Reply(f.Error(key=key, room=room, code=code, detail=detail, temporary=code in TEMPORARY))


def _short_text(value: object) -> str | None:
    """Return what the client may recognise its frame by, if it is of a sane size."""
    return value if isinstance(value, str) and len(value) <= 128 else None
