"""What the writer takes in one commit: deliveries, decoded."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_core import from_json
from warren.contract.commands import COMMAND, Commands
from warren.contract.topology import shard

from warren_persistence.domain.judge import RoomCommand
from warren_persistence.shards import Delivery, Lease

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Poison:
    """A command, or a whole message, that can't be processed, and why."""

    body: bytes
    reason: str


@dataclass(slots=True)
class Decoded:
    """A delivery, the commands in it, and what in it is poison."""

    delivery: Delivery
    commands: list[RoomCommand]
    poison: list[Poison]


@dataclass(slots=True)
class Batch:
    """Deliveries that are committed together, in the order they came."""

    parts: list[Decoded] = field(default_factory=list)

    def commands(self) -> Iterable[RoomCommand]:
        """Yield the commands in order."""
        return (command for part in self.parts for command in part.commands)

    def drop_dead(self) -> None:
        """Forget deliveries that went back to the broker: whoever gets them next will process them."""
        self.parts = [part for part in self.parts if part.delivery.lease.live]

    def lease_of(self, room: str) -> Lease | None:
        """Return the lease under which this batch writes to the room."""
        number = shard(room)
        return next((part.delivery.lease for part in self.parts if part.delivery.lease.shard == number), None)


def decode(delivery: Delivery) -> Decoded:
    """Decode a delivery; what is not a command of its shard is poison, one by one, and spares the rest."""
    body = delivery.message.body
    try:
        found: list[RoomCommand] = list(Commands.model_validate_json(body).commands)
        poison: list[Poison] = []
    except ValidationError:
        found, poison = _salvage(body)
    right = [command for command in found if shard(command.room) == delivery.lease.shard]
    for command in found:
        if shard(command.room) != delivery.lease.shard:
            poison.append(Poison(command.model_dump_json().encode(), "sent to the wrong shard"))
    return Decoded(delivery, right, poison)


def _salvage(body: bytes) -> tuple[list[RoomCommand], list[Poison]]:
    try:
        items = from_json(body)["commands"]
        if not isinstance(items, list):
            raise TypeError("commands is not a list")  # noqa: TRY301
    except (ValueError, KeyError, TypeError) as error:
        return [], [Poison(body, f"not a batch of commands: {error}")]
    good: list[RoomCommand] = []
    poison: list[Poison] = []
    for item in items:
        try:
            good.append(COMMAND.validate_python(item))
        except ValidationError as error:
            poison.append(Poison(repr(item).encode(), f"not a command: {error.errors(include_url=False)}"))
    return good, poison
