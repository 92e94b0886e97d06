"""Incoming webhooks: who may say what, once, and what is refused before it costs anything."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from warren.bot import Refusal, Unavailable
from warren.bot.testing import Dialogue

from bots.bridge import incoming
from bots.bridge.bot import bridge
from bots.bridge.config import Config

TOKEN = "a-token-for-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def free_port() -> int:
    with incoming.listen("127.0.0.1", 0) as listening:
        return int(listening.getsockname()[1])


@asynccontextmanager
async def bridging() -> AsyncIterator[tuple[Dialogue, httpx.AsyncClient]]:
    """The bot, with its server on a port of its own."""
    other = {"room": "other", "token": "another-token-for-it"}
    config = {"incoming": {"ci": {"room": "room", "token": TOKEN}, "other": other}, "port": free_port()}
    url = f"http://127.0.0.1:{config['port']}"
    async with Dialogue(bridge(Config.model_validate_json(json.dumps(config)))) as talk:
        transport = httpx.AsyncHTTPTransport(retries=5)  # until it listens
        async with httpx.AsyncClient(base_url=url, timeout=30, transport=transport) as http:
            yield talk, http


async def post(http: httpx.AsyncClient, body: Any, hook: str = "ci", **headers: str) -> httpx.Response:
    return await http.post(f"/hooks/{hook}", json=body, headers={**BEARER, **headers})


async def test_what_is_posted_is_said_in_the_hooks_room_and_answered_once_stored() -> None:
    async with bridging() as (talk, http):
        answer = await post(http, {"text": "build 7 is green"})
        assert (answer.status_code, answer.json()) == (201, {"room": "room", "seq": 1})
        assert await talk.answer() == "build 7 is green"
        await post(http, {"text": "and 8", "name": "Ann"})
        assert [event["name"] for event in talk.rooms.logs["room"]] == ["ci", "Ann (ci)"]


async def test_the_same_key_says_nothing_twice() -> None:
    async with bridging() as (talk, http):
        seqs = [(await post(http, {"text": "once"}, **{"Idempotency-Key": "7"})).json()["seq"] for _ in range(3)]
        assert seqs == [1, 1, 1]
        assert (await post(http, {"text": "once"}, **{"Idempotency-Key": "8"})).json()["seq"] == 2
        assert (await post(http, {"text": "no key"})).json()["seq"] == 3
        assert (await post(http, {"text": "no key"})).json()["seq"] == 4
        assert len(talk.rooms.logs["room"]) == 4


@pytest.mark.parametrize(
    ("hook", "headers"),
    [
        ("ci", {}),
        ("ci", {"Authorization": TOKEN}),
        ("ci", {"Authorization": f"Basic {TOKEN}"}),
        ("ci", {"Authorization": "Bearer"}),
        ("ci", {"Authorization": f"Bearer {TOKEN}x"}),
        ("ci", {"Authorization": b"Bearer \xff\xfe"}),
        ("other", BEARER),
        ("unknown", BEARER),
    ],
)
async def test_without_the_hooks_own_token_nothing_is_said(hook: str, headers: dict[str, str]) -> None:
    async with bridging() as (talk, http):
        answer = await http.post(f"/hooks/{hook}", json={"text": "hello"}, headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (401, "no such hook, or not its token")
        assert dict(talk.rooms.logs) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'"text"', b'{"text":""}', b'{"text":" "}', b'{"text":5}', b'{"name":"x"}',
        b'{"text":"x","room":"other"}', b'{"text":"x","name":""}', b'{"text":"\xff"}',
        json.dumps({"text": "x" * 4_001}).encode(), json.dumps({"text": "x", "name": "n" * 41}).encode(),
    ],
)  # fmt: skip
async def test_what_is_no_message_is_refused(body: bytes) -> None:
    async with bridging() as (talk, http):
        answer = await http.post("/hooks/ci", content=body, headers=BEARER)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert dict(talk.rooms.logs) == {}


async def test_bodies_are_bounded_also_without_a_length() -> None:
    async with bridging() as (talk, http):
        assert (await http.post("/hooks/ci", content=b" " * 70_000, headers=BEARER)).status_code == 413
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        head = f"POST /hooks/ci HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(9):  # and never the last one
            writer.write(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        async with asyncio.timeout(30):
            assert b" 413 " in await reader.readline()
            await reader.read()  # to the end: it hangs up
        writer.close()
        assert (await post(http, {"text": "\N{GRINNING FACE}" * 4_000, "name": "n" * 40})).status_code == 201
        assert len(talk.rooms.logs["room"]) == 1


@pytest.mark.parametrize("character", ["\N{GRINNING FACE}", "\x01", '"', "\N{CJK UNIFIED IDEOGRAPH-6B7B}"])
async def test_whatever_a_message_holds_is_taken_escaped_or_not(character: str) -> None:
    text, name = "x" + character * 3_999, "n" + "\N{GRINNING FACE}" * 39
    async with bridging() as (talk, http):
        for escaped in (True, False):
            body = json.dumps({"text": text, "name": name}, ensure_ascii=escaped).encode()
            answer = await http.post("/hooks/ci", content=body, headers=BEARER)
            assert answer.status_code == 201, answer.text
        assert [event["text"] for event in talk.rooms.logs["room"]] == [text] * 2


async def test_a_body_of_many_unknown_fields_is_answered_in_a_sentence() -> None:
    async with bridging() as (_, http):
        for number, detail in ((1_000, "k0: there is no such field"), (5_000, "too many parts")):
            answer = await post(http, {f"k{place}": 1 for place in range(number)})
            assert (answer.status_code, answer.json()["detail"]) == (400, detail)


async def test_other_paths_and_methods_are_none() -> None:
    async with bridging() as (_, http):
        assert (await http.get("/hooks/ci", headers=BEARER)).status_code == 405
        assert (await http.get("/", headers=BEARER)).status_code == 404
        assert (await post(http, {"text": "x"}, **{"Idempotency-Key": "k" * 201})).status_code == 400


async def test_while_the_broker_is_away_the_caller_is_told_to_come_back_and_is_not_told_it_was_stored() -> None:
    async with bridging() as (talk, http):

        def away(_: object) -> Refusal | None:
            raise Unavailable("the broker is away")

        talk.rooms.refuse = away
        answer = await post(http, {"text": "hello"}, **{"Idempotency-Key": "7"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        talk.rooms.refuse = lambda _: Refusal("forbidden", "the room is archived")
        answer = await post(http, {"text": "hello"}, **{"Idempotency-Key": "7"})
        assert (answer.status_code, answer.json()["detail"]) == (403, "forbidden: the room is archived")
        talk.rooms.refuse = lambda _: None
        assert (await post(http, {"text": "hello"}, **{"Idempotency-Key": "7"})).status_code == 201
        assert await talk.answer() == "hello"


async def test_stopping_ends_what_is_being_answered_first() -> None:
    asked, go = asyncio.Event(), asyncio.Event()
    async with bridging() as (talk, http):
        submit = talk.rooms.submit

        async def slowly(command: Any) -> Any:
            asked.set()
            await go.wait()
            return await submit(command)

        talk.rooms.submit = slowly  # type: ignore[method-assign]
        request = asyncio.create_task(post(http, {"text": "just in time"}))
        await asked.wait()
        ending = asyncio.create_task(talk.__aexit__(None, None, None))
        await asyncio.sleep(0)
        go.set()
        assert (await request).status_code == 201
        await ending


@pytest.mark.parametrize(
    "config",
    [
        {"incoming": {"ci": {"room": "room", "token": "short"}}},
        {"incoming": {"../ci": {"room": "room", "token": TOKEN}}},
        {"incoming": {"ci": {"room": "No Room", "token": TOKEN}}},
        {"outgoing": {"log": {"rooms": [], "url": "https://x.example", "secret": TOKEN}}},
        {"outgoing": {"log": {"rooms": ["room"], "url": "file:///etc/passwd", "secret": TOKEN}}},
        {"outgoing": {"log": {"rooms": ["room"], "url": "https://x.example", "secret": TOKEN, "retries": 3}}},
    ],
)
def test_a_wrong_configuration_is_refused_and_shows_no_secret(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Config.model_validate_json(json.dumps(config))
    assert TOKEN not in repr(
        Config.model_validate_json(json.dumps({"incoming": {"ci": {"room": "r", "token": TOKEN}}}))
    )
