"""What a bot remembers, in one SQLite file: a table of values, and where it is in each room.

A handler's changes are kept together with its place in the room's log, in one transaction: a bot that is killed has
either done both or neither, and an event that is handled again finds the state as it was.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any, Protocol

from warren.bot.api.position import Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vals (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (room TEXT PRIMARY KEY, epoch TEXT, seq INTEGER NOT NULL);
"""
GONE = object()
HIDDEN = "\x01"
"""What keys begin with that are the library's own: `items()` shows them to nobody."""
_END = "\U0010ffff"  # sorts after every key that begins so


class State(Protocol):
    """Values by key: whatever JSON holds."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""

    def delete(self, key: str) -> None:
        """Forget a value."""

    def items(self, prefix: str = "") -> list[tuple[str, Any]]:
        """Return all values whose key begins so, by key."""


class Memory:
    """The file; without a path it is in memory, and ends with the process."""

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # Without an fsync for each event. A power cut may take the last transactions, each as a whole: their events
        # are then read from the log and handled again, by the same keys, as after any crash before them.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def position(self, room: str) -> Position:
        """Return where the bot is in a room."""
        row = self._db.execute("SELECT epoch, seq FROM positions WHERE room = ?", (room,)).fetchone()
        return Position(*row) if row else Position()

    def rooms(self) -> list[str]:
        """Return the rooms that the bot has been in."""
        return [room for (room,) in self._db.execute("SELECT room FROM positions ORDER BY room")]

    def keep(self, changes: dict[str, Any], room: str | None = None, position: Position | None = None) -> None:
        """Keep changed values and a place, both or neither."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for key, value in changes.items():
                if value is GONE:
                    self._db.execute("DELETE FROM vals WHERE key = ?", (key,))
                else:
                    self._db.execute("INSERT OR REPLACE INTO vals VALUES (?, ?)", (key, json.dumps(value)))
            if position is not None:
                row = (room, position.epoch, position.seq)
                self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", row)

    def lookup(self, key: str) -> Any:
        """Return a value, or GONE."""
        row = self._db.execute("SELECT value FROM vals WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else GONE

    def select(self, prefix: str) -> dict[str, Any]:
        """Return all values whose key begins so."""
        return dict(self.span(prefix, prefix + _END))

    def span(self, low: str, high: str, most: int = -1) -> list[tuple[str, Any]]:
        """Return the values whose keys lie between the two, by key, so many at most."""
        query = "SELECT key, value FROM vals WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        return [(key, json.loads(value)) for key, value in self._db.execute(query, (low, high, most))]

    def dump(self) -> bytes:
        """Return all that is kept."""
        return self._db.serialize()

    def load(self, dump: bytes) -> None:
        """Go back to what was kept then."""
        self._db.deserialize(dump)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Change:
    """Values as they will be when the change is kept."""

    def __init__(self, base: "Memory | Change") -> None:
        self._base = base
        self.changes: dict[str, Any] = {}

    def lookup(self, key: str) -> Any:
        """Return a value, or GONE."""
        return self.changes[key] if key in self.changes else self._base.lookup(key)

    def select(self, prefix: str) -> dict[str, Any]:
        """Return all values whose key begins so, GONE where one was forgotten."""
        ours = {key: value for key, value in self.changes.items() if key.startswith(prefix)}
        return {**self._base.select(prefix), **ours}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        found = self.lookup(key)
        return default if found is GONE else found

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        json.dumps(value)  # what is no JSON fails where it is said
        self.changes[key] = value

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.changes[key] = GONE

    def items(self, prefix: str = "") -> list[tuple[str, Any]]:
        """Return all values whose key begins so, by key."""
        found = self.select(prefix).items()
        return sorted((key, value) for key, value in found if value is not GONE and not key.startswith(HIDDEN))
