"""Which of this gateway's people follow which room as members, and what of that is to be announced. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from warren.contract.ids import RoomId, UserId, inbox_room
from warren.contract.presence import GRACE, Announcement, Known, OnlineStatus
from warren.contract.presence import PresenceChange as Change
from warren.contract.topology import SHARDS, shard

MESSAGE_LIMIT = 5_000
"""Changes in one announcement, about 500 KB. A full one is never split."""

PresenceKey = tuple[RoomId, UserId]


@dataclass(eq=False, slots=True)
class ConnectionPresence:
    """One connection, wherever it is."""

    user: UserId
    name: str
    status: OnlineStatus = "online"
    rooms: set[RoomId] = field(default_factory=set)


@dataclass(slots=True)
class _Line:
    """What goes to one shard."""

    seq: int = 0
    full: bool = True
    """The next announcement must be full."""
    changed: dict[PresenceKey, Change | None] = field(default_factory=dict)
    """Where something has changed; what it is derives from who is there now, unless nobody is."""
    ask: dict[RoomId, None] = field(default_factory=dict)
    known: dict[RoomId, Known] = field(default_factory=dict)
    lookups: dict[UserId, None] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        return not (self.full or self.changed or self.ask or self.known or self.lookups)


class PresenceAnnouncer:
    """The people of one gateway. `gateway` names this process, and no other ever.

    All connections of a person in a room count as one, and are announced when what they make together has changed.
    One's own inbox room stands for being connected.
    """

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self._present_by_key: dict[PresenceKey, set[ConnectionPresence]] = {}
        self._recent: dict[PresenceKey, tuple[float, Change]] = {}
        """Who has gone within the grace, when and how, the latest last: a full announcement includes them."""
        self._lines = [_Line() for _ in range(SHARDS)]

    @property
    def seqs(self) -> list[int]:
        """The last announcement to each shard."""
        return [line.seq for line in self._lines]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to announce."""
        return all(line.idle for line in self._lines)

    def open(self, user: UserId, name: str) -> ConnectionPresence:
        """Take note of a new connection."""
        presence = ConnectionPresence(user, name)
        self.enter(presence, inbox_room(user))
        return presence

    def close(self, presence: ConnectionPresence, now: float) -> None:
        """Take note that the connection has ended."""
        for room in tuple(presence.rooms):
            self.exit(presence, room, now)

    def enter(self, presence: ConnectionPresence, room: RoomId) -> None:
        """Take note that the connection follows the room."""
        key = (room, presence.user)
        before = self._shown(key)
        presence.rooms.add(room)
        self._present_by_key.setdefault(key, set()).add(presence)
        self._recent.pop(key, None)
        self._change_from(before, key)

    def exit(self, presence: ConnectionPresence, room: RoomId, now: float, *, ended: bool = False) -> None:
        """Take note that the connection does not follow the room any more; `ended`: nor is the person a member."""
        if room not in presence.rooms:
            return
        key = (room, presence.user)
        before = self._shown(key)
        presence.rooms.discard(room)
        here = self._present_by_key[key]
        here.discard(presence)
        if here:
            self._change_from(before, key)
            return
        del self._present_by_key[key]
        last = _change(key, presence.name, "ended" if ended else "gone")
        self._change(key, last)
        self._recent[key] = (now, last)

    def end(self, room: RoomId, user: UserId, now: float) -> None:
        """Take note that somebody is no member of the room any more, on whichever connection."""
        for presence in tuple(self._present_by_key.get((room, user), ())):
            self.exit(presence, room, now, ended=True)

    def report(self, presence: ConnectionPresence, status: OnlineStatus) -> None:
        """Take note whether anybody is at the device."""
        before = {room: self._shown((room, presence.user)) for room in presence.rooms}
        presence.status = status
        for room, shown in before.items():
            self._change_from(shown, (room, presence.user))

    def ask(self, room: RoomId) -> None:
        """Ask for the room's state."""
        self._lines[shard(room)].ask[room] = None

    def check(self, known: Known) -> None:
        """Ask for the room's state if it is another than this."""
        self._lines[shard(known.room)].known[known.room] = known

    def look_up_status(self, user: UserId) -> None:
        """Ask for somebody's status over all rooms."""
        self._lines[shard(inbox_room(user))].lookups[user] = None

    def resync(self, number: int | None = None) -> None:
        """Announce everything of a shard again, or of all."""
        for line in self._lines if number is None else [self._lines[number]]:
            line.full = True

    def announcements(self, now: float) -> list[Announcement]:
        """Return what is to be announced; from then on it counts as announced."""
        self._forget(now)
        full = {number for number, line in enumerate(self._lines) if line.full}
        everything = self._everything(full) if full else {}
        return [
            message
            for number, line in enumerate(self._lines)
            if not line.idle
            for message in self._drain(number, line, everything.get(number, []))
        ]

    def _forget(self, now: float) -> None:
        while self._recent:
            key, (at, _) = next(iter(self._recent.items()))
            if now - at <= GRACE:
                return
            del self._recent[key]

    def _shown(self, key: PresenceKey) -> Change | None:
        return self._present(key) if key in self._present_by_key else None

    def _change_from(self, before: Change | None, key: PresenceKey) -> None:
        """Announce how somebody is there now, if it differs: a second window changes nothing, nor does a next poll."""
        if self._present(key) != before:
            self._change(key)

    def _change(self, key: PresenceKey, last: Change | None = None) -> None:
        self._lines[shard(key[0])].changed[key] = last

    def _everything(self, numbers: set[int]) -> dict[int, list[Change]]:
        """Return who is where in these shards, and who was a moment ago."""
        found: dict[int, list[Change]] = {number: [] for number in numbers}
        for key in self._present_by_key:
            if (number := shard(key[0])) in found:
                found[number].append(self._present(key))
        for key, (_, gone) in self._recent.items():
            if (number := shard(key[0])) in found:
                found[number].append(gone)
        return found

    def _drain(self, number: int, line: _Line, everything: list[Change]) -> Iterable[Announcement]:
        changed, line.changed = line.changed, {}
        ask, line.ask = list(line.ask), {}
        known, line.known = list(line.known.values()), {}
        sought, line.lookups = list(line.lookups), {}
        changes = everything if line.full else [last or self._present(key) for key, last in changed.items()]
        full, line.full = line.full, False
        step = max(1, len(changes)) if full else MESSAGE_LIMIT
        for start in range(0, max(1, len(changes)), step):
            line.seq += 1
            yield Announcement(
                gateway=self.gateway,
                shard=number,
                seq=line.seq,
                full=full,
                changes=changes[start : start + step],
                ask=ask,
                known=known,
                sought=sought,
            )
            ask, known, sought = [], [], []

    def _present(self, key: PresenceKey) -> Change:
        here = self._present_by_key[key]
        name = min(presence.name for presence in here)
        return _change(key, name, "online" if any(presence.status == "online" for presence in here) else "away")


def _change(key: PresenceKey, name: str, status: Literal["online", "away", "gone", "ended"]) -> Change:
    return Change(room=key[0], user=key[1], name=name, status=status)
