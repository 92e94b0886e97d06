"""The room in which who is new lands: made once, whoever comes first, and told to whoever asks who they are."""

import asyncio

import httpx
import pytest
from harness.bots import until
from harness.observability import errors, metric
from harness.resilient_client import bearer, fresh_room, make_room
from harness.stack import Stack, begin
from harness.tokens import token
from pydantic import ValidationError
from warren_gateway.config import Settings
from warren_gateway.rooms.default_room import OWNER


async def log_of(http: httpx.AsyncClient, gateway: str, room: str) -> list[dict[str, str]]:
    answer = await http.get(f"{gateway}/v1/rooms/{room}/events?after=0", headers=bearer(token("ann")))
    events: list[dict[str, str]] = answer.json().get("events", [])
    return events


async def test_it_is_made_once_however_many_gateways_start_and_however_often(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    room = fresh_room("landing")
    env = {"WARREN_LANDING_ROOM": room, "WARREN_LANDING_TITLE": "Welcome"}
    fleet = [stack.extra("gateway", number, **env) for number in (5, 6)]
    try:
        await begin(*fleet)

        async def made() -> bool:
            return bool(await log_of(http, fleet[0].url, room))

        await until(made)
        await asyncio.to_thread(fleet[1].stop)
        await begin(fleet[1])
        me = await http.get(f"{fleet[1].url}/v1/me", headers=bearer(token("ann")))
        assert me.json()["landing"] == room
        joined = await http.put(f"{fleet[1].url}/v1/rooms/{room}/members/me", headers=bearer(token("ann")))
        assert joined.is_success
        events = await log_of(http, fleet[0].url, room)
        assert [(event["type"], event["sender"]) for event in events] == [
            ("room.created", OWNER),
            ("member.joined", "ann"),
        ]
        assert (events[0]["title"], events[0]["kind"]) == ("Welcome", "public")
    finally:
        for gateway in fleet:
            gateway.stop()


async def test_another_title_in_the_settings_is_no_error_and_renames_nothing(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    room, fleet = fresh_room("landing"), []
    try:
        for number, title, outcome in ((5, "Welcome", "stored"), (6, "Willkommen", "invalid")):
            gateway = stack.extra("gateway", number, WARREN_LANDING_ROOM=room, WARREN_LANDING_TITLE=title)
            fleet.append(gateway)
            await begin(gateway)

            async def answered(url: str = gateway.url, outcome: str = outcome) -> bool:
                return await metric(url, "warren_commands_answered_total", outcome=outcome) > 0

            await until(answered)
        assert errors(fleet) == []
        assert [event["title"] for event in await log_of(http, fleet[0].url, room)] == ["Welcome"]
    finally:
        for gateway in fleet:
            gateway.stop()


async def test_a_room_that_people_made_before_stays_theirs(stack: Stack, http: httpx.AsyncClient) -> None:
    room = fresh_room("theirs")
    await make_room(http, stack.gateways[0].url, room, token("ann"))
    gateway = stack.extra("gateway", 5, WARREN_LANDING_ROOM=room)
    try:
        await begin(gateway)
        me = await http.get(f"{gateway.url}/v1/me", headers=bearer(token("bob")))
        assert me.json()["landing"] == room
        assert [event["sender"] for event in await log_of(http, gateway.url, room)] == ["ann"]
    finally:
        gateway.stop()


async def test_without_a_setting_there_is_none(http: httpx.AsyncClient, gateways: list[str]) -> None:
    me = await http.get(f"{gateways[0]}/v1/me", headers=bearer(token("ann")))
    assert me.json()["landing"] is None


@pytest.mark.parametrize("room", ["me-1", "dm-1", "No Room"])
def test_what_cannot_be_a_room_is_refused_at_the_start(room: str) -> None:
    with pytest.raises(ValidationError, match="landing_room"):
        Settings(secret="s" * 32, landing_room=room)


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_LANDING_ROOM", "")
    monkeypatch.setenv("WARREN_SECRET", "s" * 32)
    assert Settings().landing_room is None
