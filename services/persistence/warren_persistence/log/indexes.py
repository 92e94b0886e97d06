"""Indexes of the events of some types alone: which types, each version says for itself."""

from collections.abc import Set
from hashlib import sha256
from typing import Any, Final

from pymongo import ASCENDING
from pymongo.errors import OperationFailure

KEYS: Final = [("room", ASCENDING), ("seq", ASCENDING)]
OPTIONS_CONFLICT = 85
"""MongoDB's code for an index that there is already, by another name."""
TRIES = 3
"""How often the index is looked for: another replica may make it, and an operator drop it, in between."""


class TypesIndex:
    """An index by room and seq of the events of these types, and of no others."""

    def __init__(self, database: Any, purpose: str, types: Set[str]) -> None:
        self._events = database.events
        self.types = {"$in": sorted(types)}
        """Belongs into every query of it: only so does MongoDB know that the index has all that the query asks for."""
        self.name = f"{purpose}_{sha256(' '.join(sorted(types)).encode()).hexdigest()[:12]}"
        """To be hinted at. It says which types are in it: replicas of another version have an index of their own."""

    async def prepare(self) -> None:
        """Make the index, or take the one that is the same by another name: MongoDB allows no two.

        Versions before named it by how many types it has, so that another set of as many was refused.
        """
        for _ in range(TRIES):
            if (name := await self._made_before()) is not None:
                self.name = name
                return
            try:
                await self._events.create_index(KEYS, name=self.name, partialFilterExpression={"type": self.types})
            except OperationFailure as error:
                if error.code != OPTIONS_CONFLICT:
                    raise
            else:
                return
        raise OperationFailure(f"the index {self.name} conflicts with one that comes and goes", OPTIONS_CONFLICT)

    async def _made_before(self) -> str | None:
        """Return the name of the index that is the same, whoever has made it."""
        found: dict[str, dict[str, Any]] = await self._events.index_information()
        of_types = {"type": self.types}
        same = (
            name
            for name, one in found.items()
            if one["key"] == KEYS and one.get("partialFilterExpression") == of_types and not one.get("unique")
        )
        return next(same, None)
