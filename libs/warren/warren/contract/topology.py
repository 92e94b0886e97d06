"""The broker's exchanges, queues and routing keys, as data. `warren.broker.declare` makes them."""

from dataclasses import dataclass, field
from typing import Any, Literal
from zlib import crc32

from warren.contract.queries import QUERY_TYPES

SHARDS = 16
"""Command queues of a deployment. Fixed: to change it, drain the queues first."""
BUCKETS = 4_096
"""Gateways bind to buckets instead of rooms, because a broker makes only some 1,400 topic bindings a second."""
PUBLIC_BUCKET = BUCKETS
"""Beyond the buckets of rooms: the second key of whatever happens in a public room …"""
BOT_BUCKET = BUCKETS + 1
"""… that of what one bot hears, wherever it happens …"""
COMMON_BUCKET = BUCKETS + 2
"""… that of a bundle with rooms of so many buckets that every gateway takes it in …"""
BOTS_ONLY_BUCKET = BUCKETS + 3
"""… and that which a message to bots goes by where no other key names its room. Nothing is bound to it."""

COMMANDS = "warren.commands"
BOT_COMMANDS = "warren.bots"
BOT_QUERIES = "warren.bots.queries"
BOT_QUEUE = "warren.bots.any"
"""Not the exchange's name: rights go by name, so who may publish to an exchange may bind a queue called the same."""
QUERIES = "warren.queries"
EVENTS = "warren.events"
LIVE = "warren.live"
PRESENCE = "warren.presence"
CONTROL = "warren.control"
DEAD = "warren.dead"
QUERY_KEY = "query"
"""What gateways of versions before put on every query, all of which persistence answered. Now it is the type."""
QUERY_QUEUE = "warren.queries.quorum"
BOT_QUERY_QUEUE = "warren.bots.queries.quorum"
CLASSIC_QUERY_QUEUES = ("warren.queries.any", "warren.bots.queries.any")
"""What older replicas answer queries from, and still may. Nobody declares them any more, and a policy has them go."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: Literal["direct", "topic", "fanout"]


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue, bound to `exchange` (None: the default exchange) with `key`, and with `further` keys."""

    name: str
    exchange: str | None = None
    key: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    further: tuple[str, ...] = ()


def shard(room: str, shards: int = SHARDS) -> int:
    """Return the shard that handles the room. crc32, since a consistent-hash ring may move after a broker restart."""
    return crc32(room.encode()) % shards


def bucket(room: str) -> int:
    """Return the bucket that the room's events are routed by."""
    return crc32(room.encode()) % BUCKETS


def shard_key(number: int) -> str:
    """Return the routing key of a shard on `warren.commands` and `warren.presence`."""
    return f"shard.{number:02d}"


def shard_queue(number: int) -> str:
    """Return the name of a shard's queue."""
    return f"{COMMANDS}.{number:02d}"


def presence_queue(number: int) -> str:
    """Return the name of the queue that a shard's announcements and ownership probes come to."""
    return f"{PRESENCE}.{number:02d}"


def event_key(room: str) -> str:
    """Return the routing key of a room on `warren.events` and `warren.live`."""
    return f"ev.{bucket(room)}.{room}"


def public_key(room: str) -> str:
    """Return the key that a public room's events have besides: what bots are bound to, so that it is no other room.

    It has the form of a room's key in a bucket beyond the last, so that no right had to change for it.
    """
    return f"ev.{PUBLIC_BUCKET}.{room}"


def bot_key(name: str) -> str:
    """Return the key, besides their own, of events that a bot hears because it is a member of the room."""
    return f"ev.{BOT_BUCKET}.{name}"


def bots_only_key(room: str) -> str:
    """Return the key of a message to the bots in a room that is not public, none of which it reaches by that key."""
    return f"ev.{BOTS_ONLY_BUCKET}.{room}"


def bundle_key(number: int) -> str:
    """Return the key by which a bundle reaches whoever takes in rooms of a bucket."""
    return f"ev.{number}.bundle"


def bucket_binding(number: int) -> str:
    """Return the binding that takes in all rooms of a bucket, and the bundles in which there are some."""
    return f"ev.{number}.*"


EXCHANGES = (
    Exchange(COMMANDS, "direct"),
    Exchange(BOT_COMMANDS, "fanout"),
    Exchange(BOT_QUERIES, "fanout"),
    Exchange(QUERIES, "direct"),
    Exchange(EVENTS, "topic"),
    Exchange(LIVE, "topic"),
    Exchange(PRESENCE, "direct"),
    Exchange(CONTROL, "fanout"),
)


def command_queue(number: int, max_length: int = 50_000) -> Queue:
    """Return a shard's queue: replicated, one active consumer, bounded, refusing when full.

    `x-delivery-limit` is explicit because without it RabbitMQ 3.10 puts a requeued message at the back of a quorum
    queue, which would break the room's order.
    """
    return Queue(shard_queue(number), COMMANDS, shard_key(number), _ordered(max_length, 512 * 1024 * 1024))


def bot_commands_queue() -> Queue:
    """Return the queue of what bots want, made like a shard's.

    Small: whatever floods it is refused by the broker, which costs nobody anything, and the others send again.
    """
    return Queue(BOT_QUEUE, BOT_COMMANDS, "", _ordered(1_000, 16 * 1024 * 1024))


def _ordered(max_length: int, max_bytes: int) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": 100,
        "x-max-length": max_length,
        "x-max-length-bytes": max_bytes,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-dead-letter-routing-key": DEAD,
    }


def announcement_queue(number: int) -> Queue:
    """Return a shard's queue of joins and leaves: replicated, one active consumer, bounded by length and age.

    Whatever is lost from it is noticed and announced again in full, so the oldest go first.
    """
    return Queue(
        name=presence_queue(number),
        exchange=PRESENCE,
        key=shard_key(number),
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": 100,
            "x-max-length": 10_000,
            "x-overflow": "drop-head",
            "x-message-ttl": 60_000,
        },
    )


def _queries(max_length: int) -> dict[str, Any]:
    """Return how queries are queued: replicated, not to be kept, but for reads to go on when a node dies.

    `x-delivery-limit`: a query that ends whoever reads it takes two others along, and not all of them.
    """
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": 2,
        "x-max-length": max_length,
        "x-max-length-bytes": 64 * 1024 * 1024,
        "x-overflow": "reject-publish",
        "x-message-ttl": 10_000,
    }


KEPT: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
"""Dead letters are taken out and put back whenever somebody looks at them, which RabbitMQ 4 would allow 20 times."""
QUEUES = (
    *(command_queue(number) for number in range(SHARDS)),
    *(announcement_queue(number) for number in range(SHARDS)),
    bot_commands_queue(),
    Queue(BOT_QUERY_QUEUE, BOT_QUERIES, "", _queries(1_000)),
    Queue(QUERY_QUEUE, QUERIES, QUERY_KEY, _queries(10_000), QUERY_TYPES),
    Queue(DEAD, None, "", {**KEPT, "x-max-length": 100_000}),
)
