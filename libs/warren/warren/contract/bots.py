"""Bots: who they are on the broker, the queue that each has, and the least rights that it needs."""

import re
from typing import Annotated

from pydantic import StringConstraints

from warren.contract.ids import ROOM_PATTERN
from warren.contract.topology import BOT_COMMANDS, BOT_QUERIES, KEPT, LIVE, Exchange, Queue
from warren.contract.users import BrokerUser, TopicRights

BOT_PREFIX = "bot."
"""What the user ids of bots begin with, and no person's does."""
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"
BotName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
LIMITS = (("max-connections", 8), ("max-channels", 64))
"""Of one login on one node: enough for two processes that are just being replaced by two others."""
BOT_LOCK = "0" * 16
"""What the name of the queue ends with that only one process of a bot can have: who has it is at work."""
MAILBOXES = rf"^bot\.[a-z0-9-]+\.(?!{BOT_LOCK})[0-9a-f]{{16}}$"
"""The names of the queues in which bots get answers."""
ANY_ROOM = "*"
"""Stands for all public rooms where rooms are given to a bot."""


def bot_user(name: str) -> str:
    """Return the user id and broker login of a bot."""
    return BOT_PREFIX + name


def is_bot(user: str) -> bool:
    """Whether the user id is of a bot."""
    return user.startswith(BOT_PREFIX)


def bot_name(user: str) -> str | None:
    """Return the name of the bot that has this user id; None if no bot can have it."""
    name = user.removeprefix(BOT_PREFIX)
    return name if is_bot(user) and re.fullmatch(NAME_PATTERN, name) else None


def bot_queue(name: str) -> Queue:
    """Return a bot's queue: replicated, one active consumer, bounded; the oldest go, and are read from the store then.

    `x-delivery-limit` is explicit for the same reason as a command queue's.
    """
    arguments = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": 100,
        "x-max-length": 50_000,
        "x-max-length-bytes": 256 * 1024 * 1024,
        "x-overflow": "drop-head",
    }
    return Queue(bot_user(name), arguments=arguments)


def bot_rooms_exchange(name: str) -> Exchange:
    """Return what the rooms that a bot was given are bound to, and its queue to this.

    To take a room away, bindings must go, which AMQP cannot list; an exchange goes with all of its own.
    """
    return Exchange(f"{bot_user(name)}.rooms", "fanout")


def bot_dead_exchange(name: str) -> Exchange:
    """Return where a bot puts what it could not handle. Its own, so that a broken bot fills nobody else's."""
    return Exchange(f"{bot_user(name)}.dead", "fanout")


def bot_dead_queue(name: str) -> Queue:
    """Return where that is kept."""
    exchange = bot_dead_exchange(name).name
    return Queue(exchange, exchange, "", {**KEPT, "x-max-length": 10_000, "x-overflow": "drop-head"})


def bot_rights(name: str) -> BrokerUser:
    """Return the login of a bot: it reads its own queues alone and writes as itself alone.

    It binds nothing, so that a room can be taken from it. What it writes on `warren.live` the gateways judge (typing
    and partial replies, in its own name, where it may write); commands and queries the persistence service, which
    takes them from queues of bots' own: people do not wait behind them.
    """
    own = re.escape(bot_user(name))
    return BrokerUser(
        bot_user(name),
        configure=rf"^{own}\.[0-9a-f]{{16}}$",
        write=rf"^({re.escape(BOT_COMMANDS)}|{re.escape(BOT_QUERIES)}|{re.escape(LIVE)}|{own}\.dead)$",
        read=rf"^{own}(\.[0-9a-f]{{16}})?$",
        topics=(TopicRights(LIVE, write=rf"^ev\.[0-9]{{1,4}}\.{ROOM_PATTERN[1:-1]}$"),),
        limits=LIMITS,
    )
