"""Gives a bot what it needs on the broker: a login with its rights, its queues, and the rooms that it follows."""

from collections.abc import Collection
from typing import Any

import aio_pika

from warren.broker.declare import CONNECT_TIMEOUT, TIMEOUT, declare_queue
from warren.broker.definitions import user_definitions
from warren.broker.errors import translated
from warren.contract.bots import ANY_ROOM, bot_dead_exchange, bot_dead_queue, bot_queue, bot_rights, bot_user
from warren.contract.ids import inbox_room
from warren.contract.topology import EVENTS, event_key

EVERY_ROOM = "ev.#"
"""The binding that takes in all rooms."""


def bot_definitions(name: str, rooms: Collection[str], password: str) -> dict[str, Any]:
    """Return RabbitMQ's definitions of a bot's login, with the password as a salted hash."""
    return user_definitions(bot_rights(name, with_inbox(name, rooms)), password)


async def declare_bot(operator_url: str, name: str, rooms: Collection[str]) -> None:
    """Make a bot's queues, and have the first take in these rooms. May be repeated. Raises Unavailable."""
    with translated():
        connection = await aio_pika.connect(operator_url, timeout=CONNECT_TIMEOUT)
        async with connection:
            channel = await connection.channel()
            dead = bot_dead_exchange(name)
            await channel.declare_exchange(dead.name, dead.kind, durable=True, timeout=TIMEOUT)
            for queue in (bot_dead_queue(name), bot_queue(name)):
                declared = await declare_queue(channel, queue)
                keys = [""] if queue.exchange else bindings(with_inbox(name, rooms))
                for key in keys:
                    await declared.bind(queue.exchange or EVENTS, key, timeout=TIMEOUT)


def with_inbox(name: str, rooms: Collection[str]) -> set[str]:
    """Return the rooms that a bot is given, and its inbox, in which it is told of invitations."""
    return {*rooms, inbox_room(bot_user(name))}


def bindings(rooms: Collection[str]) -> list[str]:
    """Return the binding keys that take in these rooms."""
    return [EVERY_ROOM] if ANY_ROOM in rooms else [event_key(room) for room in sorted(rooms)]
