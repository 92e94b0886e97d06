"""The HTTP API: idempotent by key, pages that lose nothing, memberships and rooms."""

import asyncio

import httpx
import pytest
from harness.broker_client import BrokerClient
from harness.checker import check, read_store
from harness.concurrency import run_concurrently
from harness.resilient_client import fresh_room
from harness.stack import Stack
from integration.conftest import Person, Place, new_person


async def post(http: httpx.AsyncClient, gateway: str, room: str, who: Person, key: str, text: str) -> httpx.Response:
    headers = {**who.headers, "Idempotency-Key": key}
    return await http.post(f"{gateway}/v1/rooms/{room}/messages", json={"text": text}, headers=headers)


async def test_the_same_key_is_the_same_message_whatever_the_gateway(
    http: httpx.AsyncClient, gateways: list[str], stack: Stack, place: Place
) -> None:
    first = await post(http, gateways[0], place.room, place.ann, "k1", "hi")
    assert (first.status_code, first.json()) == (201, {"room": place.room, "seq": 3, "number": 1, "key": "k1"})
    await post(http, gateways[0], place.room, place.ann, "k2", "in between")
    for gateway in gateways:
        again = await post(http, gateway, place.room, place.ann, "k1", "hi")
        assert (again.status_code, again.json()) == (201, first.json())
        other = await post(http, gateway, place.room, place.ann, "k1", "something else")
        assert (other.status_code, other.json()["code"]) == (422, "invalid")
    texts = [event.get("text") for event in read_store(stack.mongodb.url, [place.room])[place.room]]
    assert texts[2:] == ["hi", "in between"]


async def test_the_same_key_at_once_through_both_gateways_is_stored_once(
    http: httpx.AsyncClient, gateways: list[str], stack: Stack, place: Place
) -> None:
    posts = [post(http, gateways[n % 2], place.room, place.ann, f"k{n // 8}", f"{n // 8}") for n in range(80)]
    answers = [(response.status_code, response.json()) for response in await run_concurrently(*posts)]
    assert {status for status, _ in answers} == {201}
    seqs = {(body["key"], body["seq"]) for _, body in answers}
    assert len(seqs) == 10
    store = read_store(stack.mongodb.url, [place.room])
    assert check([], store) == []
    assert len(store[place.room]) == 12


