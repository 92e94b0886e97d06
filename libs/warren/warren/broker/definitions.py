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
    """Return the definitions of all users with `${WARREN_…_PASSWORD}` in the passwords' places, to be filled in."""
    users = ((user, {"password": f"${{{password_variable(user.name)}}}"}) for user in BROKER_USERS)
    return _definitions(users) | _policies()


def _definitions(users: Iterable[tuple[BrokerUser, dict[str, str]]]) -> dict[str, Any]:
    found = list(users)
    return {
        "vhosts": [{"name": VHOST}],
        "users": [_user(user, credentials) for user, credentials in found],
        "exchanges": _exchanges(user for user, _ in found),
        "permissions": [_permission(user) for user, _ in found],
        "topic_permissions": [permission for user, _ in found for permission in _topic_permissions(user)],
    }


def _policies() -> dict[str, Any]:
    """Return how queues of older versions go by themselves; until then, each query is in both."""
    names = "|".join(map(re.escape, CLASSIC_QUERY_QUEUES))
    policy = {
        "vhost": VHOST,
        "name": "classic-query-queues",
        "pattern": f"^({names})$",
        "apply-to": "queues",
        "priority": 1,
        "definition": {"expires": UNUSED_FOR},
    }
    return {"policies": [policy]}


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
