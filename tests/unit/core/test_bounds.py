"""Small parts with a promise: topology, ids, waiting times, token buckets, and what the writer may remember."""

import string
from collections.abc import Iterable
from itertools import islice

import hypothesis.strategies as st
import pytest
import warren_persistence.writer.cache as cache_module
from hypothesis import given, settings
from pydantic import TypeAdapter, ValidationError
from warren.broker.backoff import backoff
from warren.contract.bots import bot_dead_queue, bot_queue
from warren.contract.commands import Send
from warren.contract.ids import DisplayName, Key, RoomId, Text, UserId, new_id
from warren.contract.topology import (
    BUCKETS,
    COMMON_BUCKET,
    QUEUES,
    SHARDS,
    Queue,
    bot_commands_queue,
    bot_key,
    bots_only_key,
    bucket,
    bucket_binding,
    bundle_key,
    command_queue,
    event_key,
    public_key,
    shard,
    shard_key,
    shard_queue,
)
from warren.rates import Bucket
from warren_persistence.domain.plan import Stored
from warren_persistence.domain.room import NOBODY, Room
from warren_persistence.writer.cache import Cache

# Topology. These values are in brokers and databases out there: a change of one is a migration, not an edit.


def test_the_numbers_of_a_deployment_are_fixed() -> None:
    assert (SHARDS, BUCKETS) == (16, 4_096)


@pytest.mark.parametrize(
    ("room", "in_shard", "in_bucket"),
    [
        ("general", 10, 1610),
        ("random", 5, 2773),
        ("a", 3, 3651),
        ("0", 1, 3873),
        ("warren-dev", 14, 3246),
        ("z" * 64, 0, 3872),
    ],
)
def test_a_room_stays_in_its_shard_and_bucket_for_ever(room: str, in_shard: int, in_bucket: int) -> None:
    assert (shard(room), bucket(room)) == (in_shard, in_bucket)


def test_names_on_the_broker_are_fixed() -> None:
    assert shard_key(7) == "shard.07"
    assert shard_queue(15) == "warren.commands.15"
    assert event_key("general") == "ev.1610.general"
    assert bucket_binding(12) == "ev.12.*"
    assert (bundle_key(12), bundle_key(COMMON_BUCKET)) == ("ev.12.bundle", "ev.4098.bundle")
    assert (public_key("general"), bot_key("echo")) == ("ev.4096.general", "ev.4097.echo")
    assert bots_only_key("general") == "ev.4099.general"
    assert [queue.name for queue in QUEUES] == [
        *(f"warren.commands.{number:02d}" for number in range(16)),
        *(f"warren.presence.{number:02d}" for number in range(16)),
        "warren.bots.any",
        "warren.bots.queries.quorum",
        "warren.queries.quorum",
        "warren.dead",
    ]


@pytest.mark.parametrize("queue", [*QUEUES, bot_queue("echo"), bot_dead_queue("echo")], ids=lambda queue: queue.name)
def test_whatever_several_share_outlives_a_node(queue: Queue) -> None:
    """A queue that is one client's alone goes with it, and is on the node that it is connected to."""
    assert queue.arguments["x-queue-type"] == "quorum"
    assert queue.arguments["x-delivery-limit"] > 0
    assert queue.arguments["x-max-length"] > 0


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True))
def test_every_room_has_one_shard_and_one_bucket_that_agree(room: str) -> None:
    assert 0 <= shard(room) < SHARDS
    assert 0 <= bucket(room) < BUCKETS
    # Rooms of a bucket are in one shard, so that a binding never mixes shards.
    assert bucket(room) % SHARDS == shard(room)


@pytest.mark.parametrize("queue", [command_queue(0), bot_commands_queue()], ids=lambda queue: queue.name)
def test_command_queues_keep_the_order_and_lose_nothing(queue: Queue) -> None:
    arguments = queue.arguments
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-delivery-limit"] == 100
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-dead-letter-routing-key"] == "warren.dead"


# Ids.


@given(st.text(max_size=70))
def test_a_room_id_is_safe_wherever_it_goes(text: str) -> None:
    """In a routing key, a path, a log line and a BSON key."""
    try:
        found = TypeAdapter(RoomId).validate_python(text)
    except ValidationError:
        return
    assert 1 <= len(found) <= 64
    assert set(found) <= set(string.ascii_lowercase + string.digits + "_-")
    assert found[0] not in "_-"


@pytest.mark.parametrize("bad", ["", "a\n", "\na", "a b", "ä", "a.b", "a*", "a#", "a/b", "A", "_a", "a" * 65, "а"])
def test_what_is_no_room_id(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RoomId).validate_python(bad)


@pytest.mark.parametrize("bad", ["", "a\n", "a b", "ä", "a/b", "a" * 129, "a:b", "$a"])
def test_what_is_no_user_id(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(UserId).validate_python(bad)


@pytest.mark.parametrize("bad", ["", "k\n", "\t", "ü", "k" * 65, "\x7f", "\0"])
def test_what_is_no_key(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Key).validate_python(bad)


@pytest.mark.parametrize("bad", ["", " ", "\n\t\u2003\u00a0", "x" * 4_001, "\U0001f407" * 4_001])
def test_what_is_no_text(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Text).validate_python(bad)


def test_text_counts_code_points_and_is_kept_as_it_is() -> None:
    for text in ("\U0001f407" * 4_000, " x ", "\0x", "\u202ex"):
        assert TypeAdapter(Text).validate_python(text) == text
    assert TypeAdapter(DisplayName).validate_python("  Ann ") == "Ann"


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(5_000)]
    assert len(set(ids)) == 5_000
    assert all(len(found) == 32 and set(found) <= set("0123456789abcdef") for found in ids)
    times = [found[:14] for found in ids]
    assert times == sorted(times)


