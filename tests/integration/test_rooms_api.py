"""Rooms and their people over HTTP: what the table of rights does not show, such as what lists say, and keys."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pymongo
import pytest
from harness.bots import until as eventually
from harness.broker_client import BrokerClient
from harness.resilient_client import fresh_room
from harness.rights import new_scene
from harness.stack import Stack
from harness.tokens import token
from integration.conftest import Person, Place, become_known, found_by, new_person, new_place
from warren.contract.ids import direct_room
from warren.contract.queries import NOTES_LIMIT


class Api:
    """One person's way of asking."""

    def __init__(self, http: httpx.AsyncClient, gateway: str, who: Person) -> None:
        self._http = http
        self._base = f"{gateway}/v1/"
        self._headers = who.headers

    async def __call__(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        headers = {**self._headers, **({"Idempotency-Key": key} if key else {})}
        return await self._http.request(method, self._base + path, json=body, headers=headers)

    async def done(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> dict[str, Any]:
        answer = await self(method, path, body, key=key)
        assert answer.is_success, (method, path, answer.text)
        found = answer.json()
        assert isinstance(found, dict)
        return found


@pytest.fixture
def ann(place: Place, http: httpx.AsyncClient, gateways: list[str]) -> Api:
    return Api(http, gateways[0], place.ann)


@pytest.fixture
def bob(place: Place, http: httpx.AsyncClient, gateways: list[str]) -> Api:
    return Api(http, gateways[1], place.bob)


@pytest.fixture
def eve(place: Place, http: httpx.AsyncClient, gateways: list[str]) -> Api:
    return Api(http, gateways[0], place.eve)


async def test_what_a_room_says_of_itself_depends_on_who_asks(place: Place, ann: Api, bob: Api, eve: Api) -> None:
    path = f"rooms/{place.room}"
    await ann.done("PATCH", path, {"title": "Garden"})
    await ann.done("PUT", f"{path}/mutes/{place.bob.id}")
    common = {"room": place.room, "kind": "public", "title": "Garden", "head": 4, "number": 0, "archived": False}
    details = [await api.done("GET", path) for api in (ann, bob, eve)]
    assert [{**found, **common} == found for found in details] == [True] * 3
    assert [found["role"] for found in details] == ["owner", "member", None]
    assert [found["member"] for found in details] == [True, True, False]
    assert [found["muted"] for found in details] == [None, "9999-12-31T00:00:00.000Z", None]


async def test_an_archived_room_is_out_of_the_directory_and_stays_in_ones_list(place: Place, ann: Api) -> None:
    async def listed() -> bool:
        page = await ann.done("GET", f"directory?after={place.room[:-1]}")
        return place.room in [entry["room"] for entry in page["rooms"]]

    assert await listed()
    await ann.done("PATCH", f"rooms/{place.room}", {"archived": True})
    assert not await listed()
    mine = (await ann.done("GET", "rooms"))["rooms"]
    assert [(room["archived"], room["role"]) for room in mine] == [(True, "owner")]
    await ann.done("PATCH", f"rooms/{place.room}", {"archived": False})
    assert await listed()


async def test_one_thing_at_a_time(place: Place, ann: Api) -> None:
    for body in ({}, {"title": "T", "archived": True}):
        answer = await ann("PATCH", f"rooms/{place.room}", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_members_are_listed_page_by_page(
    http: httpx.AsyncClient, gateways: list[str], broker: BrokerClient
) -> None:
    scene, commands = new_scene("private")
    await broker.command(*(command.model_dump(mode="json", exclude_none=True) for command in commands))
    await broker.replies(len(commands))

    def api(who: str) -> Api:
        return Api(http, gateways[0], Person(scene.people[who], token(scene.people[who])))

    found: list[dict[str, Any]] = []
    more, pages = True, 0
    while more:
        after = found[-1]["user"] if found else ""
        page = await api("member").done("GET", f"rooms/{scene.room}/members?limit=3&after={after}")
        found += page["members"]
        more, pages = page["more"], pages + 1
    inside = ("member", "muted", "moderator", "owner")
    assert [entry["user"] for entry in found] == sorted(
        people[membership] for people in (scene.people, scene.two) for membership in inside
    )
    assert pages == 3
    roles = {entry["user"]: entry["role"] for entry in found}
    assert {roles[scene.people[role]] for role in ("owner", "moderator", "member")} == {"owner", "moderator", "member"}
    muted = {entry["user"] for entry in found if entry["muted"]}
    assert muted == {scene.people["muted"], scene.two["muted"]}
    for state in ("invited", "banned"):
        page = await api("moderator").done("GET", f"rooms/{scene.room}/members?state={state}")
        assert {entry["user"] for entry in page["members"]} == {scene.people[state], scene.two[state]}
        refused = await api("member")("GET", f"rooms/{scene.room}/members?state={state}")
        assert refused.json()["code"] == "forbidden"


async def test_who_only_reads_a_public_room_does_not_learn_who_is_in_it(place: Place, eve: Api) -> None:
    assert (await eve("GET", f"rooms/{place.room}/messages")).status_code == 200
    assert (await eve("GET", f"rooms/{place.room}/members")).json()["code"] == "forbidden"


async def test_a_measure_that_is_over_is_no_more_listed(place: Place, stack: Stack, ann: Api) -> None:
    """The end is moved into the past in the store, rather than waited for."""
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await ann.done("PUT", f"rooms/{place.room}/bans/{place.bob.id}", {"until": end, "reason": "Enough"})
    banned = await ann.done("GET", f"rooms/{place.room}/members?state=banned")
    assert [entry["user"] for entry in banned["members"]] == [place.bob.id]
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(stack.mongodb.url)
    with client:
        identity = {"room": place.room, "user": place.bob.id}
        over = {"until": datetime.now(UTC) - timedelta(seconds=1)}
        client.get_default_database().members.update_one({"_id": identity}, {"$set": over})
    banned = await ann.done("GET", f"rooms/{place.room}/members?state=banned")
    assert banned["members"] == []


@pytest.mark.parametrize(
    "until", ["yesterday", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00", "9999-12-31T23:59:59-10:00", 5]
)
async def test_an_end_that_is_none_is_refused(place: Place, ann: Api, until: Any) -> None:
    for measure in ("bans", "mutes"):
        answer = await ann("PUT", f"rooms/{place.room}/{measure}/{place.bob.id}", {"until": until})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


async def test_a_key_makes_any_change_once(place: Place, ann: Api) -> None:
    member = f"rooms/{place.room}/members/{place.bob.id}"
    first = await ann.done("DELETE", member, key="out")
    assert await ann.done("DELETE", member, key="out") == first
    room, again = [await ann.done("POST", "rooms", {"kind": "private", "title": "T"}, key="one") for _ in range(2)]
    assert room == again
    assert room["room"].startswith("r-")


async def test_a_room_without_an_id_gets_one_that_nobody_guesses(ann: Api) -> None:
    made = [(await ann.done("POST", "rooms", {"kind": "private", "title": "T"}))["room"] for _ in range(2)]
    assert made[0] != made[1]
    assert {len(room) for room in made} == {26}


@pytest.mark.parametrize("room", ["me-" + "0" * 40, "dm-" + "0" * 40, "me-x", "dm-garden"])
async def test_nobody_sits_down_where_an_inbox_or_direct_room_will_be(ann: Api, room: str) -> None:
    answer = await ann("POST", "rooms", {"room": room})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_the_direct_room_of_two_is_one_whoever_asks(place: Place, ann: Api, bob: Api) -> None:
    found = [
        await ann.done("POST", "direct", {"user": place.bob.id}),
        await bob.done("POST", "direct", {"user": place.ann.id}),
    ]
    assert {entry["room"] for entry in found} == {direct_room(place.ann.id, place.bob.id)}
    (mine,) = [room for room in (await bob.done("GET", "rooms"))["rooms"] if room["kind"] == "direct"]
    assert mine["peer"]["user"] == place.ann.id
    assert (await bob.done("GET", f"rooms/{mine['room']}"))["peer"]["user"] == place.ann.id
    answer = await ann("POST", "direct", {"user": place.ann.id})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_people_are_found_by_name_word_and_id(http: httpx.AsyncClient, gateways: list[str]) -> None:
    tag = secrets.token_hex(4)
    user = f"zoe-{tag}"
    who = Person(user, token(user, name=f"Zoë {tag} Q. Żółw"))
    await Api(http, gateways[0], who).done("POST", "rooms", {"room": fresh_room(), "kind": "private"})
    asker = Api(http, gateways[1], new_person("ann"))
    await found_by(http, gateways[1], user, user)
    for prefix in (f"zoë {tag}", tag[:6], user, user.upper(), f"{tag} "[:-1]):
        people = await asker.done("GET", f"people?q={prefix}")
        assert {"user": user, "name": f"Zoë {tag} Q. Żółw"} in people["people"], prefix
    for nobody in (".*", f"^{user}", "$ne"):
        assert (await asker.done("GET", f"people?q={nobody}"))["people"] == []


async def test_who_is_in_as_many_rooms_as_one_may_be(
    stack: Stack, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """The rooms are made up in the store: a thousand real ones would say no more."""
    person, place = new_person("ann"), await new_place(http, gateways[0])
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(stack.mongodb.url)
    with client:
        made_up = [{"_id": {"room": f"x{n}-{person.id}", "user": person.id}, "state": "member"} for n in range(1_000)]
        client.get_default_database().members.insert_many(made_up)
        await become_known(http, gateways[0], person)
        api = Api(http, gateways[0], person)
        for method, path, body in (
            ("POST", "rooms", {"room": fresh_room()}),
            ("PUT", f"rooms/{place.room}/members/me", None),
            ("POST", "direct", {"user": place.ann.id}),
        ):
            answer = await api(method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
        answer = await Api(http, gateways[0], place.ann)("POST", "direct", {"user": person.id})
        assert answer.status_code == 200  # a room that counts as hers alone
        client.get_default_database().members.delete_many({"_id.user": person.id})
    await api.done("PUT", f"rooms/{place.room}/members/me")


async def test_the_log_is_the_audit_log(place: Place, ann: Api, bob: Api) -> None:
    path = f"rooms/{place.room}"
    until = "2999-01-01T00:00:00.000Z"
    await ann.done("PATCH", path, {"title": "Garden"})
    await bob.done("POST", f"{path}/messages", {"text": "hi"})
    await ann.done("PUT", f"{path}/mutes/{place.bob.id}", {"until": until, "reason": "Enough"})
    page = await bob.done("GET", f"{path}/events")
    assert page["head"] == 5
    told = [(event["seq"], event["type"], event["sender"], event.get("user")) for event in page["events"]]
    assert told == [
        (1, "room.created", place.ann.id, None),
        (2, "member.joined", place.bob.id, place.bob.id),
        (3, "room.renamed", place.ann.id, None),
        (4, "message", place.bob.id, None),
        (5, "member.muted", place.ann.id, place.bob.id),
    ]
    assert (page["events"][4]["until"], page["events"][4]["reason"]) == (until, "Enough")
    rest = await ann.done("GET", f"{path}/events?after=2&limit=2")
    assert rest["events"] == page["events"][2:4]


async def test_who_is_muted_is_told_in_their_inbox(place: Place, ann: Api, bob: Api) -> None:
    await ann.done("PUT", f"rooms/{place.room}/mutes/{place.bob.id}", {"until": "2999-01-01T00:00:00.000Z"})

    async def is_told() -> bool:  # an inbox is a room of another shard, and written after the room's own log
        inbox = await bob.done("GET", "rooms/@me/events")
        return [event["what"] for event in inbox["events"]] == ["member.muted"]

    await eventually(is_told)


async def test_a_page_of_history_has_what_happened_between_its_messages(place: Place, ann: Api, bob: Api) -> None:
    path = f"rooms/{place.room}"

    async def say(text: str) -> None:
        await bob.done("POST", f"{path}/messages", {"text": text})

    for number in range(3):  # seqs 3 to 8: a new title before each message
        await ann.done("PATCH", path, {"title": f"T{number}"})
        await say(f"m{number}")
    await ann.done("PATCH", path, {"title": "last"})

    async def page(query: str) -> tuple[list[int], list[int], bool]:
        found = await bob.done("GET", f"{path}/messages?notes=true&{query}")
        return [m["seq"] for m in found["messages"]], [n["seq"] for n in found["notes"]], found["more"]

    assert await page("") == ([4, 6, 8], [1, 2, 3, 5, 7, 9], False)
    assert await page("limit=2") == ([6, 8], [7, 9], True)
    assert await page("limit=1&before=8") == ([6], [7], True)
    assert await page("before=6") == ([4], [1, 2, 3, 5], False)
    assert await page("limit=2&after=3") == ([4, 6], [5], True)
    assert await page("after=6") == ([8], [7, 9], False)
    assert (await bob.done("GET", f"{path}/messages"))["notes"] == []


RENAMES = 225
"""More than a page of history has notes."""


async def test_what_happened_between_two_messages_can_be_read_however_much(
    place: Place, broker: BrokerClient, ann: Api, bob: Api
) -> None:
    """A page of history says that it has not all of it; the log has, page by page."""
    path = f"rooms/{place.room}"
    await bob.done("POST", f"{path}/messages", {"text": "before"})
    titles = [f"T{number}" for number in range(RENAMES)]
    await broker.rename(place.room, place.ann.id, "Ann", titles)
    last = (await bob.done("POST", f"{path}/messages", {"text": "after"}))["seq"]
    assert last == 3 + RENAMES + 1

    page = await bob.done("GET", f"{path}/messages?notes=true&limit=2")
    assert (len(page["messages"]), len(page["notes"]), page["notes_cut"]) == (2, NOTES_LIMIT, True)
    whole = await bob.done("GET", f"{path}/messages?notes=true&before={2 + NOTES_LIMIT}")
    assert (len(whole["notes"]), whole["notes_cut"]) == (NOTES_LIMIT, False)

    found: list[dict[str, Any]] = []
    head, after = last, page["messages"][0]["seq"]
    while after < head:
        part = await bob.done("GET", f"{path}/events?after={after}&limit=100")
        head = part["head"]
        found += part["events"]
        after = found[-1]["seq"]
    assert [event["title"] for event in found if event["type"] == "room.renamed"] == titles
    assert found[-1]["text"] == "after"
