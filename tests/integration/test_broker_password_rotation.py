"""The passwords of the broker change over as docs/operations.md has it: nobody who is connected notices."""

import pytest
from harness.bots import rabbitmqctl, until
from harness.observability import log_lines
from harness.scripted_client import connect
from harness.stack import Stack
from harness.tokens import token
from integration.conftest import Place
from warren_local.home import broker_password
from warren_local.service import Service

WITHIN = 60.0
"""Seconds to start; a bound, not an expectation."""
OTHER = "another-password"


@pytest.mark.parametrize("user", ["gateway", "persistence"])
async def test_a_password_changes_over(stack: Stack, gateways: list[str], place: Place, user: str) -> None:
    before = broker_password(stack.home, user)

    def replica(number: int, password: str) -> Service:
        url = stack.amqp_url(user).replace(before, password)
        return stack.extra(user, number, WARREN_AMQP_URL=url)

    async with connect(gateways[0], place.ann.token) as ann:
        rabbitmqctl(stack, "change_password", user, OTHER)
        try:
            assert (await ann.send(place.room, "who is connected stays"))["type"] == "ack"
            with replica(8, before) as late, replica(9, OTHER) as restarted:
                restarted.wait_ready(WITHIN)

                async def refused() -> bool:
                    return bool(log_lines(late.log, "the broker refused the login"))

                await until(refused)
                assert not late.answers()
                if user == "gateway":
                    async with connect(restarted.url, token(place.ann.id)) as again:
                        assert (await again.send(place.room, "and who comes anew"))["type"] == "ack"
        finally:
            rabbitmqctl(stack, "change_password", user, before)
        assert (await ann.send(place.room, "and on"))["type"] == "ack"
