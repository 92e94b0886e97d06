"""The client protocol without I/O: frames come in, calls of its handler go out, the clock is a parameter.

A connection feeds it what arrives and the passing of time, and is its handler. The protocol never waits, never raises
on what a client sends, and holds nothing that grows: the client has the cursors, the registry has the rooms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from warren.contract import frames as f
from warren.contract.codes import Close, Code
from warren.contract.commands import Accepted, Refused
from warren.rates import Bucket, seconds

from warren_gateway.auth.tokens import User
from warren_gateway.connections.commands import CommandFrame, as_command_frame
from warren_gateway.connections.frames import Malformed, error_frame, parse
from warren_gateway.connections.handler import Handler
from warren_gateway.connections.limits import ConnectionBuckets, ConnectionLimits, PersonLimits
from warren_gateway.rooms.subscription import Subscription

HELLO_WITHIN = 5.0
"""Seconds from the connection to its hello."""
PING_EVERY = 25
"""Seconds: what `welcome` asks of the client. Proxies commonly cut what is silent for 60."""
SILENT_AFTER = 2 * PING_EVERY + 10
"""Seconds without any frame after which the client counts as gone: two pings lost, and some grace."""
EXPIRES_EARLY = 2.0
"""Seconds before its token expires that a stream ends: the client cannot renew it there."""
TOO_MANY_CONNECTIONS_MS = 30_000
"""Milliseconds after which somebody with too many connections may try again: half the time in which dead ones end."""


@dataclass(slots=True)
class ClientProtocol:
    """One client connection. Its handler is set before anything else is called."""

    limits: ConnectionLimits
    people: PersonLimits
    """Shared by all connections of this gateway."""
    opened: float
    one_way: bool = False
    """The client cannot speak: who it is and what it follows came with its request."""
    frame_bucket: Bucket | None = None
    """What its frames are taken from, if the transport takes from it, too, for what is below the protocol."""
    handler: Handler = field(init=False)
    user: User | None = None
    greeted: bool = False
    """Its hello has come; the token may still be verified."""
    counted: bool = False
    """Holds one of the person's connections."""
    ended: bool = False
    unanswered: int = 0
    heard: float = field(init=False)
    buckets: ConnectionBuckets = field(init=False)
    _subscriptions: dict[str, Subscription] = field(default_factory=dict)
    """By the room as the client names it. Those that are over are left out when there is no room for more."""

    def __post_init__(self) -> None:
        self.heard = self.opened
        self.buckets = ConnectionBuckets(self.limits, self.opened, self.frame_bucket)

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        """What the client follows or is about to, by the room as it names it."""
        return {room: one for room, one in self._subscriptions.items() if one.current}

    def receive(self, data: str | bytes, now: float) -> str | None:
        """Take one text frame.

        Returns a token if one is to be verified: then call `verified` or `rejected` before any further frame comes in.
        """
        if self.ended:
            return None
        self.heard = now
        if not self.buckets.frames.take(now):
            self._end(Close.FLOODING, "too many frames")
        elif (frame := parse(data)) is None:
            self._end(Close.BAD_FRAME, "not a frame of this protocol")
        elif self.user is None:
            return self._greet(frame)
        elif isinstance(frame, Malformed):
            self._refuse(frame.type, Code.INVALID, frame.detail, key=frame.key, room=frame.room)
        else:
            return self._dispatch(frame, self.user)
        return None

    def receive_binary(self) -> None:
        """Take one binary frame: there are none in this protocol."""
        if not self.ended:
            self._end(Close.BAD_FRAME, "binary frames are not spoken here")

    def tick(self, now: float, wall: float) -> None:
        """Notice what did not happen. `now` is monotonic, `wall` Unix time; both in seconds."""
        if self.ended:
            return
        if self.user is None:
            if not self.greeted and now - self.opened > HELLO_WITHIN:
                self._end(Close.NO_HELLO, "no hello in time")
        elif wall >= self.user.expires - (EXPIRES_EARLY if self.one_way else 0.0):
            self._end(Close.TOKEN_REFUSED, "the token has expired")
        elif now - self.heard > SILENT_AFTER and not self.one_way:
            self._end(Close.SILENT, "nothing heard in a long time")

    def verified(self, user: User, wall: float) -> None:
        """Take note that the token is good. `wall` is Unix time in seconds."""
        if self.ended:
            return
        expires_in = max(0, int(user.expires - wall))
        if self.user is not None:
            self._renew(self.user, user, expires_in)
        elif not self.people.connections.enter(user.id):
            self._end(Close.TOO_MANY, "too many connections", TOO_MANY_CONNECTIONS_MS)
        else:
            self.user, self.counted = user, True
            ping = self.limits.keep_alive if self.one_way else PING_EVERY
            person = f.Identity(id=user.id, name=user.name)
            limits = self.limits.advertised
            self.handler.send(f.Welcome(user=person, ping=ping, limits=limits, expires_in=expires_in))

    def rejected(self, reason: str, code: Code = Code.UNAUTHORIZED, wait: float | None = None) -> None:
        """Take note that the token is not good, or that nobody can say for so many seconds.

        The one before it, if any, stays good.
        """
        if self.ended:
            return
        if self.user is not None:
            self._refuse("auth", code, reason, wait=wait)
        elif wait is None:
            self._end(Close.TOKEN_REFUSED, reason)
        else:
            close = Close.TOO_MANY if code is Code.TOO_MANY else Close.KEY_UNKNOWN
            self._end(close, reason, seconds(wait) * 1_000)

    def follow(self, joins: Iterable[f.Join]) -> None:
        """Take what the client asked for beside its frames: no more rooms than one connection may have."""
        for join in () if self.ended else joins:
            self._subscriptions[join.room] = self.handler.subscribe(join, None)

    def answered(self, frame: CommandFrame, answer: Accepted | Refused) -> None:
        """Take the outcome of a command."""
        self.unanswered -= 1
        if self.ended:
            return
        if isinstance(answer, Accepted):
            self.handler.send(f.Ack(key=frame.key, room=frame.room, seq=answer.seq, number=answer.number))
        else:
            self.handler.send(error_frame(frame.type, answer.code, answer.detail, key=frame.key, room=frame.room))

    def close(self) -> None:
        """Take note that the connection is gone."""
        self.ended = True
        if self.user is not None and self.counted:
            self.counted = False
            self.people.connections.leave(self.user.id)

    def _greet(self, frame: f.AnyClientFrame | Malformed) -> str | None:
        if isinstance(frame, f.Hello):
            self.greeted = True
            return frame.token
        self._end(Close.BAD_FRAME, "the first frame must be hello")
        return None

    def _renew(self, before: User, user: User, expires_in: int) -> None:
        if user.id != before.id:
            self._refuse("auth", Code.UNAUTHORIZED, "the token is another person's")
        else:
            self.user = user
            self.handler.send(f.Renewed(expires_in=expires_in))

    def _dispatch(self, frame: f.AnyClientFrame, user: User) -> str | None:
        """Carry out a frame: a command goes to the writer, all others are about the connection itself."""
        if (command := as_command_frame(frame)) is not None:
            self._submit(command, user)
            return None
        match frame:
            case f.Auth(token=token):
                return token
            case f.Ping():
                self.handler.send(f.Pong())
            case f.Join():
                self._join(frame)
            case f.Leave():
                self._leave(frame)
            case f.Typing():
                self._typing(frame, user)
            case f.ReportStatus():
                self._report(frame)
            case f.Hello():
                self._refuse(frame.type, Code.INVALID, "hello was said already")
        return None

    def _submit(self, frame: CommandFrame, user: User) -> None:
        key, room = frame.key, frame.room
        if self.unanswered >= self.limits.unanswered:
            detail = f"{self.unanswered} sends wait for their ack already"
            self._refuse(frame.type, Code.TOO_MANY, detail, key=key, room=room)
        elif wait := self._wait_to_submit(user):
            self._refuse(frame.type, Code.TOO_MANY, "too many messages", key=key, room=room, wait=wait)
        else:
            self.unanswered += 1
            self.handler.submit(frame, user)

    def _wait_to_submit(self, user: User) -> float:
        """Take from the buckets of connection and person, or return the seconds until there may be one in both."""
        now, messages = self.heard, self.buckets.messages
        wait = messages.wait(now) or self.people.messages.take(user.id, now)
        if not wait:
            messages.take(now)
        return wait

    def _join(self, frame: f.Join) -> None:
        room, joins = frame.room, self.buckets.joins
        before = self._subscription(room)
        if before is not None and before.joining:
            self._refuse(frame.type, Code.TOO_MANY, "a join of this room is under way", room=room)
        elif before is None and self._is_full():
            self._refuse(frame.type, Code.TOO_MANY, f"more than {self.limits.rooms} rooms", room=room)
        elif not joins.take(self.heard):
            wait = joins.wait(self.heard)
            self._refuse(frame.type, Code.TOO_MANY, "too many joins", room=room, wait=wait)
        else:
            self._subscriptions[room] = self.handler.subscribe(frame, before)

    def _leave(self, frame: f.Leave) -> None:
        subscription = self._subscription(frame.room)
        if subscription is None:
            self.handler.send(error_frame(frame.type, Code.NOT_FOUND, "not joined", room=frame.room))
        elif subscription.joining:
            self._refuse(frame.type, Code.TOO_MANY, "a join of this room is under way", room=frame.room)
        else:
            del self._subscriptions[frame.room]
            self.handler.unsubscribe(subscription)
            self.handler.send(f.Left(room=frame.room))

    def _typing(self, frame: f.Typing, user: User) -> None:
        subscription, typing = self._subscription(frame.room), self.buckets.typing
        if subscription is None:
            self._refuse(frame.type, Code.NOT_FOUND, "not joined", room=frame.room)
        elif not typing.take(self.heard):
            wait = typing.wait(self.heard)
            self._refuse(frame.type, Code.TOO_MANY, "too much of typing", room=frame.room, wait=wait)
        else:
            self.handler.broadcast_typing(subscription, user)

    def _report(self, frame: f.ReportStatus) -> None:
        statuses = self.buckets.statuses
        if not statuses.take(self.heard):
            wait = statuses.wait(self.heard)
            self._refuse(frame.type, Code.TOO_MANY, "too many changes of status", wait=wait)
        else:
            self.handler.report(frame.status)

    def _subscription(self, room: str) -> Subscription | None:
        found = self._subscriptions.get(room)
        return found if found is not None and found.current else None

    def _is_full(self) -> bool:
        if len(self._subscriptions) >= self.limits.rooms:
            self._subscriptions = self.subscriptions
        return len(self._subscriptions) >= self.limits.rooms

    def _refuse(
        self, frame: str, code: Code, detail: str, *, key: str | None = None, room: str | None = None,
        wait: float | None = None,
    ) -> None:  # fmt: skip
        """Answer a frame with an error; whoever goes on regardless is cut."""
        self.handler.send(error_frame(frame, code, detail, key=key, room=room, wait=wait))
        if not self.buckets.refusals.take(self.heard):
            self._end(Close.FLOODING, "too many frames that were refused")

    def _end(self, code: Close, reason: str, after_ms: int | None = None) -> None:
        self.ended = True
        if after_ms is not None:
            self.handler.send(f.Bye(code=code, after_ms=after_ms))
        self.handler.end(code, reason)