# Waiting times.


@given(st.floats(0.001, 1), st.floats(1, 100))
def test_waits_stay_between_half_the_base_and_the_cap(base: float, cap: float) -> None:
    assert all(base / 2 <= wait <= cap for wait in islice(backoff(base, cap), 40))


def test_waits_double_up_to_the_cap_and_go_on_for_ever() -> None:
    for round_ in range(50):
        waits = list(islice(backoff(0.1, 3.0), 500))
        assert all(wait <= min(3.0, 0.1 * 2**index) for index, wait in enumerate(waits)), round_
        assert max(waits) > 1.5


# Token buckets.


@settings(max_examples=300, deadline=None)
@given(st.floats(0.1, 1_000), st.integers(1, 1_000), st.lists(st.floats(0, 10), max_size=200))
def test_a_bucket_gives_its_burst_and_then_its_rate(rate: float, burst: int, gaps: list[float]) -> None:
    now, given_out = 100.0, 0
    found = Bucket.full(rate, burst, now)
    for gap in gaps:
        now += gap
        given_out += found.take(now)
        assert -1e-9 <= found.level <= burst
    assert given_out <= burst + (now - 100.0) * rate + 1e-6


def test_a_bucket_is_full_again_after_its_time() -> None:
    found = Bucket.full(10, 5, 0.0)
    assert [found.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert not found.take(0.05)
    assert found.take(0.1)
    assert [found.take(1_000.0) for _ in range(6)] == [True] * 5 + [False]


# What the writer remembers.


def send(room: str, sender: str = "ann", key: str = "k") -> Send:
    return Send(id="i", room=room, sender=sender, name=sender, key=key, text="x")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr(cache_module, "ROOMS", 3)
    monkeypatch.setattr(cache_module, "MEMBERS", 3)
    monkeypatch.setattr(cache_module, "KEYS", 3)
    return Cache()


def read(*names: str, head: int = 1, user: str = "ann") -> dict[str, Room]:
    """Return rooms as they come from the store, with somebody looked up."""
    return {name: Room(name, head=head, members={user: NOBODY}) for name in names}


def pairs(names: Iterable[str], user: str = "ann") -> list[tuple[str, str]]:
    return [(name, user) for name in names]


def add(cache: Cache, *names: str, in_use: int = 1) -> None:
    cache.missing(pairs(names))
    cache.add_rooms(read(*names), in_use)


def test_the_rooms_used_least_recently_go_first(small: Cache) -> None:
    for name in ("a", "b", "c"):
        add(small, name)
    assert small.missing(pairs(["a"])) == set()
    add(small, "d")
    assert set(small.rooms) == {"a", "c", "d"}


def test_a_batch_of_more_rooms_than_are_kept_has_them_all(small: Cache) -> None:
    add(small, "x", "y")
    names = ["a", "b", "c", "d", "e"]
    add(small, *names, in_use=len(names))
    assert set(small.rooms) == set(names)
    assert small.missing(pairs(names)) == set()


def test_a_room_of_the_batch_that_was_cached_already_is_not_the_one_that_goes(small: Cache) -> None:
    for name in ("a", "b", "c"):
        add(small, name)
    names = ["a", "d", "e", "f"]
    missing = small.missing(pairs(names))
    assert missing == {"d", "e", "f"}
    small.add_rooms(read(*missing), len(names))
    assert set(names) <= set(small.rooms)


def test_a_room_in_which_somebody_was_not_looked_up_is_read_again_and_the_others_stay_known(small: Cache) -> None:
    add(small, "a")
    assert small.missing([("a", "ann"), ("a", "bob")]) == {"a"}
    small.add_rooms(read("a", user="bob"), 1)
    assert small.missing([("a", "ann"), ("a", "bob")]) == set()


def test_who_was_looked_up_counts_no_more_when_the_room_has_moved_on(small: Cache) -> None:
    """Another writer has been at work: what its events changed is not known here."""
    add(small, "a")
    small.add_rooms(read("a", head=2, user="bob"), 1)
    assert set(small.rooms["a"].members) == {"bob"}


def test_memberships_of_a_room_are_bounded_and_those_in_use_are_looked_up(small: Cache) -> None:
    for number in range(20):
        wanted = {f"u{number}", f"u{number - 1}"}
        if small.missing([("a", user) for user in wanted]):
            small.add_rooms({"a": Room("a", head=1, members=dict.fromkeys(wanted, NOBODY))}, 1)
        assert wanted <= set(small.rooms["a"].members)
        assert len(small.rooms["a"].members) <= 3 + len(wanted)


def test_keys_are_bounded_and_the_latest_stay(small: Cache) -> None:
    for number in range(10):
        small.remember(("a", "ann", f"k{number}"), Stored(number, number, 0))
    known = small.known_keys([send("a", key=f"k{number}") for number in range(10)])
    assert {key for _, _, key in known} == {"k7", "k8", "k9"}
    assert small.known_keys([send("b", key="k9"), send("a", "bob", "k9")]) == {}


def test_a_lost_shard_is_forgotten_and_no_other(small: Cache) -> None:
    same = [name for name in (f"r{number}" for number in range(1_000)) if shard(name) == 5][:2]
    other = next(name for name in (f"r{number}" for number in range(1_000)) if shard(name) == 6)
    add(small, *same, other, in_use=3)
    small.remember((same[0], "ann", "k"), Stored(1, 1, 0))
    small.forget_shard(5)
    assert set(small.rooms) == {other}
    assert small.known_keys([send(same[0])])  # a key never changes, whoever writes the shard
