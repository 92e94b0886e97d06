"""The client protocol without I/O: frames in, actions out, the clock a parameter.

A transport feeds it what arrives and the passing of time, and carries out the actions. The protocol never waits, never
raises on what a client sends, and holds nothing that grows: the client has the cursors, the registry has the rooms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from warren.contract import frames as f
from warren.contract.codes import TEMPORARY, Close, Code
from warren.contract.commands import Accepted, Refused
from warren.contract.ids import TEXT_LIMIT
from warren.contract.presence import OnlineStatus
from warren.rates import Bucket, Rate, seconds
from warren.untrusted import UnreadableError, encodable, first_error, read, unknown_field

from warren_gateway.auth.tokens import User
from warren_gateway.connections.limits import PersonLimits

HELLO_WITHIN = 5.0
"""Seconds from the connection to its hello."""
PING_EVERY = 25
"""Seconds: what `welcome` asks of the client. Proxies commonly cut what is silent for 60."""
SILENT_AFTER = 2 * PING_EVERY + 10
"""Seconds without any frame after which the client counts as gone: two pings lost, and some grace."""
EXPIRES_EARLY = 2.0
"""Seconds before its token expires that a stream ends: the client cannot renew it there."""
CROWDED_MS = 30_000
"""Milliseconds after which somebody with too many connections may try again: half the time in which dead ones end."""


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
    """Check the token, then call `verified`, `refused` or `not_now`; until then no further frame is fed in."""

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


@dataclass(frozen=True, slots=True)
class ShowTyping:
    """Show the room's others that somebody is typing."""

    room: str


@dataclass(frozen=True, slots=True)
class Report:
    """Take note whether anybody is at the device."""

    status: OnlineStatus


