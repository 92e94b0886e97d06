"""What the writer remembers between commits, within bounds."""

from collections import OrderedDict
from collections.abc import Iterable

from warren.contract.topology import shard

from warren_persistence.domain.decide import RoomCommand
from warren_persistence.domain.plan import KeyOf, Stored, key_of
from warren_persistence.domain.room import Room

ROOMS = 20_000
"""Rooms kept; the least recently used go first."""
MEMBERS = 10_000
"""Looked-up memberships kept a room."""
KEYS = 100_000
"""Recent keys kept, so that a prompt retry costs no look-up."""


class Cache:
    """Rooms at their heads and recent keys. All of it can be read again from the store."""

    def __init__(self) -> None:
        self.rooms: OrderedDict[str, Room] = OrderedDict()
        self._keys: OrderedDict[KeyOf, Stored] = OrderedDict()

    def missing(self, pairs: Iterable[tuple[str, str]]) -> set[str]:
        """Return the rooms that are not cached, or in which one of these (room, user) has not been looked up.

        Such a room is read again as a whole: so it takes a stranger as long to be told of a room that is none of
        theirs as of one that does not exist.
        """
        missing = set()
        for room, user in pairs:
            if room not in self.rooms or user not in self.rooms[room].members:
                missing.add(room)
            else:
                self.rooms.move_to_end(room)
        return missing

    def add_rooms(self, rooms: dict[str, Room], in_use: int) -> None:
        """Add rooms just read; `in_use` rooms at the end are never evicted.

        Who had been looked up stays so, if nothing has happened since that this cache does not know.
        """
        for name, room in rooms.items():
            before = self.rooms.pop(name, None)
            if before is not None and before.head == room.head and len(before.members) < MEMBERS:
                room.members = before.members | room.members
            self.rooms[name] = room
        while len(self.rooms) > max(ROOMS, in_use):
            self.rooms.popitem(last=False)

    def rooms_of(self, commands: Iterable[RoomCommand]) -> dict[str, Room] | None:
        """Return the commands' rooms, or None if any is not here any more."""
        found = {command.room: self.rooms.get(command.room) for command in commands}
        return {name: room for name, room in found.items() if room is not None} if all(found.values()) else None

    def forget_rooms(self, names: Iterable[str]) -> None:
        """Forget the state of these rooms."""
        for name in names:
            self.rooms.pop(name, None)

    def forget_shard(self, number: int) -> None:
        """Forget all rooms of a shard: another writer may have been active since. Keys stay: they never move."""
        self.forget_rooms([name for name in self.rooms if shard(name) == number])

    def known_keys(self, commands: Iterable[RoomCommand]) -> dict[KeyOf, Stored]:
        """Return what is remembered of the commands' keys."""
        keys = (key_of(command) for command in commands)
        return {key: stored for key in keys if (stored := self._keys.get(key)) is not None}

    def remember(self, key: KeyOf, stored: Stored) -> None:
        """Remember where a key's event stands; it has been published."""
        self._keys[key] = stored
        if len(self._keys) > KEYS:
            self._keys.popitem(last=False)
