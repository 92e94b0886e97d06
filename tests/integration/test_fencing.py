"""A writer that was paused may wake and insert late: the unique (room, seq) stops whoever comes second."""

from harness.broker_client import BrokerClient, send_command
from harness.checker import check, read_store
from harness.concurrency import run_concurrently
from harness.direct_insert import insert_directly
from harness.observability import metric
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Place
from warren.contract.ids import new_id


def insert_message(stack: Stack, place: Place, seq: int, number: int, key: str) -> None:
    """Store a message as a writer that was paused before its insert does."""
    insert_directly(
        stack.mongodb.url, place.room, seq, place.ann.id, type="message", key=key, number=number, text="late"
    )


async def conflicts(stack: Stack) -> float:
    return sum([await metric(each.url, "warren_commit_conflicts_total", index="seq") for each in stack.persistence])


async def test_a_late_insert_is_noticed_and_everything_ends_up_gap_free(
    stack: Stack, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    async with (
        connect(gateways[0], place.bob.token) as bob,
        connect(gateways[1], place.eve.token) as eve,
    ):
        await bob.join(place.room, 0)
        await eve.join(place.room, 0)
        head = await broker.fill(place.room, place.ann.id, ["cached"] * 3)
        before = await conflicts(stack)
        insert_message(stack, place, head + 1, 4, new_id())
        last = await broker.fill(place.room, place.ann.id, [f"after {number}" for number in range(120)])
        assert last == head + 121
        assert await conflicts(stack) > before
        for reader in (bob, eve):
            shown = await reader.events(place.room, last)
            assert [event["seq"] for event in shown] == list(range(1, last + 1))
            assert shown[head]["text"] == "late"
            assert [event["text"] for event in shown[head + 1 :]] == [f"after {number}" for number in range(120)]
    assert check([], read_store(stack.mongodb.url, [place.room])) == []
    settled = await conflicts(stack)
    await broker.fill(place.room, place.ann.id, ["and on"] * 10)
    assert await conflicts(stack) == settled


async def test_a_late_insert_of_the_very_command_is_answered_as_stored(
    stack: Stack, broker: BrokerClient, place: Place
) -> None:
    """The paused writer stored it after all; its successor gets the same command and must not store it again."""
    head = await broker.fill(place.room, place.ann.id, ["cached"])
    command = send_command(place.room, place.ann.id, "late")
    insert_message(stack, place, head + 1, 2, command["key"])
    await broker.command(command)
    reply = (await broker.replies(1))[command["id"]]
    assert (reply["type"], reply["seq"], reply["number"]) == ("accepted", head + 1, 2)
    assert check([], read_store(stack.mongodb.url, [place.room])) == []


async def test_fencing_one_shard_leaves_the_others_alone(
    stack: Stack, broker: BrokerClient, place: Place, private: Place
) -> None:
    head = await broker.fill(place.room, place.ann.id, ["cached"])
    other = await broker.fill(private.room, private.ann.id, ["cached"])
    insert_message(stack, place, head + 1, 2, new_id())
    commands = [
        send_command(room, user, f"{number}")
        for number in range(30)
        for room, user in ((place.room, place.ann.id), (private.room, private.ann.id))
    ]
    await run_concurrently(*(broker.command(command) for command in commands))
    replies = await broker.replies(len(commands))
    assert {reply["type"] for reply in replies.values()} == {"accepted"}
    store = read_store(stack.mongodb.url, [place.room, private.room])
    assert check([], store) == []
    assert [len(events) for events in store.values()] == [head + 31, other + 30]