Action = Reply | End | Verify | Subscribe | Unsubscribe | Submit | ShowTyping | Report


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one connection may do. `refusals`: frames that are refused as invalid or too many.

    `keep_alive`: seconds after which a stream, on which the client cannot speak, shows that it lives.
    """

    frames: Rate
    messages: Rate
    joins: Rate
    typing: Rate
    statuses: Rate
    refusals: Rate
    unanswered: int
    rooms: int
    keep_alive: int = 15

    @property
    def told(self) -> f.Limits:
        """What the client is told of it."""
        return f.Limits(text_characters=TEXT_LIMIT, rooms=self.rooms, unanswered=self.unanswered)


@dataclass(slots=True)
class ClientProtocol:
    """One client connection."""

    limits: SessionLimits
    people: PersonLimits
    """Shared by all connections of this gateway."""
    opened: float
    one_way: bool = False
    """The client cannot speak: who it is and what it follows came with its request."""
    pace: Bucket | None = None
    """What its frames are taken from, if the transport takes from it, too, for what is below the protocol."""
    user: User | None = None
    greeted: bool = False
    """Said hello; its token may still be looked at."""
    counted: bool = False
    """Holds one of the person's connections."""
    ended: bool = False
    rooms: set[str] = field(default_factory=set)
    """Subscribed, or about to be."""
    joining: set[str] = field(default_factory=set)
    unanswered: int = 0
    heard: float = field(init=False)
    frames: Bucket = field(init=False)
    messages: Bucket = field(init=False)
    joins: Bucket = field(init=False)
    typing: Bucket = field(init=False)
    statuses: Bucket = field(init=False)
    refusals: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.heard = self.opened
        self.frames = self.pace or Bucket.of(self.limits.frames, self.opened)
        self.messages = Bucket.of(self.limits.messages, self.opened)
        self.joins = Bucket.of(self.limits.joins, self.opened)
        self.typing = Bucket.of(self.limits.typing, self.opened)
        self.statuses = Bucket.of(self.limits.statuses, self.opened)
        self.refusals = Bucket.of(self.limits.refusals, self.opened)

    def receive(self, data: str | bytes, now: float) -> list[Action]:
        """Take one text frame."""
        if self.ended:
            return []
        self.heard = now
        if not self.frames.take(now):
            return self._end(Close.FLOODING, "too many frames")
        found = _frame_like(data)
        model = f.CLIENT_FRAMES.get(found["type"])
        if model is None:
            return self._end(Close.BAD_FRAME, "not a frame of this protocol")
        if (name := unknown_field(found, model)) is not None:
            return self._malformed(found, f"{name}: there is no such field")
        try:
            frame = model.model_validate(found)
        except ValidationError as error:
            return self._malformed(found, first_error(error))
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
            late = not self.greeted and now - self.opened > HELLO_WITHIN
            return self._end(Close.NO_HELLO, "no hello in time") if late else []
        if wall >= self.user.expires - (EXPIRES_EARLY if self.one_way else 0.0):
            return self._end(Close.TOKEN_REFUSED, "the token has expired")
        if now - self.heard > SILENT_AFTER and not self.one_way:
            return self._end(Close.SILENT, "nothing heard in a long time")
        return []

    def verified(self, user: User, wall: float) -> list[Action]:
        """Take the answer to Verify: the token is good. `wall` is Unix time in seconds."""
        if self.ended:
            return []
        expires_in = max(0, int(user.expires - wall))
        if self.user is not None:
            return self._renewed(self.user, user, expires_in)
        if not self.people.connections.enter(user.id):
            return self._end(Close.TOO_MANY, "too many connections", CROWDED_MS)
        self.user, self.counted = user, True
        ping = self.limits.keep_alive if self.one_way else PING_EVERY
        person = f.Person(id=user.id, name=user.name)
        return [Reply(f.Welcome(user=person, ping=ping, limits=self.limits.told, expires_in=expires_in))]

    def follow(self, joins: Iterable[f.Join]) -> list[Action]:
        """Take what the client asked for beside its frames: no more rooms than one connection may have."""
        actions: list[Action] = []
        for join in () if self.ended else joins:
            self.rooms.add(join.room)
            self.joining.add(join.room)
            actions.append(Subscribe(join.room, join.since, join.epoch))
        return actions

    def refused(self, reason: str) -> list[Action]:
        """Take the answer to Verify: the token is not good. The one before it, if any, stays good."""
        if self.ended:
            return []
        if self.user is None:
            return self._end(Close.TOKEN_REFUSED, reason)
        return self._refuse_token(reason)

    def not_now(self, reason: str, code: Code, wait: float) -> list[Action]:
        """Take the answer to Verify: it cannot be told for so many seconds, because of many bad ones or a new key."""
        if self.ended:
            return []
        if self.user is None:
            close = Close.TOO_MANY if code is Code.TOO_MANY else Close.KEY_UNKNOWN
            return self._end(close, reason, seconds(wait) * 1_000)
        return self._refuse_token(reason, code, wait)

    def close(self) -> None:
        """Take note that the connection is gone."""
        self.ended = True
        if self.user is not None and self.counted:
            self.counted = False
            self.people.connections.leave(self.user.id)

    def subscribed(self, room: str, *, done: bool) -> None:
        """Take the outcome of Subscribe."""
        self.joining.discard(room)
        if done:
            self.rooms.add(room)
        else:
            self.rooms.discard(room)

    def left(self, room: str) -> None:
        """Take note that a subscription has ended by itself."""
        self.rooms.discard(room)

    def answered(self, frame: f.Send, answer: Accepted | Refused) -> list[Action]:
        """Take the outcome of Submit."""
        self.unanswered -= 1
        if self.ended:
            return []
        if isinstance(answer, Accepted):
            return [Reply(f.Ack(key=frame.key, room=frame.room, seq=answer.seq, number=answer.number))]
        return [error_reply(frame.type, answer.code, answer.detail, key=frame.key, room=frame.room)]

    def _refuse_token(self, reason: str, code: Code = Code.UNAUTHORIZED, wait: float | None = None) -> list[Action]:
        return [_naming("auth", action) for action in self._refuse(code, reason, wait=wait)]

    def _greet(self, frame: object) -> list[Action]:
        if isinstance(frame, f.Hello):
            self.greeted = True
            return [Verify(frame.token)]
        return self._end(Close.BAD_FRAME, "the first frame must be hello")

    def _renewed(self, before: User, user: User, expires_in: int) -> list[Action]:
        if user.id != before.id:
            return self._refuse_token("the token is another person's")
        self.user = user
        return [Reply(f.Renewed(expires_in=expires_in))]

    def _dispatch(self, frame: f.AnyClientFrame) -> list[Action]:
        return [_naming(frame.type, action) for action in self._carry_out(frame)]

    def _carry_out(self, frame: f.AnyClientFrame) -> list[Action]:
        match frame:
            case f.Send():
                return self._send(frame)
            case f.Auth(token=token):
                return [Verify(token)]
            case f.Ping():
                return [Reply(f.Pong())]
            case f.Join():
                return self._join(frame)
            case f.Leave():
                return self._leave(frame)
            case f.Typing(room=room):
                return self._typing(room)
            case f.ReportStatus(status=status):
                return self._report(status)
            case f.Hello():
                return self._refuse(Code.INVALID, "hello was said already")

    def _send(self, frame: f.Send) -> list[Action]:
        if self.unanswered >= self.limits.unanswered:
            detail = f"{self.unanswered} sends wait for their ack already"
            return self._refuse(Code.TOO_MANY, detail, key=frame.key, room=frame.room)
        wait = self._wait_to_send()
        if wait:
            return self._refuse(Code.TOO_MANY, "too many messages", key=frame.key, room=frame.room, wait=wait)
        self.unanswered += 1
        return [Submit(frame)]

    def _wait_to_send(self) -> float:
        """Take from the buckets of connection and person, or return the seconds until there may be one in both."""
        now = self.heard
        wait = self.messages.wait(now)
        if wait or self.user is None:
            return wait
        wait = self.people.messages.take(self.user.id, now)
        if not wait:
            self.messages.take(now)
        return wait

    def _join(self, frame: f.Join) -> list[Action]:
        if frame.room in self.joining:
            return self._refuse(Code.TOO_MANY, "a join of this room is under way", room=frame.room)
        if frame.room not in self.rooms and len(self.rooms) >= self.limits.rooms:
            return self._refuse(Code.TOO_MANY, f"more than {self.limits.rooms} rooms", room=frame.room)
        if not self.joins.take(self.heard):
            wait = self.joins.wait(self.heard)
            return self._refuse(Code.TOO_MANY, "too many joins", room=frame.room, wait=wait)
        self.rooms.add(frame.room)
        self.joining.add(frame.room)
        return [Subscribe(frame.room, frame.since, frame.epoch)]

    def _leave(self, frame: f.Leave) -> list[Action]:
        if frame.room in self.joining:
            return self._refuse(Code.TOO_MANY, "a join of this room is under way", room=frame.room)
        if frame.room not in self.rooms:
            return [error_reply(frame.type, Code.NOT_FOUND, "not joined", room=frame.room)]
        self.rooms.discard(frame.room)
        return [Unsubscribe(frame.room), Reply(f.Left(room=frame.room))]

    def _typing(self, room: str) -> list[Action]:
        if room not in self.rooms:
            return self._refuse(Code.NOT_FOUND, "not joined", room=room)
        if not self.typing.take(self.heard):
            wait = self.typing.wait(self.heard)
            return self._refuse(Code.TOO_MANY, "too much of typing", room=room, wait=wait)
        return [ShowTyping(room)]

    def _report(self, status: OnlineStatus) -> list[Action]:
        if not self.statuses.take(self.heard):
            wait = self.statuses.wait(self.heard)
            return self._refuse(Code.TOO_MANY, "too many changes of status", wait=wait)
        return [Report(status)]

    def _malformed(self, found: dict[str, Any], detail: str) -> list[Action]:
        """Answer a known frame with a wrong field; the connection goes on."""
        if self.user is None:
            return self._end(Close.BAD_FRAME, "the first frame must be hello")
        key, room = _short_text(found.get("key")), _short_text(found.get("room"))
        refused = self._refuse(Code.INVALID, detail, key=key, room=room)
        return [_naming(found["type"], action) for action in refused]

    def _refuse(
        self, code: Code, detail: str, *, key: str | None = None, room: str | None = None, wait: float | None = None
    ) -> list[Action]:
        """Answer a frame with an error; whoever goes on regardless is cut."""
        reply = error_reply(None, code, detail, key=key, room=room, wait=wait)
        if self.refusals.take(self.heard):
            return [reply]
        return [reply, *self._end(Close.FLOODING, "too many frames that were refused")]

    def _end(self, code: Close, reason: str, after_ms: int | None = None) -> list[Action]:
        self.ended = True
        bye = [] if after_ms is None else [Reply(f.Bye(code=code, after_ms=after_ms))]
        return [*bye, End(code, reason)]


