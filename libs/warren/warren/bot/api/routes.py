"""Which handlers an event concerns. No I/O."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from warren.bot.api.arguments import Misused, Signature, command_in
from warren.bot.api.event import Event

Handler = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A handler and what it is for. `types` and `rooms` are patterns (`member.*`); None is any.

    `name` is part of the keys of what the handler says: keep it when you rewrite the handler.
    """

    name: str
    handler: Handler
    types: tuple[str, ...]
    rooms: tuple[str, ...] | None = None
    bots: bool = False
    record: bool = False
    """It is for all that happens, also by the bot itself."""
    signature: Signature | None = None
    what: str | None = None
    """Of notices: the type of what happened elsewhere."""

    def takes(self, event: Event) -> bool:
        """Whether the handler is for this event."""
        return (
            _fits(event.type, self.types)
            and (self.rooms is None or _fits(event.room, self.rooms))
            and (self.bots or self.record or not event.by_bot)
            and (self.record or not event.deleted)
            and self.what in (None, event.data.get("what"))
            and (self.signature is None or command_in(event.text)[0] == self.signature.command)
        )

    def arguments(self, event: Event) -> dict[str, Any]:
        """Return what the handler is called with besides the trigger. Raises Misused."""
        return {} if self.signature is None else self.signature.parse(command_in(event.text)[1])


@dataclass(slots=True)
class Routes:
    """A bot's handlers, in the order in which they were written."""

    found: list[Route] = field(default_factory=list)

    def add(self, route: Route) -> None:
        """Add a handler. Raises ValueError for a name that is taken."""
        if any(other.name == route.name for other in self.found):
            raise ValueError(f"there is a handler named {route.name} already")
        self.found.append(route)

    def named(self, name: str) -> Route | None:
        """Return the handler of this name."""
        return next((route for route in self.found if route.name == name), None)

    def of(self, event: Event) -> Iterator[Route]:
        """Yield the handlers for an event."""
        return (route for route in self.found if route.takes(event))


def patterns(given: str | Collection[str] | None) -> tuple[str, ...] | None:
    """Return one pattern, or several, as a tuple."""
    return (given,) if isinstance(given, str) else None if given is None else tuple(given)


def _fits(text: str, allowed: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in allowed)


__all__ = ["Handler", "Misused", "Route", "Routes", "patterns"]
