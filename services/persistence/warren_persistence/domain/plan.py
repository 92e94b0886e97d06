"""One batch: commands and the rooms' state come in, events to store and answers to give go out. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from warren.contract.bots import bot_name
from warren.contract.codes import Code
from warren.contract.commands import Accepted, Refused
from warren.contract.topology import bot_key, public_key

from warren_persistence.domain.content import content_of_command, content_of_event
from warren_persistence.domain.decide import RoomCommand, apply, decide
from warren_persistence.domain.facts import NO_FACTS, Facts
from warren_persistence.domain.room import LogEvent, Room

BOTS_LIMIT = 50
"""Bots of one room that its events are sent to. Each is a process that an operator runs; the broker reads all keys."""
KeyOf = tuple[str, str, str]
"""(room, sender, key): unique for ever."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a command's event stands in the log, and what it says. `event`: None if it need not be published again.

    `content`: None if nobody knows any more, and so any command is the same.
    """

    seq: int
    number: int
    content: int | None
    event: LogEvent | None = None


@dataclass(slots=True)
class Plan:
    """What a batch comes to."""

    new: list[tuple[str, LogEvent, int]] = field(default_factory=list)
    """(room, event, the room's message count at it): to be inserted, in this order."""
    again: list[tuple[str, LogEvent, int]] = field(default_factory=list)
    """Events found in the store, whose first writer may have died before publishing them."""
    answers: list[Accepted | Refused] = field(default_factory=list)
    """By place, one for each command. An id is its sender's choice, and may stand in several commands at a time."""
    copies: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    """By room and seq: the further routing keys of an event."""
    refused: set[str] = field(default_factory=set)
    """The rooms in which something was refused."""


def key_of(command: RoomCommand) -> KeyOf:
    """Return what makes the command's event unique for ever."""
    return (command.room, command.sender, command.key)


def stands_for_another(command: RoomCommand, known: Mapping[KeyOf, Stored]) -> bool:
    """Whether the command's key is known to stand for something else."""
    stored = known.get(key_of(command))
    return stored is not None and not _says(stored, command)


def _says(stored: Stored, command: RoomCommand) -> bool:
    return stored.content is None or stored.content == content_of_command(command)


def plan_batch(
    commands: Iterable[RoomCommand],
    rooms: Mapping[str, Room],
    known: Mapping[KeyOf, Stored],
    now: datetime,
    facts: Facts = NO_FACTS,
) -> Plan:
    """Decide upon the commands in order; `rooms` advance as if all was stored.

    `known`: keys seen before.
    """
    plan = Plan()
    fresh: dict[KeyOf, Stored] = {}
    for command in commands:
        key = key_of(command)
        stored = fresh.get(key) or known.get(key)
        if stored is None:
            verdict = decide(rooms[command.room], command, now, facts)
            if isinstance(verdict, Refused):
                plan.answers.append(verdict)
                plan.refused.add(command.room)
                continue
            stored = fresh[key] = _advance(plan, rooms[command.room], verdict)
        elif not _says(stored, command):
            plan.answers.append(_another(command, stored))
            continue
        elif stored.event is not None:
            room = rooms[command.room]
            plan.again.append((room.name, stored.event, stored.number))
            plan.copies[room.name, stored.seq] = copies(room, room.bots | _made_to_leave(stored.event))
        plan.answers.append(Accepted(id=command.id, seq=stored.seq, number=stored.number))
    return plan


def _advance(plan: Plan, room: Room, event: LogEvent) -> Stored:
    before = room.bots
    apply(room, event)
    plan.copies[room.name, event.seq] = copies(room, before)
    plan.new.append((room.name, event, room.number))
    return Stored(event.seq, room.number, content_of_event(event))


def _made_to_leave(event: LogEvent) -> frozenset[str]:
    """Return the bot that the event makes leave, if it is one: said again, it is shown to it, too, as the last.

    What was before it is not: whether the bot was a member then, the event does not say.
    """
    name = bot_name(getattr(event, "user", "")) if event.ends_reading else None
    return frozenset() if name is None else frozenset({name})


def _another(command: RoomCommand, stored: Stored) -> Refused:
    """Refuse a key that stands for something else, and say where that is."""
    detail = "this key was used for something else already"
    return Refused(id=command.id, code=Code.INVALID, detail=detail, seq=stored.seq, number=stored.number)


def copies(room: Room, before: frozenset[str]) -> tuple[str, ...]:
    """Return the further routing keys of the room's last event: one says that it is public, and one a bot in the room.

    `before`: the bots before the event. One that is made to leave is shown that, and nothing after it. An inbox is its
    owner's alone.
    """
    public = (public_key(room.name),) if room.kind == "public" else ()
    return public + tuple(bot_key(name) for name in sorted(room.bots | before)[:BOTS_LIMIT])


def merged(commands: Iterable[RoomCommand], plans: Mapping[str, Plan]) -> Plan:
    """Return the plans of single rooms as one, with the answers by place."""
    answers = {room: iter(plan.answers) for room, plan in plans.items()}
    whole = Plan(answers=[next(answers[command.room]) for command in commands])
    for plan in plans.values():
        whole.new += plan.new
        whole.again += plan.again
        whole.copies |= plan.copies
        whole.refused |= plan.refused
    return whole


@dataclass(frozen=True, slots=True)
class Run:
    """Events of one room without a gap: what goes out together. `number`: messages up to the last."""

    room: str
    events: list[LogEvent]
    number: int
    copies: tuple[str, ...] = ()
    """The routing keys by which bots hear it."""
    texts: tuple[bytes, ...] = ()
    """The events as JSON: each is encoded once, whatever carries it."""

    @property
    def size(self) -> int:
        """How many bytes its events take."""
        return sum(map(len, self.texts))

    def frame(self, room: str) -> bytes:
        """Return the run as a client frame, with the room by this name (`warren.contract.events.Events`)."""
        return b'{"type":"events","room":"%b","events":[%b]}' % (room.encode(), b",".join(self.texts))


def runs(
    events: Iterable[tuple[str, LogEvent, int]],
    limit: int,
    most: int,
    copies: Mapping[tuple[str, int], tuple[str, ...]],
) -> list[Run]:
    """Group (room, event, message count) into contiguous runs that go to the same bots.

    Each has at most `limit` events and `most` bytes of JSON.
    """
    by_room: dict[str, dict[int, tuple[LogEvent, int]]] = {}
    for room, event, number in events:
        by_room.setdefault(room, {})[event.seq] = (event, number)
    found: list[Run] = []
    for room, entries in by_room.items():
        texts = {seq: event.model_dump_json(exclude_none=True).encode() for seq, (event, _) in entries.items()}
        keys = {seq: copies.get((room, seq), ()) for seq in entries}
        for seqs in _contiguous(texts, keys, limit, most):
            run = [entries[seq][0] for seq in seqs]
            found.append(Run(room, run, entries[seqs[-1]][1], keys[seqs[0]], tuple(texts[seq] for seq in seqs)))
    return found


def _contiguous(
    texts: Mapping[int, bytes], keys: Mapping[int, tuple[str, ...]], limit: int, most: int
) -> list[list[int]]:
    groups: list[list[int]] = []
    left = 0
    for seq in sorted(texts):
        last, size = groups[-1] if groups else [], len(texts[seq]) + 1  # and a comma
        goes_on = bool(last) and seq == last[-1] + 1 and keys[seq] == keys[last[-1]]
        if goes_on and len(last) < limit and size <= left:
            last.append(seq)
        else:
            groups.append([seq])
            left = most
        left -= size
    return groups
