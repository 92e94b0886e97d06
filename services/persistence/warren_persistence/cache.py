"""What the writer remembers between commits, within bounds."""

from collections import OrderedDict
from collections.abc import Iterable

from warren.contract.topology import shard

from warren_persistence.domain.judge import RoomCommand
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

    def missing_rooms(self, names: Iterable[str]) -> list[str]:
        """Return the rooms that are not cached, and count the others as used."""
        missing = []
        for name in set(names):
            if name in self.rooms:
                self.rooms.move_to_end(name)
            else:
                missing.append(name)
        return missing

    def add_rooms(self, rooms: dict[str, Room], in_use: int) -> None:
        """Add rooms; `in_use` rooms at the end are never evicted."""
        self.rooms.update(rooms)
        while len(self.rooms) > max(ROOMS, in_use):
            self.rooms.popitem(last=False)

    def missing_members(self, commands: Iterable[RoomCommand]) -> set[tuple[str, str]]:
        """Return the (room, sender) whose membership is not known."""
        wanted = {(command.room, command.sender) for command in commands}
        missing = set()
        for room, user in wanted:
            members = self.rooms[room].members
            if user not in members:
                if len(members) >= MEMBERS:
                    members.clear()
                missing.add((room, user))
        # What was cleared above may be needed after all.
        return missing | {(room, user) for room, user in wanted if user not in self.rooms[room].members}

    def forget_rooms(self, names: Iterable[str]) -> None:
        """Forget the state of these rooms."""
        for name in names:
            self.rooms.pop(name, None)

    def forget_shard(self, number: int) -> None:
        """Forget all rooms of a shard: another writer may have been active since. Keys stay: they never change."""
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
