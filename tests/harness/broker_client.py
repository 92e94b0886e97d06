"""A client of the broker, as another service or a bot: commands and queries by hand, dead letters, raw bytes."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from warren.broker.identity import login, own_queue
from warren.contract.bots import is_bot
from warren.contract.ids import new_id
from warren.contract.topology import BOT_COMMANDS, BOT_QUERIES, COMMANDS, DEAD, QUERIES, QUERY_KEY, shard, shard_key

WITHIN = 30.0
"""Seconds for an answer; a bound, not an expectation."""
BATCH = 50
"""Commands in one message, as gateways send them."""


class BrokerClient:
    """A channel as some user of the broker, a queue for the answers, and a channel as the operator."""

    def __init__(self, user: str, channel: AbstractChannel, answers: AbstractQueue, operator: AbstractChannel) -> None:
        self.user = user
        self._channel = channel
        self._answers = answers
        self._operator = operator
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        """Publish raw bytes, with this bus to answer to and its user's name, unless `properties` say otherwise."""
        target = await self._channel.get_exchange(exchange, ensure=False)
        own = {"reply_to": self._answers.name, "user_id": self.user}
        message = aio_pika.Message(body, **{**own, **properties})
        await target.publish(message, key, timeout=WITHIN)

    async def answer(self) -> dict[str, Any]:
        """Return the next answer, decoded."""
        async with asyncio.timeout(WITHIN):
            message = await self._arrived.get()
        found = json.loads(message.body)
        assert isinstance(found, dict)
        return found

    async def silent(self, seconds: float) -> bool:
        """Whether no answer comes for so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.get()
        except TimeoutError:
            return True
        return False

    async def command(self, *commands: dict[str, Any], to: int | None = None, **properties: Any) -> None:
        """Publish commands in one message: a bot's as bots do, others to their room's shard unless told otherwise."""
        body = json.dumps({"commands": commands}).encode()
        if is_bot(self.user):
            await self.publish(BOT_COMMANDS, "", body, **properties)
        else:
            number = shard(commands[0]["room"]) if to is None else to
            await self.publish(COMMANDS, shard_key(number), body, **properties)

    async def replies(self, count: int) -> dict[str, dict[str, Any]]:
        """Return the next `count` replies to commands, by command id."""
        found: dict[str, dict[str, Any]] = {}
        while len(found) < count:
            try:
                answer = await self.answer()
            except TimeoutError as error:
                raise TimeoutError(f"{len(found)} of {count} replies within {WITHIN:g} s: {found}") from error
            found |= {reply["id"]: reply for reply in answer["replies"]}
        return found

    async def ask(self, body: bytes | dict[str, Any], **properties: Any) -> dict[str, Any]:
        """Return the answer to a query."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        exchange = BOT_QUERIES if is_bot(self.user) else QUERIES
        await self.publish(exchange, QUERY_KEY, raw, correlation_id=new_id(), **properties)
        return await self.answer()

    async def fill(self, room: str, user: str, texts: Sequence[str]) -> int:
        """Store one message for each text; return the seq of the last."""
        commands = [send_command(room, user, text) for text in texts]
        for start in range(0, len(commands), BATCH):
            await self.command(*commands[start : start + BATCH])
        found = await self.replies(len(commands))
        assert all(reply["type"] == "accepted" for reply in found.values()), found
        return max(int(reply["seq"]) for reply in found.values())

    async def rename(self, room: str, user: str, name: str, titles: Sequence[str]) -> None:
        """Give a room one title after the other: as many times as nobody may over HTTP in a moment."""
        common = {"type": "room.rename", "room": room, "sender": user, "name": name}
        for start in range(0, len(titles), BATCH):
            await self.command(
                *({**common, "id": title, "key": title, "title": title} for title in titles[start : start + BATCH])
            )
        found = await self.replies(len(titles))
        assert {reply["type"] for reply in found.values()} == {"accepted"}, found

    async def dead(self, containing: bytes) -> AbstractIncomingMessage:
        """Take the dead letter whose body contains these bytes; others go back."""
        queue = await self._operator.get_queue(DEAD, ensure=False)
        async with asyncio.timeout(WITHIN):
            while True:
                passed = []
                found = None
                while (message := await queue.get(fail=False)) is not None and found is None:
                    if containing in message.body:
                        found = message
                        break
                    passed.append(message)
                for other in passed:
                    await other.nack(requeue=True)
                if found is not None:
                    await found.ack()
                    return found
                await asyncio.sleep(0.05)  # basic.get has no way to wait

    async def declare(self, queue: str) -> None:
        """Make a queue of one's own."""
        await self._channel.declare_queue(queue, exclusive=True, auto_delete=True)

    async def depth(self, queue: str) -> int:
        """Return how many messages lie in a queue of one's own."""
        found = await self._channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def start(self) -> None:
        """Take in answers from now on."""
        await self._answers.consume(self._arrived.put, no_ack=True)


def send_command(room: str, user: str, text: str, **fields: Any) -> dict[str, Any]:
    """Return a send command as JSON."""
    key = new_id()
    command = {"type": "send", "id": key, "room": room, "sender": user, "name": user, "key": key, "text": text}
    return {**command, **fields}


def member_command(kind: Literal["join", "leave"], room: str, user: str, **fields: Any) -> dict[str, Any]:
    """Return the command of somebody who enters a room or leaves it, as JSON."""
    key = new_id()
    return {"type": kind, "id": key, "room": room, "sender": user, "name": user, "key": key, **fields}


@asynccontextmanager
async def connect_broker(amqp_url: str, *, operator_url: str | None = None) -> AsyncIterator[BrokerClient]:
    """Connect to the broker as the URL's user; dead letters are read as the operator, if one is given."""
    connection = await aio_pika.connect(amqp_url, timeout=WITHIN)
    operator = await aio_pika.connect(operator_url or amqp_url, timeout=WITHIN)
    async with connection, operator:
        channel = await connection.channel()
        answers = await channel.declare_queue(own_queue(connection), exclusive=True, auto_delete=True)
        found = BrokerClient(login(connection), channel, answers, await operator.channel())
        await found.start()
        yield found
