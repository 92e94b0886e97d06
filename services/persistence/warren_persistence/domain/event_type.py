"""What the registry says of a type of event: the commands that become it, who may give them, and what it changes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from warren.contract.codes import Code
from warren.contract.commands import BaseCommand, TargetedCommand
from warren.contract.events import AnyEvent
from warren.contract.ids import UserId

from warren_persistence.domain.facts import NOTHING, Facts, Needs
from warren_persistence.domain.room import Membership, Room

Denial = tuple[Code, str]
"""Why not: a code and a sentence."""
Changes = dict[str, Any]
"""New values of fields, by name."""
C = TypeVar("C", bound=BaseCommand)
C_co = TypeVar("C_co", bound=BaseCommand, covariant=True)
E = TypeVar("E", bound=AnyEvent)
T = TypeVar("T", bound=TargetedCommand)


@dataclass(frozen=True, slots=True)
class Case(Generic[C_co]):
    """A command at its place in the room's order, and all that it is judged by."""

    room: Room
    command: C_co
    now: datetime
    facts: Facts

    @property
    def sender(self) -> Membership:
        """What the sender is to the room."""
        return self.room.membership(self.command.sender, self.now)


def target(case: Case[TargetedCommand]) -> Membership:
    """Return what the person whom the command is about is to the room."""
    return case.room.membership(case.command.user, case.now)


Rule = Callable[[Case[C]], Denial | None]
"""Returns why not."""


def _nothing(_room: Room, _command: BaseCommand) -> Needs:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Policy(Generic[C]):
    """Who may give a command, and what has to be read to know that."""

    rule: Rule[C]
    needs: Callable[[Room, C], Needs] = _nothing


@dataclass(frozen=True, slots=True)
class Verb(Generic[C]):
    """A command that becomes an event of the type."""

    command: type[C]
    policy: Policy[C]
    derive: Callable[[Case[C]], Changes] | None = None
    """What the event says that follows from the room's state."""
    internal: bool = False
    """Whether it is the persistence service's own, which it believes of nobody else."""


@dataclass(frozen=True, slots=True)
class EventType(Generic[E]):
    """The registry's entry of a type. What all services have to know of it stands in its model."""

    event: type[E]
    verbs: tuple[Verb[Any], ...]
    room: Callable[[E], Changes] | None = None
    """What it makes of the room: new values of fields of `Room`."""
    members: Callable[[E], dict[UserId, Changes]] | None = None
    """What it makes of people: new values of fields of their `Membership`, by user."""
    recipient: Callable[[E], UserId | None] | None = None
    """Who is sent a notice of it."""
    signed_in: bool = False
    """Whether its sender is known to have signed in."""
