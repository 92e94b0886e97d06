"""Dead letters: what could not be processed, with the reason; and what an operator does about them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

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
READ_LIMIT = 1_000
"""Dead letters that are looked at in one go, the oldest first."""
PORTION = 16
"""Acknowledgements that the queue need not have yet. RabbitMQ's channels keep what is more than 32 to themselves for a
while, and if they are closed meanwhile it is lost."""
WITHIN = 10.0
"""Seconds for the letters to come, and to be back: who looks at the same time could have either wait for ever."""
RECOUNT_EVERY = 0.01
"""Seconds between two counts of those that are back."""


def dead_letter_headers(
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
class DeadLetter:
    """A dead letter: its number in the queue, the oldest being 1, and what it says."""

    number: int
    message: AbstractIncomingMessage

    def header(self, name: str) -> str:
        """Return a header as text; what is missing is empty."""
        return str(self.message.headers.get(name, ""))


class DeadLetters:
    """The letters of one queue, taken out for as long as this is looked at; what is not dropped goes back in place.

    `bot`: the user whose own they are. It wrote their headers, too, so what these say is not believed: an operator may
    speak for everybody, and would do so for whoever has stolen the bot's login.
    """

    def __init__(
        self, channel: AbstractChannel, source: AbstractQueue, found: list[DeadLetter], bot: str | None
    ) -> None:
        self.found = found
        self._channel = channel
        self._source = source
        self._bot = bot
        self._acked = 0

    def select(self, numbers: Iterable[int]) -> list[DeadLetter]:
        """Return the letters of these numbers, all if there are none. Raises LookupError."""
        wanted = set(numbers)
        if missing := wanted - {letter.number for letter in self.found}:
            raise LookupError(f"there is no letter {min(missing)}")
        return [letter for letter in self.found if not wanted or letter.number in wanted]

    async def drop(self, letter: DeadLetter) -> None:
        """Be rid of a letter."""
        await self._ack(letter)

    async def replay(self, letter: DeadLetter) -> None:
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
        await self._ack(letter)

    async def flush_acks(self) -> None:
        """Wait until the queue knows of all letters that it is rid of.

        Nobody confirms that, but whoever asks for the next one is answered after it.
        """
        self._acked = 0
        following = await self._source.get(fail=False, timeout=TIMEOUT)
        if following is not None:
            await following.nack()

    async def _ack(self, letter: DeadLetter) -> None:
        await letter.message.ack()
        self._acked += 1
        if self._acked == PORTION:
            await self.flush_acks()


@asynccontextmanager
async def open_dead_letters(operator_url: str, bot: str | None = None) -> AsyncIterator[DeadLetters]:
    """Look at the dead letters of the writers, or of the bot of this name, as the operator. Raises Unavailable.

    By a consumer, since what one has held goes back in order, also if it is killed. To RabbitMQ each `basic.get` is a
    consumer of its own, and more than 32 of those go back in whatever order.
    """
    name = bot_dead_queue(bot).name if bot else DEAD
    with translated():
        async with connected(operator_url, OPERATOR.name) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=READ_LIMIT, timeout=TIMEOUT)
            length = min(await _length(channel, name), READ_LIMIT)
            arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
            source = await channel.get_queue(name, ensure=False)
            await source.consume(arrived.put, timeout=TIMEOUT)
            found: list[DeadLetter] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WITHIN):
                    while len(found) < length:
                        found.append(DeadLetter(len(found) + 1, await arrived.get()))
            letters = DeadLetters(channel, source, found, bot_user(bot) if bot else None)
            try:
                yield letters
            finally:
                await letters.flush_acks()
                unacked = arrived.qsize() + sum(not letter.message.processed for letter in found)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WITHIN):
                        await _put_back(connection, channel, name, unacked)


async def _put_back(connection: AbstractConnection, channel: AbstractChannel, name: str, unacked: int) -> None:
    """Close the channel on which so many are held, and wait until they are back: whoever looks next counts them."""
    length = await _length(channel, name) + unacked
    await channel.close()
    again = await connection.channel()
    while await _length(again, name) < length:  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(RECOUNT_EVERY)


async def _length(channel: AbstractChannel, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True, timeout=TIMEOUT)
    return queue.declaration_result.message_count or 0
