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
class Opened:
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
        self._paces = Buckets(rate)

    def open(self, body: bytes, user: str | None, reply_to: str | None, now: float) -> Opened:
        """Return what of this message goes on. `now`: monotonic seconds."""
        opened = Opened(Sender(user or "", reply_queue(user, reply_to)))
        opened.dropped = self._drops(body, user, now)
        if opened.dropped is None:
            found, poison = parse(body, user)
            opened.poison = [one for one in poison if self._passes(opened.sender, now)]
            for command in found:
                if self._passes(opened.sender, now):
                    opened.commands.append(command)
                else:
                    opened.refused.append(refuse(command, Code.TOO_MANY, "too many commands of one bot"))
            self._charge(opened.sender, len(body) / COMMAND_BYTES - len(found) - len(poison), now)
        return opened

    def _drops(self, body: bytes, user: str | None, now: float) -> Code | None:
        # The service's own name would make it a notice: what it says is not to be had here, not even by a detour.
        if user is None or user == self._trust.own:
            return Code.FORBIDDEN
        if len(body) > BODY_LIMIT:
            return Code.INVALID
        return Code.TOO_MANY if self._paces.wait(user, now) else None

    def _charge(self, sender: Sender, commands: float, now: float) -> None:
        """Have it paid for what was read and was no command."""
        if commands > 0 and sender.user not in self._trust.gateways:
            self._paces.charge(sender.user, commands, now)

    def _passes(self, sender: Sender, now: float) -> bool:
        return sender.user in self._trust.gateways or not self._paces.take(sender.user, now)


@dataclass(slots=True)
class ShardBatch:
    """Commands of one sender and one shard, which go on in one message."""

    sender: Sender
    commands: list[RoomCommand]


def shard_batches(messages: Iterable[Opened]) -> dict[int, list[ShardBatch]]:
    """Return what goes on, by shard and in the order in which it came."""
    found: defaultdict[int, list[ShardBatch]] = defaultdict(list)
    for message in messages:
        for command in message.commands:
            line = found[shard(command.room)]
            if not line or line[-1].sender != message.sender or len(line[-1].commands) >= MESSAGE_LIMIT:
                line.append(ShardBatch(message.sender, []))
            line[-1].commands.append(command)
    return dict(found)
