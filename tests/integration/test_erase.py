"""What an event said is overwritten; its place stays, and everything that reads the log takes it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from harness.stack import Stack
from integration.conftest import Place
from motor.motor_asyncio import AsyncIOMotorClient
from warren_persistence.log.erase import erase
from warren_persistence.store import Store


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Any]:
    client: Any = AsyncIOMotorClient(stack.mongodb.url, tz_aware=True)
    yield client.get_default_database()
    client.close()


async def said(http: httpx.AsyncClient, url: str, place: Place, key: str, text: str) -> httpx.Response:
    headers = {**place.ann.headers, "Idempotency-Key": key}
    return await http.post(f"{url}/messages", json={"text": text}, headers=headers)


async def test_an_erased_message_is_shown_as_deleted_and_keeps_its_place(
    http: httpx.AsyncClient, gateways: list[str], place: Place, database: Any
) -> None:
    url, ann = f"{gateways[0]}/v1/rooms/{place.room}", place.ann.headers
    place_of = (await said(http, url, place, "first", "secret")).json()
    seq = place_of["seq"]
    await said(http, url, place, "second", "hello")
    assert await erase(database, place.room, seq)
    assert await erase(database, place.room, seq)  # as often as one likes
    document = await database.events.find_one({"room": place.room, "seq": seq}, {"_id": 0})
    assert set(document) == {"room", "seq", "number", "id", "type", "sender", "key", "at", "erased"}

    log = (await http.get(f"{url}/events?after={seq - 1}", headers=ann)).json()
    assert [event["seq"] for event in log["events"]] == [seq, seq + 1]
    page = (await http.get(f"{url}/messages", headers=ann)).json()
    assert page["at"] == seq + 1
    for shown in (log["events"][0], page["messages"][0]):
        assert (shown["type"], shown["deleted"], shown["number"], shown["key"]) == ("message", True, 1, "first")
        assert (shown["sender"], shown["name"]) == (place.ann.id, place.ann.id)
        assert "text" not in shown
    assert (page["messages"][1]["text"], "deleted" in page["messages"][1]) == ("hello", False)


async def test_a_message_that_is_sent_again_after_it_was_erased_has_its_place(
    http: httpx.AsyncClient, gateways: list[str], place: Place, database: Any
) -> None:
    url = f"{gateways[0]}/v1/rooms/{place.room}"
    first = await said(http, url, place, "k", "secret")
    assert await erase(database, place.room, first.json()["seq"])
    again = await said(http, url, place, "k", "secret")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    stored = await Store(database.client, database).appender.find_keys([(place.room, place.ann.id, "k")])
    assert [one.content for one in stored.values()] == [None]


async def test_what_rights_are_made_of_is_not_erased(place: Place, database: Any) -> None:
    before = await database.events.find_one({"room": place.room, "seq": 1})
    assert not await erase(database, place.room, 1)
    assert not await erase(database, place.room, 1_000)
    assert await database.events.find_one({"room": place.room, "seq": 1}) == before


async def test_a_room_with_erased_events_is_loaded_and_made_anew(
    http: httpx.AsyncClient, gateways: list[str], place: Place, database: Any
) -> None:
    url = f"{gateways[0]}/v1/rooms/{place.room}"
    seq = (await said(http, url, place, "k", "secret")).json()["seq"]
    store = Store(database.client, database)
    before = (await store.load_rooms([place.room]))[place.room]
    await erase(database, place.room, seq)
    after = (await store.load_rooms([place.room]))[place.room]
    assert (after.head, after.number, after.owners, after.kind) == (seq, 1, before.owners, before.kind)
    assert (await said(http, url, place, "next", "on")).json()["seq"] == seq + 1
