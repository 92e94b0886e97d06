"""Messages of events come in, in either form; runs go out, as batches for a room's readers. No I/O.

A bundle has the runs of many rooms, with an index in front (`warren.contract.bundles`). Any other message is one run,
whose place stands in its headers and whose room in its routing key.
"""

from collections.abc import Container, Iterator
from typing import Any

from aiormq.abc import DeliveredMessage
from pydantic_core import from_json
from warren.contract.bundles import BUNDLE, BundledRun, BundleIndex, read_bundle
from warren.contract.ids import INBOX, is_inbox, shown

from warren_gateway.delivery.batch import AccessChange, EventBatch


def is_bundle(message: DeliveredMessage) -> bool:
    """Whether there may be runs of several rooms in a message."""
    return message.header.properties.message_type == BUNDLE


def room_of(message: DeliveredMessage) -> str:
    """Return the room of a message that is no bundle."""
    return (message.routing_key or "").rpartition(".")[2]


def runs_of(message: DeliveredMessage, followed: Container[str]) -> tuple[BundleIndex, Iterator[BundledRun]]:
    """Return a bundle's index and those of its runs whose room is followed. Raises ValueError if it is none."""
    return read_bundle(message.body, followed)


def run_of(message: DeliveredMessage) -> tuple[str, int, BundledRun]:
    """Return epoch, time of storing and run of a message that is no bundle.

    Raises ValueError, TypeError or KeyError if its headers are none of this version.
    """
    room = room_of(message)
    headers: dict[str, Any] = message.header.properties.headers or {}
    first, last, number, stored = (int(headers[name]) for name in ("first", "last", "number", "stored"))
    body = _renamed(room, message.body) if is_inbox(room) else message.body
    run = BundledRun(room, body, first, last, number, _changes(headers, "ends"), _changes(headers, "standings"))
    return str(headers["epoch"]), stored, run


def batch_of(run: BundledRun) -> EventBatch:
    """Return a run as a batch. Raises ValueError if its place makes no sense."""
    if not 1 <= run.first <= run.last:
        raise ValueError(f"events {run.first} to {run.last}")
    changes = run.ends + run.standings
    if changes and any(not run.first <= seq <= run.last for seq, _, _ in changes):
        raise ValueError(f"of other events than {run.first} to {run.last}")
    return EventBatch(shown(run.room), run.body, run.first, run.last, run.number, run.ends, run.standings)


def _renamed(room: str, body: bytes) -> bytes:
    """Return the frame with the name that the inbox's owner knows it by. (The first match is the frame's own field.)"""
    return body.replace(b'"room":"%s"' % room.encode(), b'"room":"%s"' % INBOX.encode(), 1)


def _changes(headers: dict[str, Any], name: str) -> tuple[AccessChange, ...]:
    found = headers.get(name)
    return tuple((int(seq), str(user), str(kind)) for seq, user, kind in from_json(found)) if found else ()
