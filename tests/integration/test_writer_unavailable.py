"""While no writer answers: what a connection may have under way is bounded, and nothing is left half done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from harness.broker_client import BrokerClient
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Place

UNANSWERED = 100
"""Sends of one connection that may wait for their ack."""


@asynccontextmanager
async def absence(stack: Stack) -> AsyncIterator[None]:
    """Halt all persistence replicas, for less than a broker's patience."""
    for replica in stack.persistence:
        replica.pause()
    try:
        yield
    finally:
        for replica in stack.persistence:
            replica.resume()


async def test_more_sends_than_may_wait_are_refused_for_now_and_the_rest_is_stored(
    stack: Stack, gateways: list[str], place: Place
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        async with absence(stack):
            for number in range(UNANSWERED + 5):
                await bob.say(type="send", room=place.room, key=f"k{number}", text=f"{number}")
            errors = [await bob.expect("ack", "error") for _ in range(5)]
            assert [error["key"] for error in errors] == [f"k{UNANSWERED + number}" for number in range(5)]
            assert {(error["code"], error["temporary"]) for error in errors} == {("too_many", True)}
            assert await bob.quiet() == []
        acks = [await bob.expect("ack", "error") for _ in range(UNANSWERED)]
        assert [ack["key"] for ack in acks] == [f"k{number}" for number in range(UNANSWERED)]
        assert [ack["seq"] for ack in acks] == list(range(3, 3 + UNANSWERED))
        assert (await bob.send(place.room, "again", key=f"k{UNANSWERED}"))["type"] == "ack"


async def test_a_second_join_while_one_is_under_way_is_refused_for_now(
    stack: Stack, gateways: list[str], place: Place
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        async with absence(stack):
            await bob.say(type="join", room=place.room)
            for kind in ("join", "leave"):
                error = await bob.error(type=kind, room=place.room)
                assert (error["code"], error["temporary"], error["room"]) == ("too_many", True, place.room)
        assert (await bob.expect("joined"))["room"] == place.room


async def test_a_join_again_that_fails_leaves_no_ghost_of_a_subscription(
    stack: Stack, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    """After an error the client is subscribed or it is not: events come and `leave` works, or neither."""
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.join(place.room)
        async with absence(stack):
            error = await bob.error(type="join", room=place.room)
            assert (error["code"], error["temporary"]) == ("unavailable", True)
        head = await broker.fill(place.room, place.ann.id, ["is anybody there"])
        async with connect(gateways[0], place.ann.token) as ann:
            await ann.join(place.room, head - 1)
            await ann.events(place.room, head)
        events = [frame for frame in await bob.quiet() if frame["type"] == "events"]
        answer = await bob.ask("left", "error", type="leave", room=place.room)
        if answer["type"] == "error" and events:
            pytest.fail("events come from a room that the gateway says is not joined, and nothing can end that")
        assert bool(events) == (answer["type"] == "left")
