"""`warren.queries`: reads over the broker, for gateways and bots, judged by who asks."""

import asyncio
import json
from typing import Any

import aio_pika
import pytest
from harness.bots import rabbitmqctl
from harness.broker_client import WITHIN, BrokerClient
from harness.stack import Stack
from integration.conftest import Place
from warren.broker.definitions import UNUSED_FOR, template
from warren.contract.ids import direct_room, inbox_room, new_id
from warren.contract.queries import QUERY_TYPES
from warren.contract.topology import CLASSIC_QUERY_QUEUES, QUERIES, QUERY_KEY

INVALID: dict[str, bytes | dict[str, Any]] = {
    "not JSON": b"hello",
    "nothing": b"",
    "not UTF-8": b"\xff",
    "an array": b"[]",
    "no type": {},
    "an unknown type": {"type": "search.by.moonlight"},
    "too deep": b"[" * 5_000,
    "access without a user": {"type": "room.access", "room": "a"},
    "access to a room out of syntax": {"type": "room.access", "room": "A b", "user": "ann"},
    "a range of 501": {"type": "events", "room": "a", "after": 0, "limit": 501},
    "a range of none": {"type": "events", "room": "a", "after": 0, "limit": 0},
    "a range before the first": {"type": "events", "room": "a", "after": -1},
    "history by nobody": {"type": "history", "room": "a"},
    "history of 101": {"type": "history", "room": "a", "user": "ann", "limit": 101},
    "heads of 501 rooms": {"type": "heads", "rooms": [f"r{number}" for number in range(501)]},
    "heads of no list": {"type": "heads", "rooms": "general"},
    "101 accesses": {"type": "room.accesses", "queries": [{"room": "a", "user": "ann"}] * 101},
    "accesses one of which is out of syntax": {"type": "room.accesses", "queries": [{"room": "A b", "user": "ann"}]},
    "a directory of 101": {"type": "directory", "limit": 101},
}


@pytest.mark.parametrize("query", INVALID.values(), ids=INVALID.keys())
async def test_what_is_no_query_is_denied_as_invalid(broker: BrokerClient, query: bytes | dict[str, Any]) -> None:
    answer = await broker.ask(query)
    assert (answer["type"], answer["code"]) == ("denied", "invalid")


@pytest.mark.parametrize(
    "query",
    [
        {"type": "events", "room": "a", "after": 2**63},
        {"type": "history", "room": "a", "user": "ann", "before": 2**63},
        {"type": "history", "room": "a", "user": "ann", "after": 2**200},
    ],
    ids=lambda query: f"{query['type']} {'before' if 'before' in query else 'after'}",
)
async def test_a_seq_that_no_log_reaches_is_never_a_temporary_failure(
    broker: BrokerClient, place: Place, query: dict[str, Any]
) -> None:
    answer = await broker.ask({**query, "room": place.room})
    assert answer.get("code") != "unavailable"


