"""What becomes of the events that come from the broker: by room and epoch, in order, and joined if they can be."""

import asyncio
from typing import Any

from harness.delivered import delivered
from pydantic_core import from_json
from warren.contract.bundles import BUNDLE, BundledRun, write_bundle
from warren.contract.ids import INBOX, inbox_room, shown
from warren.contract.topology import EVENTS, bundle_key, event_key
from warren_gateway.broker.event_consumer import EventConsumer
from warren_gateway.delivery.batch import EventBatch, pack


class Taken:
    """What a consumer hands on."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, str, EventBatch]] = []
        self.lost: list[str] = []
        self.consumer = EventConsumer(self.take, self.lost.append, lambda: self.lost.append("all"), {"a", "b", "c"})

    def take(self, room: str, epoch: str, batch: EventBatch) -> None:
        """Keep it."""
        self.batches.append((room, epoch, batch))

    def arrives(self, room: str, first: int, last: int, /, **headers: Any) -> None:
        """Have a message arrive."""
        events = [{"seq": seq, "type": "message", "text": "x"} for seq in range(first, last + 1)]
        body = pack(room, events, last).body
        found = {"first": first, "last": last, "number": last, "epoch": "e", "stored": 0, **headers}
        self.consumer._sink(delivered(EVENTS, event_key(room), body, headers=found))

    def bundle_arrives(self, *runs: BundledRun, epoch: str = "e", body: bytes | None = None) -> None:
        """Have a bundle arrive."""
        written = write_bundle(epoch, 0, runs) if body is None else body
        self.consumer._sink(delivered(EVENTS, bundle_key(7), written, kind=BUNDLE))

    def seqs(self, room: str) -> list[tuple[int, int]]:
        """Return where the batches of a room begin and end."""
        return [(batch.first, batch.last) for name, _, batch in self.batches if name == room]


def run(room: str, first: int, last: int, **changes: Any) -> BundledRun:
    """Return a run of messages as a bundle has it."""
    events = [{"seq": seq, "type": "message", "text": "x"} for seq in range(first, last + 1)]
    return BundledRun(room, pack(shown(room), events, last).body, first, last, last, **changes)


async def test_what_arrives_at_once_is_handed_on_once_for_each_room() -> None:
    taken = Taken()
    taken.arrives("a", 1, 2)
    taken.arrives("b", 7, 7)
    taken.arrives("a", 3, 3)
    assert taken.batches == []
    await asyncio.sleep(0)
    assert taken.seqs("a") == [(1, 3)]
    assert taken.seqs("b") == [(7, 7)]
    assert [event["seq"] for event in from_json(taken.batches[0][2].body)["events"]] == [1, 2, 3]


async def test_what_arrives_later_is_handed_on_later_and_in_order() -> None:
    taken = Taken()
    taken.arrives("a", 1, 1)
    await asyncio.sleep(0)
    taken.arrives("a", 2, 2)
    await asyncio.sleep(0)
    assert taken.seqs("a") == [(1, 1), (2, 2)]


async def test_events_of_two_epochs_are_not_mixed() -> None:
    taken = Taken()
    taken.arrives("a", 1, 1)
    taken.arrives("a", 2, 2, epoch="f")
    await asyncio.sleep(0)
    assert [(epoch, batch.first) for _, epoch, batch in taken.batches] == [("e", 1), ("f", 2)]


async def test_revocations_and_access_changes_come_from_the_headers() -> None:
    taken = Taken()
    taken.arrives("a", 1, 2, ends='[[2,"ann","member.removed"]]', standings='[[1,"bob","member.muted"]]')
    await asyncio.sleep(0)
    ((_, _, batch),) = taken.batches
    assert batch.revocations == ((2, "ann", "member.removed"),)
    assert batch.access_changes == ((1, "bob", "member.muted"),)


async def test_an_inbox_has_the_name_that_its_owner_knows() -> None:
    taken = Taken()
    room = inbox_room("ann")
    taken.arrives(room, 1, 1)
    await asyncio.sleep(0)
    ((name, _, batch),) = taken.batches
    assert (name, batch.room, from_json(batch.body)["room"]) == (room, INBOX, INBOX)


async def test_of_what_makes_no_sense_the_room_is_reported_and_the_rest_is_handed_on() -> None:
    taken = Taken()
    taken.arrives("a", 5, 5, first="x")
    taken.arrives("b", 2, 2, first=3)
    taken.arrives("c", 1, 1, ends='[[9,"ann","member.left"]]')
    taken.arrives("d", 1, 1)
    await asyncio.sleep(0)
    assert taken.lost == ["a", "b", "c"]
    assert [name for name, _, _ in taken.batches] == ["d"]


async def test_a_room_that_fails_does_not_keep_others_from_their_events() -> None:
    class Failing(Taken):
        def take(self, room: str, epoch: str, batch: EventBatch) -> None:
            if room == "a":
                raise RuntimeError("nobody foresaw this")
            super().take(room, epoch, batch)

    taken = Failing()
    taken.arrives("a", 1, 1)
    taken.arrives("b", 1, 1)
    await asyncio.sleep(0)
    assert taken.lost == ["a"]
    assert [name for name, _, _ in taken.batches] == ["b"]


async def test_of_a_bundle_the_rooms_that_are_followed_are_handed_on_as_they_are() -> None:
    taken = Taken()
    runs = [run("a", 1, 2), run("elsewhere", 4, 4), run("b", 7, 7)]
    taken.bundle_arrives(*runs)
    await asyncio.sleep(0)
    assert [(name, batch.body) for name, _, batch in taken.batches] == [("a", runs[0].body), ("b", runs[2].body)]
    assert (taken.seqs("a"), taken.seqs("b"), taken.lost) == ([(1, 2)], [(7, 7)], [])


async def test_both_forms_come_in_the_order_of_their_arrival() -> None:
    taken = Taken()
    taken.arrives("a", 1, 1)
    taken.bundle_arrives(run("a", 2, 2), run("b", 1, 1), run("a", 3, 4))
    taken.arrives("a", 5, 5)
    await asyncio.sleep(0)
    assert (taken.seqs("a"), taken.seqs("b")) == ([(1, 5)], [(1, 1)])


async def test_revocations_and_access_changes_of_a_bundle_are_those_of_their_run() -> None:
    taken = Taken()
    ends, standings = ((2, "ann", "member.removed"),), ((1, "bob", "member.muted"),)
    taken.bundle_arrives(run("a", 1, 2), run("b", 1, 2, ends=ends, standings=standings))
    await asyncio.sleep(0)
    assert [(batch.revocations, batch.access_changes) for _, _, batch in taken.batches] == [
        ((), ()),
        (ends, standings),
    ]


async def test_an_inbox_in_a_bundle_has_its_owners_name_for_it_already() -> None:
    taken, room = Taken(), inbox_room("ann")
    taken.consumer._followed = {room}
    taken.bundle_arrives(run(room, 1, 1))
    await asyncio.sleep(0)
    ((name, _, batch),) = taken.batches
    assert (name, batch.room, from_json(batch.body)["room"]) == (room, INBOX, INBOX)


async def test_of_a_run_that_makes_no_sense_the_room_is_reported_and_the_rest_of_the_bundle_is_handed_on() -> None:
    taken = Taken()
    taken.bundle_arrives(run("a", 1, 1)._replace(first=3), run("b", 1, 1), run("elsewhere", 1, 1)._replace(first=3))
    taken.bundle_arrives(run("c", 1, 1, ends=((9, "ann", "member.left"),)))
    await asyncio.sleep(0)
    assert taken.lost == ["a", "c"]
    assert [name for name, _, _ in taken.batches] == ["b"]


async def test_of_a_bundle_whose_index_makes_no_sense_nobody_knows_the_rooms() -> None:
    taken = Taken()
    for body in (b"", b"{}\n", b"\xff", write_bundle("e", 0, [run("a", 1, 1)])[:-1]):
        taken.bundle_arrives(body=body)
    taken.bundle_arrives(run("b", 1, 1))
    await asyncio.sleep(0)
    assert taken.lost == ["all"] * 4
    assert [name for name, _, _ in taken.batches] == ["b"]
