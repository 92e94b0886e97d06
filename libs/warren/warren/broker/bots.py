"""Gives a bot what it needs on the broker: a login with its rights, its queues, and the rooms that it follows."""

from collections.abc import Collection
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from warren.broker.declare import CONNECT_TIMEOUT, TIMEOUT, declare_queue
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
from warren.contract.topology import EVENTS, event_key

EVERY_ROOM = "ev.#"
"""The binding that takes in all rooms."""


def bot_definitions(name: str, rooms: Collection[str], password: str) -> dict[str, Any]:
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
    return user_definitions(bot_rights(name, with_inbox(name, rooms)), password) | {"policies": [policy]}


async def declare_bot(operator_url: str, name: str, rooms: Collection[str]) -> None:
    """Make a bot's queues, and have the first take in these rooms and no others. May be repeated. Raises Unavailable.

    What happens while its rooms are exchanged for others shows as a hole, which the bot fills from the store.
    """
    with translated():
        connection = await aio_pika.connect(operator_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            channel = await connection.channel()
            await _declare_dead(channel, name)
            queue = await declare_queue(channel, bot_queue(name))
            source = bot_rooms_exchange(name)
            await channel.exchange_delete(source.name, timeout=TIMEOUT)
            exchange = await channel.declare_exchange(source.name, source.kind, durable=True, timeout=TIMEOUT)
            await queue.bind(exchange, timeout=TIMEOUT)
            for key in bindings(with_inbox(name, rooms)):
                await exchange.bind(EVENTS, key, timeout=TIMEOUT)


async def _declare_dead(channel: AbstractChannel, name: str) -> None:
    exchange = bot_dead_exchange(name)
    await channel.declare_exchange(exchange.name, exchange.kind, durable=True, timeout=TIMEOUT)
    queue = await declare_queue(channel, bot_dead_queue(name))
    await queue.bind(exchange.name, timeout=TIMEOUT)


def with_inbox(name: str, rooms: Collection[str]) -> set[str]:
    """Return the rooms that a bot is given, and its inbox, in which it is told of invitations."""
    return {*rooms, inbox_room(bot_user(name))}


def bindings(rooms: Collection[str]) -> list[str]:
    """Return the binding keys that take in these rooms."""
    return [EVERY_ROOM] if ANY_ROOM in rooms else [event_key(room) for room in sorted(rooms)]
