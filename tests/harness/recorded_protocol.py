"""A client protocol whose handler records: each call returns what it had done, in order."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from warren.contract import frames as f
from warren.contract.codes import Close, Code
from warren.contract.commands import Accepted, Refused
from warren.contract.presence import OnlineStatus
from warren_gateway.auth.tokens import User
from warren_gateway.connections.commands import CommandFrame
from warren_gateway.connections.limits import ConnectionBuckets, ConnectionLimits, PersonLimits
from warren_gateway.connections.protocol import ClientProtocol
from warren_gateway.delivery.batch import EventBatch, Frame
from warren_gateway.rooms.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Reply:
    """A frame was sent."""

    frame: f.ServerFrame


@dataclass(frozen=True, slots=True)
class End:
    """The connection was closed."""

    code: Close
    reason: str


@dataclass(frozen=True, slots=True)
class Verify:
    """A token is to be verified."""

    token: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A join was started."""

    room: str
    since: int | None
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A subscription was ended."""

    room: str


@dataclass(frozen=True, slots=True)
class Submit:
    """A command was submitted."""

    frame: CommandFrame


@dataclass(frozen=True, slots=True)
class ShowTyping:
    """Somebody was shown typing."""

    room: str


@dataclass(frozen=True, slots=True)
class Report:
    """A device's status was noted."""

    status: OnlineStatus


Action = Reply | End | Verify | Subscribe | Unsubscribe | Submit | ShowTyping | Report


@dataclass(eq=False, slots=True)
class RecordingSubscriber:
    """A subscriber that keeps what goes to it."""

    user: str = "ann"
    sent: list[object] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    ephemeral: list[Frame] = field(default_factory=list)
    ended: list[f.Left] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def send(self, frame: f.ServerFrame) -> None:
        """Keep it."""
        self.sent.append(frame)

    def subscription_ended(self, frame: f.Left) -> None:
        """Keep it."""
        self.ended.append(frame)

    def subscription_lost(self, room: str) -> None:
        """Keep it."""
        self.lost.append(room)

    def broadcast(self, batch: EventBatch) -> None:
        """Keep the seqs of its events."""
        self.events += range(batch.first, batch.last + 1)

    def broadcast_ephemeral(self, frame: Frame) -> None:
        """Keep it."""
        self.ephemeral.append(frame)

    async def drained(self) -> bool:
        """Say that more can be sent."""
        return True


@dataclass(slots=True)
class Recorder:
    """A protocol's handler."""

    actions: list[Action] = field(default_factory=list)

    def taken(self) -> list[Action]:
        """Return what was done since the last time."""
        actions, self.actions = self.actions, []
        return actions

    def send(self, frame: f.ServerFrame) -> None:
        """Record it."""
        self.actions.append(Reply(frame))

    def end(self, code: Close, reason: str) -> None:
        """Record it."""
        self.actions.append(End(code, reason))

    def subscribe(self, join: f.Join, subscription: Subscription | None) -> Subscription:
        """Record it."""
        self.actions.append(Subscribe(join.room, join.since, join.epoch))
        found = subscription or Subscription(RecordingSubscriber(), join.room)
        found.joining = True
        return found

    def unsubscribe(self, subscription: Subscription) -> None:
        """Record it."""
        subscription.pause()
        self.actions.append(Unsubscribe(subscription.room))

    def submit(self, frame: CommandFrame, user: User) -> None:
        """Record it."""
        self.actions.append(Submit(frame))

    def broadcast_typing(self, subscription: Subscription, user: User) -> None:
        """Record it."""
        self.actions.append(ShowTyping(subscription.room))

    def report(self, status: OnlineStatus) -> None:
        """Record it."""
        self.actions.append(Report(status))


class RecordedProtocol:
    """A protocol and its handler."""

    def __init__(self, limits: ConnectionLimits, people: PersonLimits, opened: float, *, one_way: bool = False) -> None:
        self._protocol = ClientProtocol(limits, people, opened, one_way)
        self._recorder = Recorder()
        self._protocol.handler = self._recorder

    @property
    def user(self) -> User | None:
        """Who it is."""
        return self._protocol.user

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._protocol.ended

    @property
    def unanswered(self) -> int:
        """Commands that wait for their answer."""
        return self._protocol.unanswered

    @property
    def buckets(self) -> ConnectionBuckets:
        """What is left of the limits."""
        return self._protocol.buckets

    @property
    def rooms(self) -> set[str]:
        """Rooms that are followed, or about to be."""
        return set(self._protocol.subscriptions)

    @property
    def joining(self) -> set[str]:
        """Rooms of which a join is under way."""
        return {room for room, one in self._protocol.subscriptions.items() if one.joining}

    def receive(self, data: str | bytes, now: float) -> list[Action]:
        """Take a text frame."""
        token = self._protocol.receive(data, now)
        return [*self._recorder.taken(), *([] if token is None else [Verify(token)])]

    def receive_binary(self) -> list[Action]:
        """Take a binary frame."""
        self._protocol.receive_binary()
        return self._recorder.taken()

    def tick(self, now: float, wall: float) -> list[Action]:
        """Let time pass."""
        self._protocol.tick(now, wall)
        return self._recorder.taken()

    def verified(self, user: User, wall: float) -> list[Action]:
        """Say that the token is good."""
        self._protocol.verified(user, wall)
        return self._recorder.taken()

    def refused(self, reason: str) -> list[Action]:
        """Say that the token is not good."""
        self._protocol.rejected(reason)
        return self._recorder.taken()

    def not_now(self, reason: str, code: Code, wait: float) -> list[Action]:
        """Say that nobody knows for so many seconds."""
        self._protocol.rejected(reason, code, wait)
        return self._recorder.taken()

    def follow(self, joins: Iterable[f.Join]) -> list[Action]:
        """Follow rooms that came with the request."""
        self._protocol.follow(joins)
        return self._recorder.taken()

    def answered(self, frame: CommandFrame, answer: Accepted | Refused) -> list[Action]:
        """Give a command's outcome."""
        self._protocol.answered(frame, answer)
        return self._recorder.taken()

    def subscribed(self, room: str, *, done: bool) -> None:
        """Give a join's outcome."""
        subscription = self._protocol.subscriptions[room]
        subscription.joining = False
        if done:
            subscription.activate()
        else:
            subscription.pause()

    def close(self) -> None:
        """Say that the connection is gone."""
        self._protocol.close()
