"""What a bot says of its own accord: not because of an event, but of something outside, which a task of it hears of."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from warren.bot.api.chat import Chat, LogPage
from warren.contract import commands as c
from warren.contract.ids import new_id


class Voice:
    """The chat for a bot's tasks. All that is said has a key: the same in the same room says nothing twice, ever."""

    def __init__(self, chat: Chat, user: str, name: str, joined: Callable[[], Awaitable[None]] | None = None) -> None:
        self._chat = chat
        self._joined = joined
        self._user = user
        self._name = name

    async def send(self, room: str, text: str, key: str, *, name: str | None = None) -> int:
        """Say something and return the seq, once it is stored. `name`: by another name. Raises Refusal or Unavailable.

        What does not fit into a message, or shows nothing, is no command: pydantic's ValidationError, which says so.
        """
        return await self._submit(c.Send(**self._common(room, key, name), text=text))

    async def do(self, command: type[c.AnyCommand], room: str, key: str, **fields: Any) -> int:
        """Have something else done, and return the seq. Raises Refusal or Unavailable."""
        return await self._submit(command(**self._common(room, key, None), **fields))

    async def read(self, room: str, after: int) -> LogPage:
        """Read a room's log after a seq, 500 events at most. Raises Refusal or Unavailable."""
        return await self._chat.read(room, after)

    async def _submit(self, command: c.AnyCommand) -> int:
        if self._joined is not None:
            await self._joined()
        return (await self._chat.submit(command)).seq

    def _common(self, room: str, key: str, name: str | None) -> c.Common:
        digest = sha256(key.encode()).hexdigest()[:40]
        return {
            "id": new_id(), "room": room, "sender": self._user, "name": name or self._name, "key": f"voice.{digest}",
        }  # fmt: skip
