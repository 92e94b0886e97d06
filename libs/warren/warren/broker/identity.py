"""Who one is on the broker, and what one's own queues are called."""

import secrets
from typing import cast

from aio_pika import Connection
from aio_pika.abc import AbstractConnection

from warren.contract.users import DEFAULT_LOGIN


def login(connection: AbstractConnection) -> str:
    """Return the user that the connection is logged in as."""
    return cast(Connection, connection).url.user or DEFAULT_LOGIN


def own_queue(connection: AbstractConnection) -> str:
    """Return a name for a new queue of the connection's user: `<user>.<random>`, the only ones it may declare.

    New each time, so that nothing is read that was meant for another life.
    """
    return f"{login(connection)}.{secrets.token_hex(8)}"


def reply_queue(user_id: str | None, reply_to: str | None) -> str | None:
    """Return where an answer goes: a queue of the very user that asked, whom the broker vouches for, or nowhere.

    Whoever answers may write to more queues than the asker, and must not be made to on its behalf.
    """
    return reply_to if user_id and reply_to and reply_to.startswith(f"{user_id}.") else None