async def test_a_query_without_a_return_address_harms_nobody(broker: BrokerClient, place: Place, stack: Stack) -> None:
    await broker.publish(QUERIES, QUERY_KEY, b'{"type":"heads","rooms":[]}')
    await broker.answer()
    connection = await aio_pika.connect(stack.rabbitmq.url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(QUERIES, ensure=False)
        for body in (b"garbage", b'{"type":"heads","rooms":[]}'):
            await exchange.publish(aio_pika.Message(body), QUERY_KEY)
        await exchange.publish(aio_pika.Message(b"garbage", reply_to="no.such.queue"), QUERY_KEY)
    assert (await broker.ask({"type": "heads", "rooms": [place.room]}))["type"] == "heads_answer"
    assert all(replica.running for replica in stack.persistence)


async def test_a_range_is_contiguous_and_says_where_the_log_ends(broker: BrokerClient, place: Place) -> None:
    head = await broker.fill(place.room, place.ann.id, [f"{number}" for number in range(30)])
    answer = await broker.ask({"type": "events", "room": place.room, "after": 5, "limit": 10})
    assert answer["type"] == "range"
    assert [event["seq"] for event in answer["events"]] == list(range(6, 16))
    assert answer["head"] == head
    beyond = await broker.ask({"type": "events", "room": place.room, "after": head})
    assert (beyond["events"], beyond["head"]) == ([], head)
    nowhere = await broker.ask({"type": "events", "room": "no-such-room", "after": 0})
    assert (nowhere["events"], nowhere["head"]) == ([], 0)


async def test_a_range_of_long_texts_stays_small_but_is_never_empty(broker: BrokerClient, place: Place) -> None:
    await broker.fill(place.room, place.ann.id, ["\U0001f407" * 4_000] * 150)
    at = 2
    while at < 152:
        answer = await broker.ask({"type": "events", "room": place.room, "after": at})
        assert len(json.dumps(answer, ensure_ascii=False)) < 300_000
        assert answer["events"][0]["seq"] == at + 1
        at = answer["events"][-1]["seq"]


async def test_an_event_holds_what_was_said_and_nothing_of_the_database(broker: BrokerClient, place: Place) -> None:
    await broker.fill(place.room, place.ann.id, ["hi"])
    answer = await broker.ask({"type": "events", "room": place.room, "after": 0})
    created, joined, message = answer["events"]
    base = {"seq", "type", "id", "sender", "name", "key", "at"}
    assert created.keys() == base | {"kind", "title"}
    assert joined.keys() == base | {"user"}
    assert message.keys() == base | {"number", "text"}
    assert message["at"].endswith("Z")


async def test_access_is_judged_by_who_asks(broker: BrokerClient, place: Place, private: Place) -> None:
    def ask(room: str, user: str) -> dict[str, Any]:
        return {"type": "room.access", "room": room, "user": user}

    member = await broker.ask(ask(place.room, place.bob.id))
    assert (member["member"], member["head"], member["kind"]) == (True, 2, "public")
    assert (await broker.ask(ask(place.room, place.eve.id)))["member"] is False
    assert (await broker.ask(ask(private.room, private.ann.id)))["member"] is True
    hidden = await broker.ask(ask(private.room, private.eve.id))
    assert hidden == await broker.ask(ask("no-such-room", private.eve.id))
    assert (hidden["type"], hidden["code"]) == ("denied", "not_found")
    history = {"type": "history", "room": private.room, "user": private.eve.id}
    assert (await broker.ask(history))["code"] == "not_found"


async def test_each_of_many_accesses_is_answered_as_if_it_were_asked_for_alone(
    broker: BrokerClient, place: Place, private: Place
) -> None:
    direct = direct_room(place.ann.id, place.bob.id)
    asked = [
        {"type": "room.access", "room": room, "user": user}
        for room in (place.room, private.room, "no-such-room", direct, inbox_room(place.ann.id))
        for user in (place.ann.id, private.ann.id, place.bob.id, private.eve.id, place.ann.id)
    ]
    await broker.command({
        "type": "direct.create", "id": new_id(), "key": new_id(), "room": direct, "sender": place.ann.id,
        "name": place.ann.id, "user": place.bob.id,
    })  # fmt: skip
    await broker.answer()
    alone = [await broker.ask(one) for one in asked]
    assert await broker.ask({"type": "room.accesses", "queries": asked}) == {"type": "accesses", "answers": alone}
    assert {answer["type"] for answer in alone} == {"access", "denied"}
    assert any(answer.get("peer") for answer in alone)


async def test_many_accesses_are_answered_to_a_gateway_on_its_own_behalf_alone(
    broker: BrokerClient, place: Place
) -> None:
    asked = {"type": "room.accesses", "user": place.ann.id, "queries": [{"room": place.room, "user": place.ann.id}]}
    assert (await broker.ask(asked))["code"] == "forbidden"


async def test_heads_leave_out_what_does_not_exist(broker: BrokerClient, place: Place) -> None:
    await broker.fill(place.room, place.ann.id, ["x"])
    answer = await broker.ask({"type": "heads", "rooms": [place.room, "no-such-room"]})
    assert answer["heads"] == {place.room: {"head": 3, "number": 1}}
    assert answer["epoch"]


@pytest.mark.parametrize("name", CLASSIC_QUERY_QUEUES)
async def test_the_queues_of_older_replicas_go_when_nobody_uses_them(stack: Stack, name: str) -> None:
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as connection:
        queue = await (await connection.channel()).declare_queue(name, durable=True)  # as their operator does
        listed = await asyncio.to_thread(rabbitmqctl, stack, "--formatter", "json", "list_queues", "name", "policy")
        policy = template()["policies"][0]
        assert policy["definition"] == {"expires": UNUSED_FOR}
        assert {"name": name, "policy": policy["name"]} in json.loads(listed)
        await queue.delete()


@pytest.mark.parametrize("key", [QUERY_KEY, *QUERY_TYPES])
async def test_persistence_answers_by_each_type_and_by_the_key_of_versions_before(
    broker: BrokerClient, key: str
) -> None:
    await broker.publish(QUERIES, key, b'{"type":"directory"}', correlation_id="c")
    assert (await broker.answer())["type"] == "directory_page"
