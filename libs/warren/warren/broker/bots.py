"""Gives a bot what it needs on the broker: a login with its rights, its queues, and the rooms that it follows."""

from collections.abc import Collection
from typing import Any

from aio_pika.abc import AbstractChannel

from warren.broker.connect import connected
from warren.broker.declare import TIMEOUT, declare_queue
from warren.broker.definitions import VHOST, user_definitions
from warren.broker.errors import translated
from warren.contract.bots import (
    ANY_ROOM,
    MAILBOXES,
    bot_dead_exchange,
    bot_dead_queue,
    bot_queue,
    bot_rights,
    bot_rooms_exchange,
    bot_user,
)
from warren.contract.ids import inbox_room
from warren.contract.topology import EVENTS, PUBLIC_BUCKET, bot_key, bucket_binding, event_key, public_key
from warren.contract.users import OPERATOR


def bot_definitions(name: str, password: str) -> dict[str, Any]:
    """Return RabbitMQ's definitions of a bot's login, with the password as a salted hash.

    And of a policy: a bot declares the queues in which it gets answers, and how many of them and with what arguments is
    up to who has its login. Whatever nobody reads is gone after a minute, and none holds more than this.
    """
    policy = {
        "vhost": VHOST,
        "name": "bots-mailboxes",
        "pattern": MAILBOXES,
        "apply-to": "queues",
        "priority": 1,
        "definition": {"expires": 60_000, "max-length": 10_000, "max-length-bytes": 16 * 1024 * 1024},
    }
    return user_definitions(bot_rights(name), password) | {"policies": [policy]}


async def declare_bot(operator_url: str, name: str, rooms: Collection[str]) -> None:
    """Make a bot's queues, and have the first take in these public rooms, what the bot is a member of, and no others.

    May be repeated. Raises Unavailable. What happens while its rooms are exchanged for others shows as a gap, which
    the bot fills from the store.
    """
    with translated():
        async with connected(operator_url, OPERATOR.name) as connection:
            channel = await connection.channel()
            await _declare_dead(channel, name)
            queue = await declare_queue(channel, bot_queue(name))
            source = bot_rooms_exchange(name)
            await channel.exchange_delete(source.name, timeout=TIMEOUT)
            exchange = await channel.declare_exchange(source.name, source.kind, durable=True, timeout=TIMEOUT)
            await queue.bind(exchange, timeout=TIMEOUT)
            for key in bindings(name, rooms):
                await exchange.bind(EVENTS, key, timeout=TIMEOUT)


async def remove_bot(operator_url: str, name: str) -> None:
    """Delete a bot's queues with what is in them, and its exchanges. May be repeated. Raises Unavailable.

    Its login is another matter: RabbitMQ's own commands and management API take it away.
    """
    with translated():
        async with connected(operator_url, OPERATOR.name) as connection:
            channel = await connection.channel()
            for queue in (bot_queue(name), bot_dead_queue(name)):
                await channel.queue_delete(queue.name, timeout=TIMEOUT)
            for exchange in (bot_rooms_exchange(name), bot_dead_exchange(name)):
                await channel.exchange_delete(exchange.name, timeout=TIMEOUT)


async def _declare_dead(channel: AbstractChannel, name: str) -> None:
    exchange = bot_dead_exchange(name)
    await channel.declare_exchange(exchange.name, exchange.kind, durable=True, timeout=TIMEOUT)
    queue = await declare_queue(channel, bot_dead_queue(name))
    await queue.bind(exchange.name, timeout=TIMEOUT)


def bindings(name: str, rooms: Collection[str]) -> list[str]:
    """Return what a bot's queue takes in: these rooms if they are public, rooms that it is a member of, and its inbox.

    A broker does not know who is a member of what. So persistence gives the events of a public room a key that says
    so, and those of any room a key for each bot among its members; nothing else binds a room's own key for a bot.
    """
    public = [bucket_binding(PUBLIC_BUCKET)] if ANY_ROOM in rooms else [public_key(room) for room in sorted(rooms)]
    return [*public, bot_key(name), event_key(inbox_room(bot_user(name)))]
