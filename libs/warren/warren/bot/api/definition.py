"""What a bot is, as whatever runs it knows it: its names, its rooms, its handlers and how they are run. No I/O."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from warren.bot.api.routes import Routes
from warren.bot.api.voice import Voice
from warren.contract.bots import BotName, bot_user

Task = Callable[[Voice], Awaitable[None]]
"""Runs beside the handlers, and says of its own accord what it hears of."""
_NAME: TypeAdapter[str] = TypeAdapter(BotName)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often a handler may try, and how long bots may talk to each other.

    `timeout`: seconds for one try. `tries`: of a handler that raises. `patience`: seconds for which it is tried again
    while broker or database are away, which is not its fault. `chatter`: messages of bots in a row, with nobody else
    in between, after which this one answers no other bot.
    """

    timeout: float = 60.0
    tries: int = 5
    first_wait: float = 0.2
    longest_wait: float = 10.0
    patience: float = 600.0
    chatter: int = 5


class Definition:
    """A bot's name and handlers; `Bot` says what is what."""

    def __init__(
        self, name: str, *, title: str | None = None, rooms: Collection[str] = (), since: int | None = None,
        state: Path | str | None = None, policy: Policy | None = None,
    ) -> None:  # fmt: skip
        self.name = _NAME.validate_python(name)
        self.user = bot_user(name)
        self.title = title or name
        self.rooms = frozenset(rooms)
        self.since = since
        self.state = None if state is None else Path(state)
        self.policy = policy or Policy()
        self.routes = Routes()
        self.timers = Routes()
        self.tasks: list[Task] = []
