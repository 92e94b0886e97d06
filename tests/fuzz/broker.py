"""Into the broker: everything that a bot, a gateway, and a broken or newer replica of a service may publish there."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fuzz.identifiers import ROOMS
from fuzz.mutate import encoded, mutated, nasty
from fuzz.publisher import Publisher
from fuzz.schema_values import SchemaValues
from fuzz.target import Case, shortened
from warren.contract import bundles, commands, events, presence, queries
from warren.contract.bots import is_bot
from warren.contract.bundles import BUNDLE
from warren.contract.ids import ROOM_PATTERN
from warren.contract.topology import (
    BOT_COMMANDS,
    BOT_QUERIES,
    COMMANDS,
    COMMON_BUCKET,
    CONTROL,
    EVENTS,
    LIVE,
    PRESENCE,
    QUERIES,
    QUERY_KEY,
    SHARDS,
    bucket,
    bundle_key,
    event_key,
    shard,
    shard_key,
)

WRONG_PROPERTY = 0.25
"""How often a property or header is wrong or missing."""
BUNDLED = 3
"""Runs in a bundle."""
ASTRAY = 0.1
"""How often it goes to another shard or room than its body says."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Something that a login may publish. `to`: the exchange; None is the default one, straight to a reply queue."""

    to: str | None
    shape: SchemaValues
    answers: str | None = None
    """The message type: of what goes to a reply queue, and of bundles."""