def error_reply(
    frame: str | None,
    code: str,
    detail: str,
    *,
    key: str | None = None,
    room: str | None = None,
    wait: float | None = None,
) -> Reply:
    """Return an error frame; whether it is temporary follows from the code.

    `frame` is the type of the refused frame, `wait` the seconds until it may succeed.
    """
    retry_after = None if wait is None else seconds(wait)
    temporary = code in TEMPORARY
    return Reply(
        f.Error(frame=frame, key=key, room=room, code=code, detail=detail, temporary=temporary, retry_after=retry_after)
    )


def _naming(frame: str, action: Action) -> Action:
    """Return the action; a refusal names the frame that it is for."""
    if isinstance(action, Reply) and isinstance(action.frame, f.Error):
        return Reply(action.frame.model_copy(update={"frame": frame}))
    return action


def _frame_like(data: str | bytes) -> dict[str, Any]:
    """Return a JSON object with a type in words, as every frame is one; of what is none, a type that nothing has."""
    try:
        found = read(data)
    except UnreadableError:
        return {"type": ""}
    return found if isinstance(found, dict) and isinstance(found.get("type"), str) else {"type": ""}


def _short_text(value: object) -> str | None:
    """Return what the client may recognise its frame by, if it can be sent back and is of a sane size."""
    return value if isinstance(value, str) and len(value) <= 128 and encodable(value) else None
