"""The same key again, over HTTP: the same answer for the same thing, and none of its own for anything else."""

from typing import Any

import httpx
import pytest
from harness.checker import read_store
from harness.resilient_client import fresh_room
from harness.stack import Stack
from integration.conftest import Place, new_person

Answer = tuple[int, dict[str, Any]]


async def asked(
    http: httpx.AsyncClient, method: str, url: str, headers: dict[str, str], key: str | None, body: Any = None
) -> Answer:
    own = headers if key is None else {**headers, "Idempotency-Key": key}
    answer = await http.request(method, url, json=body, headers=own)
    return answer.status_code, answer.json()


async def test_a_key_stands_for_one_thing(
    http: httpx.AsyncClient, gateways: list[str], place: Place, stack: Stack
) -> None:
    rooms, eve = f"{gateways[0]}/v1/rooms", place.eve.headers
    joined = await asked(http, "PUT", f"{rooms}/{place.room}/members/me", eve, "k")
    assert joined[0] == 200
    assert await asked(http, "PUT", f"{rooms}/{place.room}/members/me", eve, "k") == joined
    status, problem = await asked(http, "POST", f"{rooms}/{place.room}/messages", eve, "k", {"text": "hi"})
    assert (status, problem["code"], problem["temporary"]) == (422, "invalid", False)
    said = await asked(http, "POST", f"{rooms}/{place.room}/messages", eve, "m", {"text": "hi"})
    assert await asked(http, "POST", f"{rooms}/{place.room}/messages", eve, "m", {"text": "hi"}) == said
    for other in ({"text": "ho"}, {"text": "hi", "reply_to": 1}):
        assert (await asked(http, "POST", f"{rooms}/{place.room}/messages", eve, "m", other))[0] == 422
    assert len(read_store(stack.mongodb.url, [place.room])[place.room]) == said[1]["seq"]


@pytest.mark.parametrize("named", [True, False])
async def test_a_room_is_not_made_under_a_used_key(
    http: httpx.AsyncClient, gateways: list[str], *, named: bool
) -> None:
    ann, room = new_person("ann"), {"room": fresh_room("key")} if named else {}
    made = await asked(http, "POST", f"{gateways[0]}/v1/rooms", ann.headers, "k", {**room, "title": "One"})
    assert made[0] == 201
    assert await asked(http, "POST", f"{gateways[1]}/v1/rooms", ann.headers, "k", {**room, "title": "One"}) == made
    assert (await asked(http, "POST", f"{gateways[0]}/v1/rooms", ann.headers, "k", {**room, "title": "Two"}))[0] == 422
    assert (await asked(http, "GET", f"{gateways[0]}/v1/rooms/{made[1]['room']}", ann.headers, None))[1][
        "title"
    ] == "One"


@pytest.mark.parametrize("what", ["members", "bans", "mutes"])
async def test_what_is_so_already_is_no_error(
    http: httpx.AsyncClient, gateways: list[str], place: Place, what: str
) -> None:
    url = f"{gateways[0]}/v1/rooms/{place.room}/{what}/{place.bob.id}"
    if what != "members":
        assert (await asked(http, "PUT", url, place.ann.headers, None, {}))[0] == 200
    first = await asked(http, "DELETE", url, place.ann.headers, None)
    assert (first[0], type(first[1]["seq"])) == (200, int)
    again = await asked(http, "DELETE", url, place.ann.headers, None)
    assert again == (200, {"room": place.room, "user": place.bob.id, "seq": None})


async def test_leaving_twice_is_no_error_and_says_nothing_of_a_room(
    http: httpx.AsyncClient, gateways: list[str], place: Place, private: Place
) -> None:
    rooms, bob = f"{gateways[0]}/v1/rooms", place.bob
    assert (await asked(http, "DELETE", f"{rooms}/{place.room}/members/me", bob.headers, None))[1]["seq"] is not None
    for room in (place.room, private.room, fresh_room("none")):
        left = await asked(http, "DELETE", f"{rooms}/{room}/members/me", bob.headers, None)
        assert left == (200, {"room": room, "user": bob.id, "seq": None})


async def test_an_address_with_a_slash_too_many_is_not_found(
    http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    answer = await http.get(f"{gateways[0]}/v1/rooms/", headers=place.ann.headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "location" not in answer.headers
