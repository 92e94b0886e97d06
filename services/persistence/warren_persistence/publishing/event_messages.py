"""Runs of stored events come in, AMQP messages for `warren.events` go out, in either form. No I/O.

A message of one run goes to gateways and bots alike. A bundle has runs of many rooms and goes to gateways, which pass
over the rooms that they do not follow; bots have a message a room besides, unless nobody is known to take it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from warren.contract.bundles import (
    BUNDLE,
    BUNDLE_BYTES,
    BUNDLE_RUNS,
    BUNDLED_RUN_BYTES,
    BundledRun,
    write_bundle,
)
from warren.contract.events import AnyEvent
from warren.contract.ids import is_inbox
from warren.contract.topology import COMMON_BUCKET, bot_key, bots_only_key, bucket, bundle_key, event_key

from warren_persistence.domain.plan import Run
from warren_persistence.publishing.unbound_keys import UnboundKeys

EXACT_BUCKETS = 48
"""The most buckets that a bundle names. A key costs RabbitMQ 15 µs, and a gateway that has no use for a bundle as much
as ten; among rooms of more buckets most gateways follow one."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An AMQP message to be published: `keys` are its routing key and those in `BCC`."""

    keys: tuple[str, ...]
    body: bytes
    runs: tuple[Run, ...]
    headers: dict[str, Any]
    kind: str | None = None
    """Its AMQP type."""
    for_bots: bool = False
    """Whether it comes back if no bot is bound to its keys."""


class EventMessages:
    """Makes messages of runs. `everything`: the names of bots that the operator lets read all rooms.

    `bundled`: whether there may be bundles, which gateways of versions before do not understand.
    """

    def __init__(self, epoch: str, everything: frozenset[str] = frozenset(), *, bundled: bool = False) -> None:
        self._epoch = epoch
        self._everything = tuple(bot_key(name) for name in sorted(everything))
        self._bundled = bundled
        self.unbound = UnboundKeys()

    def of(self, runs: Iterable[Run]) -> list[EventMessage]:
        """Return the messages, to be published in order: so each room's runs are."""
        stored = time.time_ns() // 1_000_000
        found: list[EventMessage] = []
        for group in together(runs) if self._bundled else ([run] for run in runs):
            if len(group) == 1:
                keys = (event_key(group[0].room), *self._copies(group[0]))
                found.append(self._single(group[0], keys, stored))
            else:
                found.append(_bundle(self._epoch, group, stored))
                found += [
                    self._single(run, keys, stored, for_bots=True) for run in group if (keys := self._bots_keys(run))
                ]
        return found

    def _single(self, run: Run, keys: tuple[str, ...], stored: int, *, for_bots: bool = False) -> EventMessage:
        return EventMessage(keys, run.frame(run.room), (run,), self._headers(run, stored), for_bots=for_bots)

    def _bots_keys(self, run: Run) -> tuple[str, ...]:
        """Return the keys by which bots may hear a run, of which the first names its room; none if nobody would."""
        copies = self._copies(run)
        if self.unbound.all(copies):
            return ()
        return copies if copies[0].endswith(f".{run.room}") else (bots_only_key(run.room), *copies)

    def _copies(self, run: Run) -> tuple[str, ...]:
        """Return the keys by which bots hear a run: those that read everything hear what people say, so no inboxes."""
        return run.copies if is_inbox(run.room) else (*run.copies, *self._everything)

    def _headers(self, run: Run, stored: int) -> dict[str, Any]:
        first, last = run.events[0].seq, run.events[-1].seq
        headers: dict[str, Any] = {
            "first": first, "last": last, "number": run.number, "epoch": self._epoch, "stored": stored
        }  # fmt: skip
        for header, flag in (("ends", "ends_reading"), ("standings", "changes_access")):
            if found := _flagged(run, flag):
                headers[header] = to_json(found).decode()
        return headers


def together(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs in groups that each go out together, in an order that keeps each room's.

    An inbox's run goes alone, since its owner may be a bot, and so does one that is dear to pass over.
    """
    groups: list[list[Run]] = []
    gathered: list[Run] = []
    size = 0
    for run in runs:
        alone = is_inbox(run.room) or run.size > BUNDLED_RUN_BYTES
        full = len(gathered) >= BUNDLE_RUNS or size + run.size > BUNDLE_BYTES
        if gathered and (full or (alone and any(other.room == run.room for other in gathered))):
            groups.append(gathered)
            gathered, size = [], 0
        if alone:
            groups.append([run])
        else:
            gathered.append(run)
            size += run.size
    return [*groups, gathered] if gathered else groups


def _bundle(epoch: str, runs: Sequence[Run], stored: int) -> EventMessage:
    bundled = [
        BundledRun(
            run.room,
            run.frame(run.room),
            run.events[0].seq,
            run.events[-1].seq,
            run.number,
            _flagged(run, "ends_reading"),
            _flagged(run, "changes_access"),
        )
        for run in runs
    ]
    body = write_bundle(epoch, stored, bundled)
    return EventMessage(_bundle_keys(runs), body, tuple(runs), {}, kind=BUNDLE)


def _bundle_keys(runs: Sequence[Run]) -> tuple[str, ...]:
    buckets = dict.fromkeys(bucket(run.room) for run in runs)
    return tuple(bundle_key(number) for number in (buckets if len(buckets) <= EXACT_BUCKETS else [COMMON_BUCKET]))


def _flagged(run: Run, flag: str) -> tuple[tuple[int, str, str], ...]:
    return tuple((event.seq, _whose(event), event.type) for event in run.events if getattr(event, flag))


def _whose(event: AnyEvent) -> str:
    """Return whom an event changes something for; everybody has no id."""
    return getattr(event, "user", "")
