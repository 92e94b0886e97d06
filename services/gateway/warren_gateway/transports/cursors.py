"""Where a client stands in each of its rooms; over SSE as one text. No I/O."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from warren.contract.frames import Join, Joined

CURSOR_PATTERN = r"^(-|[0-9A-Za-z]{0,64})(\.[0-9]{0,15})+$"
MIXED = "-"
"""Stands for the epoch where there is more than one; no database has it, so that all rooms are reset."""


@dataclass(slots=True)
class Position:
    """Where one stands in a room: has all up to `since`. None is nowhere yet."""

    since: int | None = None
    epoch: str | None = None


class Cursors:
    """Where one client is, room by room as clients name them."""

    def __init__(self, positions: dict[str, Position]) -> None:
        self.positions = positions

    @classmethod
    def parse(cls, rooms: Sequence[str], text: str | None) -> "Cursors":
        """Return what the text says of these rooms, nothing if there is none. Raises ValueError."""
        if text is None:
            return cls({room: Position() for room in rooms})
        if not re.fullmatch(CURSOR_PATTERN, text):
            raise ValueError("the cursor is not an epoch and a seq for each room, separated by dots")
        epoch, *seqs = text.split(".")
        if len(seqs) != len(rooms):
            raise ValueError(f"the cursor is of {len(seqs)} rooms, and {len(rooms)} are asked for")
        return cls({room: _position(epoch, seq) for room, seq in zip(rooms, seqs, strict=True)})

    def __str__(self) -> str:
        epochs = {position.epoch for position in self.positions.values() if position.epoch is not None}
        epoch = epochs.pop() if len(epochs) == 1 else MIXED if epochs else ""
        seqs = ("" if position.since is None else str(position.since) for position in self.positions.values())
        return ".".join((epoch, *seqs))

    @property
    def joins(self) -> list[Join]:
        """The frames that ask for these rooms."""
        return [
            Join(room=room, since=position.since, epoch=position.epoch) for room, position in self.positions.items()
        ]

    def joined(self, frame: Joined) -> None:
        """Take note of a subscription: where nothing is replayed, it begins at the head."""
        position = self.positions[frame.room]
        if position.since is None or frame.reset:
            position.since = frame.head
        position.epoch = frame.epoch

    def moved(self, room: str, seq: int) -> None:
        """Take note that the client is given all up to `seq`."""
        self.positions[room].since = seq

    def left(self, room: str) -> None:
        """Take note that the room is not read any more."""
        self.positions[room] = Position()


def _position(epoch: str, seq: str) -> Position:
    return Position(int(seq), epoch or None) if seq else Position()
