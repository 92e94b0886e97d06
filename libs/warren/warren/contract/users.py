"""The broker's users and the least that each needs, as data. `warren.broker.definitions` makes RabbitMQ's form of it.

A user's own queues are named `<user>.…`: that is how its rights to declare and to read tell them from all others.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from warren.contract.ids import ROOM_PATTERN
from warren.contract.topology import (
    BOT_QUERY_QUEUE,
    BOT_QUEUE,
    CLASSIC_QUERY_QUEUES,
    COMMANDS,
    CONTROL,
    EVENTS,
    LIVE,
    PRESENCE,
    QUERIES,
    QUERY_QUEUE,
)

DEFAULT_LOGIN = "guest"
"""What aiormq logs in with where the URL names nobody."""
NOTHING = "^$"
"""The regular expression that no name matches."""
EVERYTHING = ".*"
_ROOM_KEY = rf"^ev\.[0-9]{{1,4}}\.{ROOM_PATTERN[1:-1]}$"
_BUCKET_BINDING = r"^ev\.[0-9]{1,4}\.\*$"
_ASKED = "|".join(map(re.escape, (BOT_QUEUE, BOT_QUERY_QUEUE, QUERY_QUEUE, *CLASSIC_QUERY_QUEUES)))
_DEFAULT_EXCHANGE = "amq.default"
"""The name by which RabbitMQ asks for rights to the default exchange."""


@dataclass(frozen=True, slots=True)
class TopicRights:
    """Routing keys that may be published (`write`) and bound (`read`) on a topic exchange: regular expressions."""

    exchange: str
    write: str = NOTHING
    read: str = NOTHING


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A login of the broker and its rights: regular expressions over the names of exchanges and queues.

    `limits`: connections and channels that it may have, where it is bounded.
    """

    name: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    topics: tuple[TopicRights, ...] = ()
    tags: tuple[str, ...] = ()
    limits: tuple[tuple[str, int], ...] = ()

    def reaches(self, name: str) -> bool:
        """Whether the user has any right to the exchange or queue of this name."""
        return any(re.search(right, name) for right in (self.configure, self.write, self.read))


def _exactly(*names: str, own: str | None = None) -> str:
    """Return the expression for these names and for the queues of the user `own`."""
    # Anchored at both ends, since RabbitMQ searches: `warren.commands` would also be a right to `warren.commands.00`.
    alternatives = [re.escape(name) for name in names] + ([rf"{re.escape(own)}\..+"] if own else [])
    return f"^({'|'.join(alternatives)})$"


OPERATOR = BrokerUser("operator", EVERYTHING, EVERYTHING, EVERYTHING, tags=("administrator", "impersonator"))
"""Declares the topology, reads the dead letters, and sends them again in the name of whoever had sent them. No service
logs in as this one."""
GATEWAY = BrokerUser(
    "gateway",
    configure=_exactly(own="gateway"),
    write=_exactly(COMMANDS, QUERIES, PRESENCE, CONTROL, LIVE, own="gateway"),
    read=_exactly(EVENTS, LIVE, CONTROL, own="gateway"),
    topics=(TopicRights(EVENTS, read=_BUCKET_BINDING), TopicRights(LIVE, write=_ROOM_KEY, read=_BUCKET_BINDING)),
)
PERSISTENCE = BrokerUser(
    "persistence",
    # Commands, too: what bots want, and what happens in one room can be a notice to another.
    write=_exactly(EVENTS, COMMANDS, _DEFAULT_EXCHANGE),
    read=rf"^({re.escape(COMMANDS)}\.[0-9]{{2}}|{_ASKED})$",
    topics=(TopicRights(EVENTS, write=_ROOM_KEY), TopicRights(LIVE)),
)
PRESENCE_USER = BrokerUser(
    "presence",
    configure=_exactly(own="presence"),
    write=_exactly(LIVE, CONTROL, PRESENCE, own="presence"),
    read=rf"^({re.escape(PRESENCE)}\.[0-9]{{2}}|{re.escape(CONTROL)}|presence\..+)$",
    topics=(TopicRights(LIVE, write=_ROOM_KEY), TopicRights(EVENTS)),
)
BROKER_USERS = (OPERATOR, GATEWAY, PERSISTENCE, PRESENCE_USER)


def broker_user(name: str) -> BrokerUser | None:
    """Return the user of this name, or None if it is none of Warren's."""
    return next((user for user in BROKER_USERS if user.name == name), None)


def login_of(amqp_url: str) -> str:
    """Return the broker's user that connects so, to whichever of the nodes that it names."""
    return unquote(urlsplit(amqp_url.partition(",")[0]).username or DEFAULT_LOGIN)
