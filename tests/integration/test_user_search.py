"""People: by which names they are known, and what finds them."""

import itertools
import secrets
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pymongo
import pytest
from harness.broker_client import BrokerClient
from harness.stack import Stack
from harness.tokens import token
from integration.conftest import Person, Place, become_known, found_by, new_person
from integration.test_projections import rebuilt
from warren.contract.ids import new_id
from warren.contract.wire import utc_now
from warren_persistence.store import connect

_DATABASES = itertools.count(1)
MANY = 2_000
"""People of one letter, to see what a search for it reads."""
ASKED = 20
"""People whom a search names."""


def own_database(stack: Stack) -> str:
    """Return the URL of a database of the test's own."""
    parts = urlsplit(stack.mongodb.url)
    return urlunsplit(parts._replace(path=f"/people{next(_DATABASES)}"))


async def found(http: httpx.AsyncClient, gateway: str, prefix: str, limit: int = 20) -> list[str]:
    """Return the ids of whom a search names."""
    asked: dict[str, Any] = {"params": {"q": prefix, "limit": limit}, "headers": new_person("asker").headers}
    answer = await http.get(f"{gateway}/v1/people", **asked)
    assert answer.status_code == 200, answer.text
    return [person["user"] for person in answer.json()["people"]]


async def test_somebody_is_found_however_their_name_is_written(
    http: httpx.AsyncClient, gateways: list[str], broker: BrokerClient
) -> None:
    tag = secrets.token_hex(4)
    names = {
        "jose": (f"{tag} José", [f"{tag} jose\u0301", f"{tag} JOSE", f"{tag} Ｊｏｓé"]),
        "nunez": (f"Núñez {tag} María José", [f"nunez {tag}", f"nun\u0303ez {tag}", f"{tag} maria jose"]),
        "ipek": (f"{tag} İpek", [f"{tag} ipek", f"{tag} İPEK", f"{tag} ıpek", f"{tag} IPEK"]),
        "isik": (f"{tag} Işık", [f"{tag} IŞIK", f"{tag} isik", f"{tag} işik"]),
        "lukasz": (f"{tag} Łukasz Ørsted", [f"{tag} lukasz o", f"{tag} łuk"]),
        "gross": (f"{tag} Groß", [f"{tag} gross", f"{tag} GROSS"]),
        "blank": (f"{tag} Blank Er", [f"  {tag}   Blank\t E", f"{tag}\u00a0blank", f"{tag} blank \u200ber"]),
        "hira": (f"{tag} ガギ", [f"{tag} ｶﾞｷ"]),
    }
    people = [{"user": f"{user}-{tag}", "name": name} for user, (name, _) in names.items()]
    assert await broker.ask({"type": "sign_ins", "people": people}) == {"type": "noted"}
    for user, (_, written) in names.items():
        for prefix in written:
            assert f"{user}-{tag}" in await found(http, gateways[0], prefix), prefix
    assert await found(http, gateways[0], f"{tag} nobody") == []
    for nothing in (" ", "\u200b", "\u0301"):
        assert await found(http, gateways[0], nothing) == []


async def test_a_letter_reads_no_more_of_the_index_than_it_finds(stack: Stack) -> None:
    url = own_database(stack)
    store = connect(url)
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(url)
    try:
        await store.prepare()
        people = {f"a{number}": f"Ann Abel {number}" for number in range(MANY)}
        for start in range(0, MANY, 500):
            await store.people.note(dict(list(people.items())[start : start + 500]), utc_now())
        with client:
            database = client.get_default_database()
            database.command("profile", 2)
            assert len(await store.people.search("a", ASKED)) == ASKED
            database.command("profile", 0)
            (read,) = database["system.profile"].find({"ns": f"{database.name}.people", "op": "query"})
        # Each of them is there by id, name and word, so a letter may meet somebody more than once.
        assert read["keysExamined"] <= 4 * ASKED
        assert not read.get("hasSortStage", False)
    finally:
        store.close()


async def test_a_name_that_has_changed_shows_everywhere_from_the_next_sign_in_on(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async def named() -> set[str]:
        """Return what bob is called in the list of members, in his direct room, in a search, and by his status."""
        members = await ask(f"rooms/{place.room}/members")
        rooms = await ask("rooms")
        status = await ask(f"users/{place.bob.id}")
        people = await ask(f"people?q={place.bob.id}")
        return {
            status["name"],
            *(entry["name"] for entry in [*members["members"], *people["people"]] if entry["user"] == place.bob.id),
            *(room["peer"]["name"] for room in rooms["rooms"] if room["peer"]),
        }

    async def ask(path: str) -> dict[str, Any]:
        answer = await http.get(f"{gateways[1]}/v1/{path}", headers=place.ann.headers)
        body: dict[str, Any] = answer.raise_for_status().json()
        return body

    made = await http.post(f"{gateways[0]}/v1/direct", json={"user": place.bob.id}, headers=place.ann.headers)
    made.raise_for_status()
    assert await named() == {place.bob.id}
    new = f"Robert {secrets.token_hex(4)}"
    await become_known(http, gateways[0], Person(place.bob.id, token(place.bob.id, name=new, expires_in=7_200)))
    await found_by(http, gateways[0], place.bob.id, new)
    assert await named() == {new}
    # A token from before, which another device still has, does not bring the old name back.
    await become_known(http, gateways[0], place.bob)
    assert await named() == {new}


async def test_the_last_name_holds_in_whatever_order_they_are_told(stack: Stack) -> None:
    store = connect(own_database(stack))
    try:
        await store.prepare()
        early, late = utc_now(), utc_now().replace(year=2999)
        await store.people.note({"ann": "Ann"}, late)
        await store.people.note({"ann": "Hannah"}, early)
        assert await store.people.names(["ann"]) == {"ann": "Ann"}
        assert await store.people.search("hann", 10) == {}
    finally:
        store.close()


async def test_whom_an_older_version_knew_is_found_as_by_this_one(stack: Stack) -> None:
    """They are found by what their names say, which is made anew, and not by what was written down then."""
    url = own_database(stack)
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(url)
    with client:
        database = client.get_default_database()
        database.people.insert_one({"_id": "zoe", "name": "Zoë Nuñez", "terms": ["zoë nuñez", "zoë", "nuñez", "zoe"]})
        database.meta.insert_one({"_id": "projections", "version": 2})
    store = connect(url)
    try:
        await store.prepare()
        await rebuilt(store)
        for prefix in ("zoe n", "nunez", "NUÑ"):
            assert await store.people.search(prefix, 10) == {"zoe": "Zoë Nuñez"}, prefix
        await store.people.note({"zoe": "Zoe"}, utc_now())
        assert await store.people.names(["zoe"]) == {"zoe": "Zoe"}
    finally:
        store.close()


@pytest.mark.parametrize("user", ["eve", None])
async def test_only_gateways_say_who_has_signed_in(user: str | None, broker: BrokerClient) -> None:
    person = {"user": f"cat-{new_id()}", "name": "Cat"}
    answer = await broker.ask({"type": "sign_ins", "user": user, "people": [person]})
    assert answer.get("code") == (None if user is None else "forbidden")
