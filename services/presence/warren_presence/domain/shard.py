"""One shard's presence, as long as this replica is the shard's active consumer: announcements in, actions out."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from warren.contract.ids import RoomId, UserId, inbox_room, is_inbox
from warren.contract.presence import GRACE, Announcement, Known, Presence, PresenceChange, UserStatus

from warren_presence.domain.room import Room

OVERDUE = 1.0
"""Seconds that an announcement may take longer than the heartbeat that names it; and at least between two requests for
all."""
PATIENCE = 8.0
"""Seconds at most between two requests."""
FRAMES_AT_ONCE = 500
"""Rooms of the shard whose frames are published at one tick; the others follow at the next."""


@dataclass(frozen=True, slots=True)
class BroadcastFrames:
    """Publish these to whoever follows the room."""

    room: RoomId
    frames: list[Presence]


@dataclass(frozen=True, slots=True)
class BroadcastStatus:
    """Publish somebody's status over all rooms."""

    status: UserStatus


@dataclass(frozen=True, slots=True)
class LookUpLastSeen:
    """They are offline: find out since when, and publish that."""

    users: list[UserId]


@dataclass(frozen=True, slots=True)
class RecordLastSeen:
    """Store that somebody was last seen so many seconds ago."""

    user: UserId
    ago: float


@dataclass(frozen=True, slots=True)
class RequestAnnouncements:
    """Have the gateway announce everything of this shard."""

    gateway: str


Action = BroadcastFrames | BroadcastStatus | LookUpLastSeen | RecordLastSeen | RequestAnnouncements
PresenceKey = tuple[str, str]
"""A room and somebody in it."""


@dataclass(slots=True)
class _Source:
    """What is known from one gateway. It was asked for all at `asked_at`, or announces by itself since then."""

    asked_at: float
    seq: int = 0
    whole: bool = False
    """Nothing is missing up to `seq`."""
    keys: set[PresenceKey] = field(default_factory=set)
    due: tuple[int, float] = (0, 0.0)
    """The seq that a heartbeat named, and when."""
    patience: float = OVERDUE
    """Seconds before it is asked again: longer each time, so that a queue that lags is not filled up with answers."""

    @property
    def settled(self) -> bool:
        """Whether nothing is missing, as far as it has said, and nothing is kept of a time when something was."""
        return self.whole and self.due[0] <= self.seq and self.patience == OVERDUE


