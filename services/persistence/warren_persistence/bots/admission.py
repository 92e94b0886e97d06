"""What of a bot's message goes on to the writers: decided without I/O, and before it is read where that is possible."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from warren.broker.command_client import MESSAGE_LIMIT
from warren.broker.identity import reply_queue
from warren.contract.codes import Code
from warren.contract.commands import Refused
from warren.contract.topology import shard
from warren.rates import Buckets, Rate

from warren_persistence.commands.batch import Poison, Trust, parse
from warren_persistence.domain.decide import RoomCommand, refuse

BOTS = Rate(50, 500)
"""Commands of one bot: more than the library lets it send, and little beside what the writer can do."""
BODY_LIMIT = 1024 * 1024
"""Bytes of a message: what MESSAGE_LIMIT commands need, and no more than is read in passing."""
COMMAND_BYTES = 25_000
"""Bytes that count as one command, whatever they are: those of a command with the longest text."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose a message is, by the broker's word, and where it wants the answers."""

    user: str
    reply_queue: str | None


@dataclass(slots=True)
class Admitted:
    """What was found in a message. `dropped`: why it was not read."""

    sender: Sender
    commands: list[RoomCommand] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    dropped: Code | None = None


class AdmissionControl:
    """Lets through what bots may say: so much of each, and nothing of whoever has no name."""

    def __init__(self, trust: Trust, rate: Rate = BOTS) -> None:
        self._trust = trust
        self._buckets = Buckets(rate)

    def admit(self, body: bytes, user: str | None, reply_to: str | None, now: float) -> Admitted:
        """Return what of this message goes on. `now`: monotonic seconds."""
        admitted = Admitted(Sender(user or "", reply_queue(user, reply_to)))
        admitted.dropped = self._drops(body, user, now)
        if admitted.dropped is None:
            found, poison = parse(body, user)
            admitted.poison = [one for one in poison if self._passes(admitted.sender, now)]
            for command in found:
                if self._passes(admitted.sender, now):
                    admitted.commands.append(command)
                else:
                    admitted.refused.append(refuse(command, Code.TOO_MANY, "too many commands of one bot"))
            self._charge(admitted.sender, len(body) / COMMAND_BYTES - len(found) - len(poison), now)
        return admitted

    def _drops(self, body: bytes, user: str | None, now: float) -> Code | None:
        # The service's own name would make it a notice: what it says is not to be had here, not even by a detour.
        if user is None or user == self._trust.own:
            return Code.FORBIDDEN
        if len(body) > BODY_LIMIT:
            return Code.INVALID
        return Code.TOO_MANY if self._buckets.wait(user, now) else None

    def _charge(self, sender: Sender, commands: float, now: float) -> None:
        """Have it paid for what was read and was no command."""
        if commands > 0 and sender.user not in self._trust.gateways:
            self._buckets.charge(sender.user, commands, now)

    def _passes(self, sender: Sender, now: float) -> bool:
        return sender.user in self._trust.gateways or not self._buckets.take(sender.user, now)


@dataclass(slots=True)
class ShardBatch:
    """Commands of one sender and one shard, which go on in one message."""

    sender: Sender
    commands: list[RoomCommand]


def shard_batches(messages: Iterable[Admitted]) -> dict[int, list[ShardBatch]]:
    """Return what goes on, by shard and in the order in which it came."""
    found: defaultdict[int, list[ShardBatch]] = defaultdict(list)
    for message in messages:
        for command in message.commands:
            batches = found[shard(command.room)]
            if not batches or batches[-1].sender != message.sender or len(batches[-1].commands) >= MESSAGE_LIMIT:
                batches.append(ShardBatch(message.sender, []))
            batches[-1].commands.append(command)
    return dict(found)
