"""A bot: its name, and handlers for what happens."""

from collections.abc import Callable, Collection
from typing import TypeVar

from warren.bot.api.arguments import Signature
from warren.bot.api.definition import Definition, Task
from warren.bot.api.routes import Handler, Route, patterns
from warren.bot.api.trigger import INVITED
from warren.bot.runtime.runner import main

H = TypeVar("H", bound=Handler)


class Bot(Definition):
    """Handlers by decorator. `run()` connects it; `warren.bot.testing` talks to it without a broker.

    `title`: what people see as its name. `rooms`: where it becomes a member at the start; it may only follow rooms
    that the operator has given it. `since`: where it begins in a room that it has never been in (0 is the room's
    beginning; without it, with what happens next). `state`: the file in which it keeps what it remembers.
    """

    def message(self, *, room: str | Collection[str] | None = None, bots: bool = False) -> Callable[[H], H]:
        """Call the handler with each message. `bots`: also with those of other bots."""
        return self._route(("message",), room, bots=bots)

    def command(self, name: str, *, room: str | Collection[str] | None = None) -> Callable[[H], H]:
        """Call the handler when somebody says `/name …`, with the words as arguments of the types it names."""

        def add(handler: H) -> H:
            signature = Signature.of(name, handler)
            self.routes.add(Route(handler.__name__, handler, ("message",), patterns(room), signature=signature))
            return handler

        return add

    def joined(self, *, room: str | Collection[str] | None = None) -> Callable[[H], H]:
        """Call the handler when somebody becomes a member."""
        return self._route(("member.joined",), room)

    def invited(self, *, bots: bool = False) -> Callable[[H], H]:
        """Call the handler with each invitation of the bot into a room, which it may accept. `bots`: also of bots."""

        def add(handler: H) -> H:
            self.routes.add(Route(handler.__name__, handler, ("notice",), bots=bots, what=INVITED))
            return handler

        return add

    def event(
        self, kind: str | Collection[str] = "*", *, room: str | Collection[str] | None = None, bots: bool = False,
        record: bool = False,
    ) -> Callable[[H], H]:  # fmt: skip
        """Call the handler with events of these types, which may be patterns (`member.*`), also of types to come.

        `record`: with all of them, also the bot's own, and however long bots talk to each other. That is for what is
        taken note of: whoever answers such an event in its room will answer themselves.
        """
        return self._route(patterns(kind) or (), room, bots=bots, record=record)

    def timer(self, handler: H) -> H:
        """Call the handler when a timer is due that another handler has set with `later`."""
        self.timers.add(Route(handler.__name__, handler, ()))
        return handler

    def task(self, work: Task) -> Task:
        """Run this beside the handlers, from the start to the end: it hears of the world outside, and says so."""
        self.tasks.append(work)
        return work

    def run(self) -> None:
        """Connect to the broker that WARREN_AMQP_URL names, and work until SIGTERM or Ctrl-C."""
        main(self)

    def _route(
        self, types: tuple[str, ...], room: str | Collection[str] | None, *, bots: bool = False, record: bool = False
    ) -> Callable[[H], H]:
        def add(handler: H) -> H:
            self.routes.add(Route(handler.__name__, handler, types, patterns(room), bots, record))
            return handler

        return add