_COMMANDS = SchemaValues.of(commands.Commands)
_QUERIES = SchemaValues.of(queries.Query)
_LIVE = SchemaValues.of(presence.AnyLive)
_SHOWN = SchemaValues.of(presence.IsTyping | presence.Partial)
_CONTROL = SchemaValues.of(presence.AnyControl)
_SHARD = SchemaValues.of(presence.AnyShardMessage)
_EVENTS = SchemaValues.of(events.Events)
_INDEX = SchemaValues.of(bundles.BundleIndex)
KINDS: Mapping[str, tuple[_Kind, ...]] = {
    "bot": (
        _Kind(BOT_COMMANDS, _COMMANDS), _Kind(BOT_COMMANDS, _COMMANDS), _Kind(BOT_QUERIES, _QUERIES),
        _Kind(LIVE, _SHOWN), _Kind(LIVE, _LIVE), _Kind(None, _EVENTS, "replies"), _Kind(EVENTS, _EVENTS),
        _Kind("own dead", _EVENTS),
    ),
    "gateway": (
        _Kind(COMMANDS, _COMMANDS), _Kind(COMMANDS, _COMMANDS), _Kind(QUERIES, _QUERIES), _Kind(LIVE, _LIVE),
        _Kind(CONTROL, _CONTROL), _Kind(PRESENCE, _SHARD), _Kind(EVENTS, _EVENTS),
    ),
    "persistence": (
        _Kind(EVENTS, _EVENTS), _Kind(EVENTS, _EVENTS), _Kind(EVENTS, _INDEX, BUNDLE), _Kind(COMMANDS, _COMMANDS),
        _Kind(None, SchemaValues.of(commands.Replies), "replies"),
        _Kind(None, SchemaValues.of(queries.Answer), "answer"),
    ),
    "presence": (_Kind(LIVE, _LIVE), _Kind(LIVE, _LIVE), _Kind(CONTROL, _CONTROL), _Kind(PRESENCE, _SHARD)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Message:
    who: str
    to: str | None
    key: str
    body: bytes
    properties: dict[str, Any]


class Broker:
    """A login of each kind. `publishers`: the bot's, the gateway's, the persistence's and the presence service's.

    `queues`: those of services' own, to which answers come.
    """

    name = "broker"
    per_second = 30.0
    at_once = 1
    """Below what one bot is let say: beyond its pace nothing of it is read."""

    def __init__(self, publishers: Mapping[str, Publisher], queues: Sequence[str]) -> None:
        self._mouths = publishers
        self._queues = queues

    def show(self, case: Case) -> str:
        """Return who publishes what where."""
        made = self._message(case.rng)
        return f"{made.who} to {made.to!r}, key {made.key!r}, {made.properties}\n{shortened(repr(made.body))}"

    async def try_(self, case: Case) -> list[str]:
        """Publish it. Whether that did harm shows elsewhere."""
        made = self._message(case.rng)
        mouth = self._mouths[made.who]
        exchange = f"{mouth.user}.dead" if made.to == "own dead" else made.to or ""
        key = made.key if made.to is not None else case.rng.choice(self._queues)
        await mouth.say(exchange, key, made.body, **made.properties)
        return []

    def _message(self, rng: random.Random) -> _Message:
        who = rng.choice(list(KINDS))
        kind = rng.choice(KINDS[who])
        value = mutated(_meant(kind.shape.value(rng), self._mouths[who].user, rng), rng)
        if kind.answers == BUNDLE:
            body = b"\n".join((encoded(value, rng), b"".join(_run(room) for room in ROOMS[:BUNDLED])))
            return _Message(who, kind.to, _key(kind, value, rng), body, self._properties(who, kind, value, rng))
        body = encoded(value, rng) if rng.random() > 0.01 else encoded(value, rng) * rng.choice((100, 1_000))
        return _Message(who, kind.to, _key(kind, value, rng), body, self._properties(who, kind, value, rng))

    def _properties(self, who: str, kind: _Kind, value: Any, rng: random.Random) -> dict[str, Any]:
        mouth = self._mouths[who]
        found: dict[str, Any] = {
            "user_id": mouth.user,
            "reply_to": mouth.reply_queue,
            "correlation_id": f"c{rng.randrange(9)}",
            "content_type": "application/json",
            "message_type": kind.answers,
            "delivery_mode": rng.choice((1, 2)),
            "headers": _headers(kind, value),
        }
        for name in list(found):
            if rng.random() < WRONG_PROPERTY / 4:
                del found[name]
        if rng.random() < WRONG_PROPERTY:
            wrong = rng.choice(_WRONG)
            found |= wrong
        if "headers" in found and found["headers"] and rng.random() < WRONG_PROPERTY:
            found["headers"] = _wrong_headers(found["headers"], rng)
        return found


_WRONG: tuple[dict[str, Any], ...] = (
    {"user_id": "gateway"}, {"user_id": "guest"}, {"user_id": "bot.nobody"}, {"reply_to": "warren.dead"},
    {"reply_to": "amq.rabbitmq.reply-to"}, {"reply_to": "gateway.0000000000000000"}, {"reply_to": "x" * 255},
    {"content_encoding": "gzip"}, {"content_type": "application/x-protobuf"}, {"expiration": "1"}, {"expiration": "0"},
    {"priority": 255}, {"message_type": "zork"}, {"correlation_id": "x" * 255}, {"timestamp": None},
    {"headers": {"publisher": "gateway"}}, {"headers": {"publisher": ""}}, {"headers": {"publisher": 5}},
    {"headers": {"publisher": "bot.fuzz"}}, {"headers": {"traceparent": "00-zz-zz-zz"}},
    {"headers": {"traceparent": 5}},
    {"headers": {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}}, {"headers": {"BCC": ["warren.dead"]}},
    {"headers": {"CC": ["shard.00", "shard.01"]}}, {"headers": {"x-death": [{"count": 2**40}]}}, {"headers": {}},
)  # fmt: skip


def _run(room: str) -> bytes:
    return b'{"type":"events","room":"%b","events":[]}' % room.encode()


def _index(value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Have the columns agree with each other, and with the runs that come after them."""
    rooms = ROOMS[:BUNDLED]
    first = [rng.choice((1, 3, 40, 2**31, 2**53 - 5)) for _ in rooms]
    columns = {"rooms": list(rooms), "sizes": [len(_run(room)) for room in rooms], "first": first, "last": first}
    return {**value, **columns, "number": [1] * BUNDLED}


def _meant(value: Any, user: str, rng: random.Random) -> Any:
    """Have a bot speak as itself, more often than not: in others' names nothing of it is looked at."""
    if is_bot(user) and rng.random() < 0.8:
        for one in value.get("commands", [value]):
            one |= {name: user for name in ("sender", "user") if name == "sender" or "commands" not in value}
    if "sizes" in value:
        return _index(value, rng)
    if "events" in value:
        value["room"] = rng.choice(ROOMS)
        first = rng.choice((1, 3, 40, 2**31, 2**53 - 5))
        for number, event in enumerate(value["events"]):
            event["seq"] = first + number
    return value


def _key(kind: _Kind, value: Any, rng: random.Random) -> str:
    room = value.get("room") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(value.get("commands"), list):
        room = next((one.get("room") for one in value["commands"] if isinstance(one, dict)), None)
    if not isinstance(room, str) or not re.match(ROOM_PATTERN, room) or rng.random() < ASTRAY:
        room = rng.choice(ROOMS)
    match kind.to:
        case "warren.queries":
            return QUERY_KEY
        case "warren.commands":
            return shard_key(shard(room))
        case "warren.presence":
            number = value.get("shard") if isinstance(value, dict) else None
            return shard_key(number if isinstance(number, int) and 0 <= number < SHARDS else 0)
        case "warren.events" if kind.answers == BUNDLE:
            return bundle_key(rng.choice((bucket(room), COMMON_BUCKET)))
        case "warren.events" | "warren.live":
            return event_key(room)
    return ""


def _headers(kind: _Kind, value: Any) -> dict[str, Any]:
    """Return those that an event has."""
    if kind.to != EVENTS:
        return {}
    found = value.get("events") if isinstance(value, dict) else None
    seqs = [event.get("seq") for event in found if isinstance(event, dict)] if isinstance(found, list) else []
    first, last = (seqs[0], seqs[-1]) if seqs else (1, 1)
    small = all(isinstance(seq, int) and abs(seq) < 2**63 for seq in (first, last))
    place = {"first": first, "last": last} if small else {"first": 1, "last": 1}
    return {**place, "number": 1, "epoch": "e", "stored": 1_700_000_000_000}


def _wrong_headers(headers: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    found = dict(headers)
    name = rng.choice([*found, "ends", "standings"])
    turn = rng.choice(('[[1,"mal","member.left"]]', "[[1]]", "{", "5", "[" * 5_000, '[["x",5,null]]', "[]", ""))
    value = turn if name in ("ends", "standings") else nasty(rng)
    if rng.random() < 0.3:
        del found[rng.choice(list(found))]
    elif isinstance(value, int) and abs(value) >= 2**63:
        found[name] = str(value)
    else:
        found[name] = value
    return found
