"""What the writer takes in one commit: deliveries come in, commands go out, and what is none."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span
from pamqp.commands import Basic
from pydantic import ValidationError
from warren.broker.shards import Lease
from warren.broker.tracing import receiving
from warren.contract.codes import Code
from warren.contract.commands import COMMAND, COMMANDS_LIMIT, Refused
from warren.contract.topology import shard, shard_queue
from warren.supervise import failed
from warren.untrusted import first_error, read

from warren_persistence.commands.delivery_queue import Delivery
from warren_persistence.domain.decide import RoomCommand, refuse
from warren_persistence.domain.registry import verb_of

COMMAND_PARTS = 100
"""Commas, brackets and braces of a command outside of its texts: twice as many as there are people to be mentioned."""
PUBLISHER = "publisher"
"""The header of a message that was passed on: whose it is."""


@dataclass(frozen=True, slots=True)
class Poison:
    """A command, or a whole message, that can't be processed, and why."""

    body: bytes
    reason: str
    publisher: str | None
    """Who sent it, by the broker's word."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word the writer takes, by the broker user that published (`user_id`, which the broker validates)."""

    gateways: frozenset[str]
    """These speak for anybody: they have checked a token."""
    own: str
    """The service's own user, which alone sends notices, and passes on what bots say."""

    def allows(self, publisher: str | None, command: RoomCommand) -> bool:
        """Whether this publisher may say this; any other broker user speaks for itself alone."""
        if verb_of(command).internal:
            return publisher == self.own
        return publisher in self.gateways or publisher == command.sender


@dataclass(slots=True)
class Decoded:
    """A delivery, whose it is, the commands in it, what in it is poison, and what was sent in somebody else's name."""

    delivery: Delivery
    publisher: str | None
    commands: list[RoomCommand]
    poison: list[Poison]
    refused: list[Refused]
    span: Span = INVALID_SPAN


@dataclass(slots=True)
class Batch:
    """Deliveries that are committed together, in the order they came."""

    parts: list[Decoded] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """Those of the deliveries."""
        return [part.span for part in self.parts]

    def commands(self) -> Iterable[RoomCommand]:
        """Yield the commands in order."""
        return (command for part in self.parts for command in part.commands)

    def redelivered(self) -> set[str]:
        """Return the rooms of commands that may be stored already: they have been delivered before."""
        parts = (part for part in self.parts if part.delivery.message.redelivered)
        return {command.room for part in parts for command in part.commands}

    def drop_dead(self) -> None:
        """Forget deliveries that went back to the broker: whoever gets them next will process them."""
        self.parts = [part for part in self.parts if part.delivery.lease.live]

    def halves(self) -> tuple["Batch", "Batch"]:
        """Return the first half of the commands and the rest, in order, each with its deliveries.

        What else there is in a delivery goes with the first of its commands.
        """
        first, rest, left = Batch(), Batch(), sum(len(part.commands) for part in self.parts) // 2
        for part in self.parts:
            if 0 < left < len(part.commands):
                first.parts.append(replace(part, commands=part.commands[:left]))
                rest.parts.append(replace(part, commands=part.commands[left:], poison=[], refused=[]))
            else:
                (first if left else rest).parts.append(part)
            left = max(0, left - len(part.commands))
        return first, rest

    def dead_letter(self, reason: str) -> None:
        """Make all commands poison, which becomes dead letters; they are to be answered still."""
        for part in self.parts:
            part.poison += (_poison(one.model_dump(mode="json"), reason, part.publisher) for one in part.commands)

    def lease_of(self, room: str) -> Lease | None:
        """Return the lease under which this batch writes to the room."""
        number = shard(room)
        return next((part.delivery.lease for part in self.parts if part.delivery.lease.shard == number), None)


def publisher_of(properties: Basic.Properties, own: str) -> str | None:
    """Return whose a message is, by the broker's word: who sent it, or whom the service `own` passed it on for."""
    if properties.user_id == own and PUBLISHER in (headers := properties.headers or {}):
        return str(headers[PUBLISHER])
    return properties.user_id


def decode(delivery: Delivery, trust: Trust) -> Decoded:
    """Decode a delivery; what cannot be is poison."""
    try:
        return _decoded(delivery, trust)
    except Exception as error:
        failed("commands", error, shard=delivery.lease.shard)
        publisher = delivery.message.header.properties.user_id
        return Decoded(delivery, publisher, [], [Poison(delivery.message.body, f"failed: {error!r}", publisher)], [])


def _decoded(delivery: Delivery, trust: Trust) -> Decoded:
    """Decode a delivery; what is not a command of its shard is poison, one by one, and spares the rest."""
    properties = delivery.message.header.properties
    publisher = publisher_of(properties, trust.own)
    found, poison = parse(delivery.message.body, publisher)
    span = receiving(shard_queue(delivery.lease.shard), properties.headers)
    decoded = Decoded(delivery, publisher, [], poison, [], span)
    for command in found:
        if shard(command.room) != delivery.lease.shard:
            decoded.poison.append(_poison(command.model_dump(mode="json"), "sent to the wrong shard", publisher))
        elif not trust.allows(publisher, command):
            decoded.refused.append(refuse(command, Code.FORBIDDEN, "the broker does not vouch for this sender"))
        else:
            decoded.commands.append(command)
    return decoded


def parse(body: bytes, publisher: str | None) -> tuple[list[RoomCommand], list[Poison]]:
    """Return the commands in the body of a message, and what in it is none."""
    try:
        items = _items(body)
    except ValueError as error:
        return [], [Poison(body, f"not a batch of commands: {error}", publisher)]
    good: list[RoomCommand] = []
    poison: list[Poison] = []
    for item in items:
        try:
            good.append(COMMAND.validate_python(item))
        except ValidationError as error:
            poison.append(_poison(item, f"not a command: {first_error(error)}", publisher))
    return good, poison


def _items(body: bytes) -> list[Any]:
    """Return what stands where commands should. Raises ValueError."""
    found = read(body, COMMANDS_LIMIT * COMMAND_PARTS)
    items = found.get("commands") if isinstance(found, dict) else None
    if not isinstance(items, list):
        raise ValueError("there is no list of commands")  # noqa: TRY004  of the sender's, not of the caller's
    if len(items) > COMMANDS_LIMIT:
        raise ValueError(f"more than {COMMANDS_LIMIT} commands")
    return items


def _poison(item: Any, reason: str, publisher: str | None) -> Poison:
    """Return a command as a message of its own, which can be sent again as it is, lone surrogates included."""
    return Poison(json.dumps({"commands": [item]}, separators=(",", ":")).encode(), reason, publisher)
