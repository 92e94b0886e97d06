"""RabbitMQ's definitions file: Warren's users, what each may do, and policies. The topology is declared (`declare`).

But for the exchanges that rights to topics name: RabbitMQ 4.3 takes no such right before its exchange is there.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from warren.contract.topology import CLASSIC_QUERY_QUEUES, EXCHANGES
from warren.contract.users import BROKER_USERS, BrokerUser

VHOST = "/"
UNUSED_FOR = 10 * 60 * 1_000
"""Milliseconds after its last consumer until a queue of an older version goes: replicas are not all away so long."""
TAKEOVER = 1_000
"""Milliseconds until the next consumer of a queue is served if the node of the one before has died (RabbitMQ's own:
60,000). Safe however short: the log's unique index fences a writer, and a presence replica hears of the next one."""
PATIENCE = 30_000
"""Milliseconds for which a consumer of a shard may keep a delivery (RabbitMQ's own: 1,800,000). 4.3.6 may keep one that
is gone as the active one, and its shard stands still for so long. More than a writer takes for what it has at once."""


def password_variable(user: str) -> str:
    """Return the environment variable that holds the password of a broker user."""
    return f"WARREN_{user.upper()}_PASSWORD"


def definitions(passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the definitions of the users named in `passwords`, which they hold as salted hashes.

    Raises KeyError for a user that is none of Warren's.
    """
    known = {user.name: user for user in BROKER_USERS}
    return _definitions((known[name], _hashed(password)) for name, password in passwords.items()) | _policies()


def user_definitions(user: BrokerUser, password: str) -> dict[str, Any]:
    """Return the definitions of one user, with the password as a salted hash."""
    return _definitions([(user, _hashed(password))])


def template() -> dict[str, Any]:
    """Return the definitions for containers, which run RabbitMQ 4.3, and for all users.

    In the passwords' places stands `${WARREN_…_PASSWORD}`, to be filled in.
    """
    users = ((user, {"password": f"${{{password_variable(user.name)}}}"}) for user in BROKER_USERS)
    return _definitions(users) | _policies(*takeover_policies())


def _definitions(users: Iterable[tuple[BrokerUser, dict[str, str]]]) -> dict[str, Any]:
    found = list(users)
    return {
        "vhosts": [{"name": VHOST}],
        "users": [_user(user, credentials) for user, credentials in found],
        "exchanges": _exchanges(user for user, _ in found),
        "permissions": [_permission(user) for user, _ in found],
        "topic_permissions": [permission for user, _ in found for permission in _topic_permissions(user)],
    }


def takeover_policies() -> list[dict[str, Any]]:
    """Return how soon a queue's next consumer takes over from one whose node has died, or that comes to no end.

    RabbitMQ 4.3 knows them, and older ones do not start with them. A queue that is there already heeds these alone: the
    setting `consumer_disconnected_timeout` in `rabbitmq.conf` is for those that are made from then on. A delivery that
    is taken from its consumer does not count towards the queue's delivery limit.
    """
    return [
        _takeover("takeover", r"warren\.(commands|presence)\.[0-9]{2}|warren\.bots\.any", PATIENCE),
        _takeover("takeover-bots", r"bot\.[a-z0-9-]+"),
    ]


def _takeover(name: str, names: str, patience: int | None = None) -> dict[str, Any]:
    return {
        "vhost": VHOST,
        "name": name,
        "pattern": f"^({names})$",
        "apply-to": "quorum_queues",
        "priority": 1,
        "definition": {
            "consumer-disconnected-timeout": TAKEOVER,
            **({} if patience is None else {"consumer-timeout": patience}),
        },
    }


def _policies(*others: dict[str, Any]) -> dict[str, Any]:
    """Return how queues of older versions go by themselves; until then, each query is in both. And other policies."""
    names = "|".join(map(re.escape, CLASSIC_QUERY_QUEUES))
    policy = {
        "vhost": VHOST,
        "name": "classic-query-queues",
        "pattern": f"^({names})$",
        "apply-to": "queues",
        "priority": 1,
        "definition": {"expires": UNUSED_FOR},
    }
    return {"policies": [policy, *others]}


def _user(user: BrokerUser, credentials: dict[str, str]) -> dict[str, Any]:
    limits = {"limits": dict(user.limits)} if user.limits else {}
    return {"name": user.name, **credentials, "tags": list(user.tags), **limits}


def _hashed(password: str) -> dict[str, str]:
    """Return RabbitMQ's form of a password: a salt of four bytes before the hash (rabbit_password_hashing)."""
    salt = secrets.token_bytes(4)
    digest = hashlib.sha512(salt + password.encode()).digest()
    hashed = base64.b64encode(salt + digest).decode()
    return {"password_hash": hashed, "hashing_algorithm": "rabbit_password_hashing_sha512"}


def _permission(user: BrokerUser) -> dict[str, str]:
    rights = {"configure": user.configure, "write": user.write, "read": user.read}
    return {"user": user.name, "vhost": VHOST, **rights}


def _exchanges(users: Iterable[BrokerUser]) -> list[dict[str, Any]]:
    """Return the exchanges that are named in rights to topics, as `declare` makes them."""
    named = {topic.exchange for user in users for topic in user.topics}
    return [
        {
            "name": exchange.name,
            "vhost": VHOST,
            "type": exchange.kind,
            "durable": True,
            "auto_delete": False,
            "internal": False,
            "arguments": {},
        }
        for exchange in EXCHANGES
        if exchange.name in named
    ]


def _topic_permissions(user: BrokerUser) -> list[dict[str, str]]:
    return [
        {"user": user.name, "vhost": VHOST, "exchange": topic.exchange, "write": topic.write, "read": topic.read}
        for topic in user.topics
    ]