async def test_the_same_key_of_another_person_is_another_message(
    http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    ann = await post(http, gateways[0], place.room, place.ann, "k", "ann's")
    bob = await post(http, gateways[0], place.room, place.bob, "k", "bob's")
    assert (ann.json()["seq"], bob.json()["seq"]) == (3, 4)


async def test_the_same_key_in_another_room_is_another_message(
    http: httpx.AsyncClient, gateways: list[str], private: Place, place: Place
) -> None:
    await http.put(f"{gateways[0]}/v1/rooms/{place.room}/members/me", headers=private.ann.headers)
    one = await post(http, gateways[0], place.room, private.ann, "k", "here")
    two = await post(http, gateways[0], private.room, private.ann, "k", "there")
    assert (one.json()["room"], two.json()["room"]) == (place.room, private.room)
    assert (one.status_code, two.status_code) == (201, 201)


async def test_a_key_outlives_what_the_writer_remembers(
    http: httpx.AsyncClient, gateways: list[str], broker: BrokerClient, place: Place, stack: Stack
) -> None:
    """After a hand-over of the shard, with nothing cached, a key still returns its first result."""
    first = (await post(http, gateways[0], place.room, place.ann, "k", "hi")).json()
    for replica in stack.persistence:
        replica.stop()
        replica.start()
        await asyncio.to_thread(replica.wait_ready)
        assert (await post(http, gateways[1], place.room, place.ann, "k", "hi")).json() == first


async def test_without_a_key_each_request_is_a_message(
    http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    url = f"{gateways[0]}/v1/rooms/{place.room}/messages"
    seqs = [(await http.post(url, json={"text": "x"}, headers=place.ann.headers)).json()["seq"] for _ in range(2)]
    assert seqs == [3, 4]


async def test_sending_needs_membership(http: httpx.AsyncClient, gateways: list[str], place: Place) -> None:
    refused = await post(http, gateways[0], place.room, place.eve, "k", "x")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    join = f"{gateways[0]}/v1/rooms/{place.room}/members/me"
    assert (await http.put(join, headers=place.eve.headers)).status_code == 200
    assert (await post(http, gateways[0], place.room, place.eve, "k", "x")).status_code == 201


async def test_becoming_a_member_twice_is_being_a_member(
    http: httpx.AsyncClient, gateways: list[str], place: Place, stack: Stack
) -> None:
    for gateway in gateways:
        join = await http.put(f"{gateway}/v1/rooms/{place.room}/members/me", headers=place.bob.headers)
        assert (join.status_code, join.json()) == (200, {"room": place.room, "user": place.bob.id, "seq": None})
    assert len(read_store(stack.mongodb.url, [place.room])[place.room]) == 2


async def test_an_invitation_is_no_membership(http: httpx.AsyncClient, gateways: list[str], place: Place) -> None:
    url = f"{gateways[0]}/v1/rooms/{place.room}/members/{place.eve.id}"
    assert (await http.put(url, headers=place.ann.headers)).status_code == 200
    refused = await post(http, gateways[0], place.room, place.eve, "k", "x")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await http.put(url, headers=place.eve.headers)).status_code == 200
    assert (await post(http, gateways[0], place.room, place.eve, "k", "x")).status_code == 201


async def test_a_room_exists_once(http: httpx.AsyncClient, gateways: list[str]) -> None:
    ann, bob, room = new_person("ann"), new_person("bob"), fresh_room("once")
    url = "/v1/rooms"
    keyed = {**ann.headers, "Idempotency-Key": "make"}
    first = await http.post(gateways[0] + url, json={"room": room, "title": "First"}, headers=keyed)
    assert (first.status_code, first.json()) == (201, {"room": room, "kind": "public", "title": "First", "seq": 1})
    for who in (ann, bob):
        again = await http.post(gateways[1] + url, json={"room": room}, headers=who.headers)
        assert (again.status_code, again.json()["code"]) == (409, "exists")
    stolen = await http.post(gateways[1] + url, json={"room": room}, headers={**bob.headers, "Idempotency-Key": "make"})
    assert stolen.status_code == 409


async def test_creating_again_with_the_same_key_is_the_first_answer(
    http: httpx.AsyncClient, gateways: list[str]
) -> None:
    ann, room = new_person("ann"), fresh_room("once")
    keyed = {**ann.headers, "Idempotency-Key": "make"}
    body = {"room": room, "kind": "private", "title": "Mine"}
    answers = [await http.post(f"{gateway}/v1/rooms", json=body, headers=keyed) for gateway in gateways]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_two_who_make_a_room_at_once_do_not_both_get_it(http: httpx.AsyncClient, gateways: list[str]) -> None:
    room = fresh_room("race")
    people = [new_person("racer") for _ in range(10)]
    made = await run_concurrently(
        *(
            http.post(f"{gateways[number % 2]}/v1/rooms", json={"room": room}, headers=person.headers)
            for number, person in enumerate(people)
        )
    )
    assert sorted(response.status_code for response in made) == [201] + [409] * 9


@pytest.fixture
async def filled(broker: BrokerClient, place: Place) -> Place:
    """A room with 250 messages, seqs 3 to 252."""
    await broker.fill(place.room, place.ann.id, [f"m{number}" for number in range(1, 251)])
    return place


async def page(http: httpx.AsyncClient, gateway: str, place: Place, query: str) -> tuple[list[int], bool]:
    response = await http.get(f"{gateway}/v1/rooms/{place.room}/messages?{query}", headers=place.bob.headers)
    assert response.status_code == 200, response.text
    found = response.json()
    return [message["number"] for message in found["messages"]], found["more"]


async def test_without_a_cursor_a_page_is_the_newest(
    http: httpx.AsyncClient, gateways: list[str], filled: Place
) -> None:
    assert await page(http, gateways[0], filled, "") == (list(range(201, 251)), True)
    assert await page(http, gateways[0], filled, "limit=1") == ([250], True)
    assert await page(http, gateways[0], filled, "limit=100") == (list(range(151, 251)), True)


async def test_pages_backwards_are_the_whole_history_newest_last(
    http: httpx.AsyncClient, gateways: list[str], filled: Place
) -> None:
    pages: list[list[int]] = []
    before, more = 10**6, True
    while more:
        numbers, more = await page(http, gateways[len(pages) % 2], filled, f"before={before}&limit=100")
        pages.append(numbers)
        before = numbers[0] + 2  # message n has seq n + 2
    assert pages == [list(range(151, 251)), list(range(51, 151)), list(range(1, 51))]


async def test_pages_forwards_are_the_whole_history_too(
    http: httpx.AsyncClient, gateways: list[str], filled: Place
) -> None:
    pages: list[list[int]] = []
    after, more = 0, True
    while more:
        numbers, more = await page(http, gateways[0], filled, f"after={after}&limit=100")
        pages.append(numbers)
        after = numbers[-1] + 2
    assert pages == [list(range(1, 101)), list(range(101, 201)), list(range(201, 251))]


async def test_a_page_that_ends_exactly_says_that_there_is_no_more(
    http: httpx.AsyncClient, gateways: list[str], filled: Place
) -> None:
    assert await page(http, gateways[0], filled, "before=103&limit=100") == (list(range(1, 101)), False)
    assert await page(http, gateways[0], filled, "after=152&limit=100") == (list(range(151, 251)), False)
    assert await page(http, gateways[0], filled, "after=252") == ([], False)
    assert await page(http, gateways[0], filled, "before=3") == ([], False)
    assert await page(http, gateways[0], filled, "before=1") == ([], False)


async def test_my_rooms_say_how_much_is_unread(http: httpx.AsyncClient, gateways: list[str], filled: Place) -> None:
    for who in (filled.ann, filled.bob):
        rooms = (await http.get(f"{gateways[1]}/v1/rooms", headers=who.headers)).json()["rooms"]
        assert [(room["room"], room["head"], room["number"], room["unread"]) for room in rooms] == [
            (filled.room, 252, 250, 250)
        ]
    assert (await http.get(f"{gateways[1]}/v1/rooms", headers=filled.eve.headers)).json() == {"rooms": []}


async def test_the_directory_pages_through_all_public_rooms(http: httpx.AsyncClient, gateways: list[str]) -> None:
    ann, prefix = new_person("ann"), fresh_room("dir")
    public = [f"{prefix}-{number:02d}" for number in range(7)]
    for room in public:
        await http.post(f"{gateways[0]}/v1/rooms", json={"room": room, "title": f"T {room}"}, headers=ann.headers)
    hidden = {"room": f"{prefix}-03x", "kind": "private"}
    await http.post(f"{gateways[0]}/v1/rooms", json=hidden, headers=ann.headers)
    found: list[dict[str, str]] = []
    after = prefix
    for _ in range(3):
        query: dict[str, str | int] = {"after": after, "limit": 3}
        answer = (await http.get(f"{gateways[1]}/v1/directory", params=query, headers=ann.headers)).json()
        assert len(answer["rooms"]) <= 3
        found += answer["rooms"]
        after = found[-1]["room"]
    mine = [entry for entry in found if entry["room"].startswith(prefix)]
    assert mine == [{"room": room, "title": f"T {room}"} for room in public]
