"""What a command is judged by besides its room: what its policy asks for, and what the writer has read."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from warren.contract.ids import RoomId, Seq, UserId

Block = tuple[UserId, UserId]
"""Who blocks, and whom."""
LogPosition = tuple[RoomId, Seq]
"""Where an event stands."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be read before a command can be judged; None is nothing."""

    rooms_of: UserId | None = None
    """In how many rooms this person is."""
    person: UserId | None = None
    """Whether this person has ever signed in."""
    blocks: tuple[UserId, UserId] | None = None
    """Which of these two blocks the other."""
    target: Seq | None = None
    """What stands at this seq of the room."""


NOTHING = Needs()


@dataclass(frozen=True, slots=True)
class Target:
    """An event that a command is about."""

    type: str
    sender: UserId
    at: datetime
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds beyond the rooms, read for the commands of one commit."""

    full: AbstractSet[UserId] = frozenset()
    """People who are in as many rooms as one may be."""
    unknown: AbstractSet[UserId] = frozenset()
    """People who have never signed in."""
    blocks: AbstractSet[Block] = frozenset()
    targets: Mapping[LogPosition, Target] = field(default_factory=dict)
    """The events that commands are about; one that does not exist is missing."""


NO_FACTS = Facts()
