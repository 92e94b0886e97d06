"""I3 on the move: members who change transport every few seconds, and gateway every few more, while everybody talks."""

import asyncio
import itertools

import pytest
from harness.client_pool import sending
from harness.http_transport import http_client
from harness.resilient_client import ResilientClient, fresh_room, join_room, make_room, sign_in
from harness.stack import Stack
from harness.transport import TRANSPORTS

ROOMS = 2
ROAMERS, SETTLED = 6, 3
SHORT, LONG = (10.0, 1.0), (75.0, 3.0)
"""Seconds that it goes on, and that a roamer stays on a transport."""
WITHIN = 120.0
"""Seconds for what has no promise about its time; a bound, not an expectation."""


@pytest.fixture
def form(request: pytest.FixtureRequest) -> tuple[float, float]:
    """Return how long it takes, and how long a stay."""
    return LONG if request.config.getoption("--long") else SHORT


async def test_who_roams_over_transports_and_gateways_sees_each_event_once_and_in_order(
    stack: Stack, gateways: list[str], form: tuple[float, float]
) -> None:
    seconds, stay = form
    rooms = [fresh_room("roam") for _ in range(ROOMS)]
    members = []
    async with http_client() as http:
        for number in range(ROAMERS + SETTLED):
            token, user = await sign_in(http, gateways[0], f"m{number}")
            for room in rooms:
                await (join_room if number else make_room)(http, gateways[0], room, token)
            transports = [*TRANSPORTS[number % 3 :], *TRANSPORTS[: number % 3]]
            if number < ROAMERS:  # two stays at each gateway: so that every transport follows every other, anywhere
                turns = [gateway for gateway in gateways for _ in range(2)]
                # Not all at the same moment.
                members.append(
                    ResilientClient(token, user, turns, rooms, transports, stay * (1 + number / ROAMERS / 2))
                )
            else:
                members.append(ResilientClient(token, user, gateways, rooms, transports[:1]))
    async with asyncio.timeout(seconds + WITHIN), sending(members, gateways) as pool:
        await pool.everyone_says(1)
        await asyncio.sleep(seconds)  # not a wait for something: the length of the journey
        await pool.everyone_says(1)
        await pool.finish()
        violations = await pool.violations(stack.mongodb.url)
    assert violations == []
    everywhere = set(itertools.product(TRANSPORTS, gateways))
    for roamer in members[:ROAMERS]:
        assert sum(roamer.visits.values()) >= seconds / stay / 4
    assert {where for roamer in members[:ROAMERS] for where in roamer.visits} == everywhere
    assert sum(pool.said.values()) >= 10 * len(members)