class Shard:
    """Who is in the rooms of one shard. It says nothing until every gateway in `expected` has announced all it has.

    So whoever takes a shard over does not take people for gone who merely have not been announced to it yet.
    `term` names this hold of the shard; `not_before`: when it may speak at the earliest.
    """

    def __init__(self, term: str, expected: Iterable[str], not_before: float) -> None:
        self.term = term
        self.complete = False
        self._expected = set(expected)
        self._not_before = not_before
        self._sources: dict[str, _Source] = {}
        self._rooms: dict[str, Room] = {}
        self._due: dict[str, None] = {}
        """The rooms that may have a change to publish, longest waiting first."""
        self._graces: list[tuple[float, str, str]] = []
        """When a grace began, and whose: a heap."""
        self._status_requests: set[str] = set()
        self._departures: list[RecordLastSeen] = []
        self._highest_version = 0
        """The highest version of any room that is gone."""

    @property
    def rooms(self) -> int:
        """How many rooms have somebody in them, people's own not counted."""
        return sum(not is_inbox(name) for name in self._rooms)

    @property
    def connected(self) -> list[UserId]:
        """Who of the shard's people is connected to any gateway."""
        return [user for name, room in self._rooms.items() if is_inbox(name) for user in room.people]

    def expect(self, gateway: str) -> None:
        """Wait for this gateway, too, unless it is too late for that."""
        if not self.complete:
            self._expected.add(gateway)

    def announce(self, message: Announcement, now: float) -> None:
        """Apply an announcement of a gateway."""
        source = self._sources.setdefault(message.gateway, _Source(now))
        if message.full:
            self._replace(source, message, now)
        elif source.whole and message.seq == source.seq + 1:
            source.seq = message.seq
            self._apply(source, message, now)
        elif message.seq > source.seq:
            # The full one that is asked for at the next tick says it all.
            source.whole = False
        for name in message.ask:
            if not is_inbox(name):
                self._room(name).state_requested = True
        for known in message.known:
            self._check(known)
        self._status_requests.update(message.sought)

    def heartbeat(self, gateway: str, seq: int, now: float) -> None:
        """Take note of how far a gateway's announcements go."""
        if seq == 0:
            return
        source = self._sources.setdefault(gateway, _Source(now))
        if seq > source.due[0]:
            source.due = (seq, now)

    def end(self, gateway: str, now: float, since: float | None = None) -> None:
        """Forget a gateway: it has stopped, or nothing was heard of it after `since`, when its people's grace began."""
        self._expected.discard(gateway)
        if since is None and not self.complete:
            # It may have stopped before it has told whom it had: their grace has to be over, too.
            self._not_before = max(self._not_before, now + GRACE)
        source = self._sources.pop(gateway, None)
        for key in source.keys if source else ():
            self._leave(gateway, key, now, now if since is None else since)

    @property
    def idle(self) -> bool:
        """Whether a tick would do nothing, whenever it came, until the shard is told something."""
        work = self._due or self._graces or self._departures or self._status_requests
        return self.complete and not work and all(source.settled for source in self._sources.values())

    def tick(self, now: float) -> list[Action]:
        """Return what is to be done now."""
        self._check_complete(now)
        self._expire_graces(now)
        gone, self._departures = self._departures, []
        return [*gone, *self._missing(now), *(self._broadcasts(now) if self.complete else ())]

    def _check(self, known: Known) -> None:
        """Publish the whole room again if a gateway has missed its last frame."""
        room = self._rooms.get(known.room)
        if room is None or (known.term, known.version) != (self.term, room.version):
            self._room(known.room).state_requested = True

    def _replace(self, source: _Source, message: Announcement, now: float) -> None:
        """Take a full announcement for all that is known from its gateway."""
        if message.seq < source.seq:
            return
        source.seq, source.whole = message.seq, True
        self._apply(source, message, now)
        for key in source.keys - {(change.room, change.user) for change in message.changes}:
            source.keys.discard(key)
            self._leave(message.gateway, key, now, now)

    def _apply(self, source: _Source, message: Announcement, now: float) -> None:
        for change in message.changes:
            key = (change.room, change.user)
            if change.status in ("online", "away"):
                source.keys.add(key)
                self._room(change.room).connect_user(message.gateway, change.user, change.name, change.status)
            elif key in source.keys:
                source.keys.discard(key)
                self._leave(message.gateway, key, now, now, grace=GRACE if change.status == "gone" else 0.0)
            elif message.full and change.status == "gone":
                self._start_grace(change, now)

    def _start_grace(self, change: PresenceChange, now: float) -> None:
        """Somebody has gone from a gateway a moment ago, before this replica knew of them: their grace is not over."""
        if self._room(change.room).start_grace(change.user, change.name, now):
            heapq.heappush(self._graces, (now, change.room, change.user))

    def _leave(self, gateway: str, key: PresenceKey, now: float, at: float, grace: float = GRACE) -> None:
        """Remove a user's presence at this gateway, as of `at`; their grace period begins if it was the last."""
        name, user = key
        left_at = self._room(name).leave(gateway, user, at)
        if left_at is None:
            return
        if now - left_at < grace:
            heapq.heappush(self._graces, (left_at, name, user))
        else:
            self._remove_after_grace(name, user, left_at, now)

    def _remove_after_grace(self, name: str, user: str, left_at: float, now: float) -> None:
        room = self._rooms.get(name)
        if room is not None and room.expire(user, left_at) and is_inbox(name):
            self._departures.append(RecordLastSeen(user, now - left_at))
            self._drop_if_empty(room)

    def _expire_graces(self, now: float) -> None:
        while self._graces and now - self._graces[0][0] >= GRACE:
            left_at, name, user = heapq.heappop(self._graces)
            self._due[name] = None
            self._remove_after_grace(name, user, left_at, now)

    def _check_complete(self, now: float) -> None:
        if not self.complete and now >= self._not_before:
            self.complete = self._expected <= {gateway for gateway, source in self._sources.items() if source.whole}

    def _missing(self, now: float) -> Iterator[RequestAnnouncements]:
        for gateway, source in self._sources.items():
            seq, since = source.due
            overdue = seq > source.seq and now - since >= OVERDUE
            if source.whole and not overdue:
                source.patience = OVERDUE
            elif now - source.asked_at >= source.patience:
                source.asked_at, source.patience = now, min(2 * source.patience, PATIENCE)
                yield RequestAnnouncements(gateway)

    def _broadcasts(self, now: float) -> Iterator[Action]:
        yield from self._status_answers()
        published = 0
        for name in list(self._due):
            room = self._rooms.get(name)
            due = None if room is None or is_inbox(name) else room.due_at()
            if room is None or due is None:
                del self._due[name]
            elif due <= now and room.over:
                self._drop_if_empty(room)
            elif due <= now and published < FRAMES_AT_ONCE:
                published += 1
                del self._due[name]
                yield BroadcastFrames(name, room.next_frames(now))
                if room.empty:
                    self._due[name] = (
                        None  # it is dropped one interval later: a room that comes back at once keeps to the rate
                    )

    def _status_answers(self) -> Iterator[Action]:
        users, self._status_requests = self._status_requests, set()
        offline = []
        for user in sorted(users):
            room = self._rooms.get(inbox_room(user))
            person = room.people.get(user) if room else None
            if person is None:
                offline.append(user)
            else:
                yield BroadcastStatus(UserStatus(user=user, status=person.status))
        if offline:
            yield LookUpLastSeen(offline)

    def _room(self, name: str) -> Room:
        self._due[name] = None
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name, self._highest_version)
        return room

    def _drop_if_empty(self, room: Room) -> None:
        if room.empty:
            self._highest_version = max(self._highest_version, room.version)
            self._due.pop(room.name, None)
            del self._rooms[room.name]
