"""Dead letters: what could not be processed, with the reason; and what an operator does about them."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from warren.broker.connect import connected
from warren.broker.declare import TIMEOUT
from warren.broker.errors import translated
from warren.broker.publisher import PERSISTENT, Publisher
from warren.contract.bots import bot_dead_queue, bot_user
from warren.contract.topology import DEAD
from warren.contract.users import OPERATOR
from warren.contract.wire import rfc3339, utc_now

REASON_LIMIT = 1_000
"""Characters of a reason that are kept."""
LOOK_LIMIT = 1_000
"""Letters that are looked at in one go, the oldest first."""


def about(
    *, reason: str, source: str, replica: str, publisher: str | None, exchange: str = "", key: str = ""
) -> dict[str, Any]:
    """Return the headers of a dead letter: why, whence, who gave up, and how it would be sent again.

    `source`: the queue it came from, or a bot's handler. `publisher`: whose it was, by the broker's word. `exchange`
    and `key`: where it is published if an operator replays it.
    """
    found = {"reason": reason[:REASON_LIMIT], "source": source, "replica": replica, "at": rfc3339(utc_now())}
    return found | {"publisher": publisher or "", "exchange": exchange, "key": key}


async def dead_letter(publisher: Publisher, body: bytes, headers: dict[str, Any], exchange: str = "") -> None:
    """Put `body` among the dead letters, `warren.dead` or those of an exchange of one's own. Raises Unavailable."""
    key = "" if exchange else DEAD
    await publisher.publish(exchange, key, body, mandatory=True, delivery_mode=PERSISTENT, headers=headers)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: its number in the queue, the oldest being 1, and what it says."""

    number: int
    message: AbstractIncomingMessage

    def header(self, name: str) -> str:
        """Return a header as text; what is missing is empty."""
        return str(self.message.headers.get(name, ""))


class Letters:
    """The letters of one queue, taken out for as long as this is looked at; what is not dropped goes back in place.

    `bot`: the user whose own they are. It wrote their headers, too, so what these say is not believed: an operator may
    speak for everybody, and would do so for whoever has stolen the bot's login.
    """

    def __init__(self, channel: AbstractChannel, found: list[Letter], bot: str | None) -> None:
        self.found = found
        self._channel = channel
        self._bot = bot

    def select(self, numbers: Iterable[int]) -> list[Letter]:
        """Return the letters of these numbers, all if there are none. Raises LookupError."""
        wanted = set(numbers)
        if missing := wanted - {letter.number for letter in self.found}:
            raise LookupError(f"there is no letter {min(missing)}")
        return [letter for letter in self.found if not wanted or letter.number in wanted]

    async def drop(self, letter: Letter) -> None:
        """Be rid of a letter."""
        await letter.message.ack()

    async def replay(self, letter: Letter) -> None:
        """Send a letter's body where it was going, in the name of whoever had sent it, and be rid of it.

        A bot's goes back to its bot. Raises LookupError.
        """
        message = aio_pika.Message(
            letter.message.body,
            delivery_mode=PERSISTENT,
            user_id=None if self._bot else letter.header("publisher") or None,
            headers={"replay": letter.header("source")},
        )
        exchange, key = self._channel.default_exchange, self._bot or letter.header("key")
        if (name := letter.header("exchange")) and not self._bot:
            exchange = await self._channel.get_exchange(name, ensure=False)
        elif not key:
            raise LookupError(f"letter {letter.number} does not say where it was going")
        await exchange.publish(message, key, timeout=TIMEOUT)
        await letter.message.ack()


@asynccontextmanager
async def looking(operator_url: str, bot: str | None = None) -> AsyncIterator[Letters]:
    """Look at the dead letters of the writers, or of the bot of this name, as the operator. Raises Unavailable."""
    with translated():
        async with connected(operator_url, OPERATOR.name) as connection:
            channel = await connection.channel()
            source = await channel.get_queue(bot_dead_queue(bot).name if bot else DEAD, ensure=True)
            found: list[Letter] = []
            with contextlib.suppress(aio_pika.exceptions.QueueEmpty):
                while len(found) < LOOK_LIMIT:
                    found.append(Letter(len(found) + 1, await source.get(timeout=TIMEOUT)))
            yield Letters(channel, found, bot_user(bot) if bot else None)
