"""What a command is judged by besides its room."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from warren.contract.ids import UserId

Block = tuple[UserId, UserId]
"""Who blocks, and whom."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds beyond one room, read for the commands of one commit."""

    full: AbstractSet[UserId] = frozenset()
    """People who are in as many rooms as one may be."""
    unknown: AbstractSet[UserId] = frozenset()
    """People who have never signed in."""
    blocks: AbstractSet[Block] = frozenset()


NO_FACTS = Facts()
