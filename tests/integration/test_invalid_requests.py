"""Bad input over HTTP: every error is a problem of RFC 9457, with the codes of the WebSocket's error frames."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from harness.tokens import token
from integration.conftest import Place

BODY_LIMIT = 64 * 1024
TEMPORARY = {"too_many", "unavailable"}


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "detail", "code", "temporary"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["temporary"] is (code in TEMPORARY)
    assert problem["title"]
    assert problem["detail"]


@pytest.fixture
def messages(gateways: list[str], place: Place) -> str:
    return f"{gateways[0]}/v1/rooms/{place.room}/messages"


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"hello",
    "half an object": b'{"text":"x"',
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "no text": b"{}",
    "an unknown field": b'{"text":"x","extra":1}',
    "an unknown field that is a lone surrogate": b'{"text":"x","\\ud800":1}',
    "a text that is a number": b'{"text":5}',
    "a text that is an object": b'{"text":{"a":1}}',
    "an empty text": b'{"text":""}',
    "a blank text": b'{"text":" \\n "}',
    "a text that shows nothing": json.dumps({"text": "\u200b\u2800\u3164\u202e\x7f"}).encode(),
    "a text of 4,001 characters": json.dumps({"text": "x" * 4_001}).encode(),
    "a lone surrogate": b'{"text":"\\ud800"}',
    "a reply in quotes": b'{"text":"x","reply_to":"1"}',
    "a reply to seq 0": b'{"text":"x","reply_to":0}',
    "a reply to seq 2**63": b'{"text":"x","reply_to":9223372036854775808}',
    "a number of 5,000 digits": b'{"text":"x","reply_to":' + b"9" * 5_000 + b"}",
    "not a number": b'{"text":"x","reply_to":NaN}',
    "not UTF-8": b'{"text":"\xff"}',
    "UTF-16": '{"text":"x","extra":1}'.encode("utf-16"),
    "too deep": b"[" * 20_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_body_is_a_problem(http: httpx.AsyncClient, messages: str, place: Place, body: bytes) -> None:
    headers = {**place.ann.headers, "Content-Type": "application/json"}
    response = await http.post(messages, content=body, headers=headers)
    assert response.status_code in (400, 422), response.text
    assert_problem(response, response.status_code, "invalid")


CURSORS = {
    "a room that is a surrogate": r'{"cursors":{"\ud83d":{}}}',
    "an epoch that is a surrogate": r'{"cursors":{"a":{"since":1,"epoch":"\ud83d"}}}',
    "a status that is a surrogate": r'{"cursors":{"a":{}},"status":"\ud83d"}',
    "a since of 5,000 digits": '{"cursors":{"a":{"since":' + "9" * 5_000 + "}}}",
    "an unknown field of a cursor": '{"cursors":{"a":{"zork":1}}}',
    "a cursor that is none": '{"cursors":{"a":5}}',
    "no cursors": '{"cursors":{}}',
    "cursors that are a list": '{"cursors":[]}',
    "1,900 cursors": json.dumps({"cursors": {f"r{number}": {} for number in range(1_900)}}),
}


@pytest.mark.parametrize("body", CURSORS.values(), ids=CURSORS.keys())
@pytest.mark.parametrize("path", ["/v1/poll", "/v1/sse"])
async def test_cursors_that_are_wrong_are_a_problem(
    http: httpx.AsyncClient, gateways: list[str], place: Place, path: str, body: str
) -> None:
    headers = {**place.ann.headers, "Content-Type": "application/json"}
    response = await http.post(gateways[0] + path, content=body, headers=headers)
    assert_problem(response, 422, "invalid")
    assert len(response.json()["detail"]) <= 350


@pytest.mark.parametrize("wait", ["NaN", "Infinity", "1e999", '"1"', "-1"])
async def test_a_poll_waits_for_so_many_seconds(
    http: httpx.AsyncClient, gateways: list[str], place: Place, wait: str
) -> None:
    headers = {**place.ann.headers, "Content-Type": "application/json"}
    body = f'{{"cursors":{{"{place.room}":{{}}}},"wait":{wait}}}'
    assert_problem(await http.post(f"{gateways[0]}/v1/poll", content=body, headers=headers), 422, "invalid")


async def test_a_body_that_is_not_declared_as_json_is_a_problem(
    http: httpx.AsyncClient, messages: str, place: Place
) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = await http.post(
            messages, content=b'{"text":"x"}', headers={**place.ann.headers, "Content-Type": kind}
        )
        assert_problem(response, 422, "invalid")
        assert "Content-Type: application/json" in response.json()["detail"]


async def test_a_body_of_4000_escaped_astral_characters_is_fine(
    http: httpx.AsyncClient, messages: str, place: Place
) -> None:
    text = "\U0001f407" * 4_000
    response = await http.post(messages, json={"text": text}, headers=place.ann.headers)
    assert response.status_code == 201
    page = (await http.get(messages, headers=place.ann.headers)).json()
    assert page["messages"][-1]["text"] == text


async def test_a_declared_body_over_64_kib_is_413(http: httpx.AsyncClient, messages: str, place: Place) -> None:
    body = json.dumps({"text": "x"}).encode().ljust(BODY_LIMIT + 1)
    assert_problem(await http.post(messages, content=body, headers=place.ann.headers), 413, "invalid")
    fits = {**place.ann.headers, "Content-Type": "application/json"}
    assert (await http.post(messages, content=body[:-1], headers=fits)).status_code == 201


async def test_a_chunked_body_over_64_kib_is_413(http: httpx.AsyncClient, messages: str, place: Place) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 8_192

    headers = {**place.ann.headers, "Content-Type": "application/json"}
    assert_problem(await http.post(messages, content=endless(), headers=headers), 413, "invalid")


async def test_a_body_is_limited_on_every_route(http: httpx.AsyncClient, gateways: list[str], place: Place) -> None:
    body = b"x" * (BODY_LIMIT + 1)
    for path in ("/v1/guest", "/v1/rooms"):
        response = await http.post(gateways[0] + path, content=body, headers=place.ann.headers)
        assert response.status_code == 413


@pytest.mark.parametrize(
    "key",
    [b"", b"k" * 65, b"\xfc", b"\xe2\x82\xac", b"a\tb"],
    ids=["empty", "long", "latin", "euro", "tab"],
)
async def test_a_key_out_of_syntax_is_a_problem(
    http: httpx.AsyncClient, messages: str, place: Place, key: bytes
) -> None:
    headers = {b"Authorization": place.ann.headers["Authorization"].encode(), b"Idempotency-Key": key}
    assert_problem(await http.post(messages, json={"text": "x"}, headers=headers), 422, "invalid")


ROUTES = (
    ("GET", "/v1/me"),
    ("GET", "/v1/rooms"),
    ("POST", "/v1/rooms"),
    ("GET", "/v1/directory"),
    ("PUT", "/v1/rooms/{room}/members/me"),
    ("POST", "/v1/rooms/{room}/messages"),
    ("GET", "/v1/rooms/{room}/messages"),
    ("GET", "/v1/sse?room={room}"),
    ("POST", "/v1/sse"),
    ("POST", "/v1/poll"),
)


def bad_credentials() -> dict[str, bytes | None]:
    deep = base64.urlsafe_b64encode(b"[" * 6_000).rstrip(b"=") + b".e30.x"
    return {
        "none": None,
        "empty": b"",
        "another scheme": b"Basic YTpi",
        "no token": b"Bearer",
        "garbage": b"Bearer garbage",
        "latin-1": b"Bearer \xfc.\xfc.\xfc",
        "too deep": b"Bearer " + deep,
        "foreign": b"Bearer " + token("ann", secret="another-secret-another-secret-another-secret").encode(),
        "expired": b"Bearer " + token("ann", expires_in=-60).encode(),
    }


@pytest.mark.parametrize("credentials", bad_credentials().values(), ids=bad_credentials().keys())
async def test_without_a_good_token_every_route_is_401(
    http: httpx.AsyncClient, gateways: list[str], place: Place, credentials: bytes | None
) -> None:
    headers = {} if credentials is None else {b"Authorization": credentials}
    for method, path in ROUTES:
        body = {} if method == "GET" else {"content": b"{}"}
        response = await http.request(method, gateways[0] + path.format(room=place.room), headers=headers, **body)  # type: ignore[arg-type]
        assert_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "query",
    [
        "before=5&after=1", "before=0", "before=-1", "before=x", "before=1.5", "after=-1", "after=", "limit=0",
        "limit=101", "limit=-5", "limit=x", "after=9223372036854775808", "before=99999999999999999999999999",
    ],
)  # fmt: skip
async def test_a_page_out_of_bounds_is_a_problem(
    http: httpx.AsyncClient, messages: str, place: Place, query: str
) -> None:
    assert_problem(await http.get(f"{messages}?{query}", headers=place.ann.headers), 422, "invalid")


@pytest.mark.parametrize(
    "room", ["General", "-a", "a.b", "a%20b", "a" * 65, "%00", "a%0a", "%F0%9F%90%87", "%ff", "@me!"]
)
async def test_a_room_out_of_syntax_is_a_problem(
    http: httpx.AsyncClient, gateways: list[str], place: Place, room: str
) -> None:
    for method, path in ROUTES[4:]:
        response = await http.request(
            method,
            gateways[0] + path.format(room=room),
            headers=place.ann.headers,
            json={"text": "x"} if method == "POST" else None,
        )
        assert_problem(response, 422, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"room": "A"}, {"room": "a", "kind": "secret"}, {"room": "a", "title": ""}, {"room": "a", "title": " "},
        {"room": "a", "title": "x" * 201}, {"room": "a", "owner": "me"}, {"room": 5},
    ],
    ids=str,
)  # fmt: skip
async def test_a_room_that_is_made_wrongly_is_a_problem(
    http: httpx.AsyncClient, gateways: list[str], place: Place, body: dict[str, Any]
) -> None:
    assert_problem(await http.post(f"{gateways[0]}/v1/rooms", json=body, headers=place.ann.headers), 422, "invalid")


@pytest.mark.parametrize("name", [None, "", "   ", "x" * 65, 5, "\ud800"], ids=repr)
async def test_a_guest_needs_a_name(http: httpx.AsyncClient, gateways: list[str], name: Any) -> None:
    body = json.dumps({"name": name}).encode()
    response = await http.post(f"{gateways[0]}/v1/guest", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, 422, "invalid")
    assert "Value error" not in response.json()["detail"]


@pytest.mark.parametrize("name", ["日本語", "\0x", "😀" * 64, "../../etc", "a" * 64, "'; drop"])
async def test_a_guest_may_have_any_name(http: httpx.AsyncClient, gateways: list[str], name: str) -> None:
    response = await http.post(f"{gateways[0]}/v1/guest", json={"name": name})
    assert response.status_code == 200
    found = response.json()
    assert found["user"]["name"] == name.replace("\0", "")
    me = await http.get(f"{gateways[1]}/v1/me", headers={"Authorization": f"Bearer {found['token']}"})
    assert {**me.json(), **found["user"]} == me.json()


async def test_what_does_not_exist_is_a_problem_too(http: httpx.AsyncClient, gateways: list[str], place: Place) -> None:
    assert_problem(await http.get(f"{gateways[0]}/nothing/here"), 404, "not_found")
    assert_problem(await http.get(f"{gateways[0]}/v1/rooms/{place.room}/nothing"), 404, "not_found")
    response = await http.delete(f"{gateways[0]}/v1/me", headers=place.ann.headers)
    assert_problem(response, 405, "invalid")
    assert response.headers["allow"] == "GET"


async def test_a_private_room_of_others_looks_as_if_it_did_not_exist(
    http: httpx.AsyncClient, gateways: list[str], private: Place
) -> None:
    missing = f"{private.room}-not"

    async def answers(room: str) -> list[tuple[int, str]]:
        base = f"{gateways[0]}/v1/rooms/{room}"
        found = [
            await http.get(f"{base}/messages", headers=private.eve.headers),
            await http.get(f"{base}/messages?before=5", headers=private.eve.headers),
            await http.post(f"{base}/messages", json={"text": "x"}, headers=private.eve.headers),
            await http.post(f"{base}/messages", json={"text": "x", "reply_to": 1}, headers=private.eve.headers),
            await http.put(f"{base}/members/me", headers=private.eve.headers),
        ]
        for response in found:
            assert_problem(response, 404, "not_found")
        return [(response.status_code, response.text.replace(room, "ROOM")) for response in found]

    assert await answers(private.room) == await answers(missing)
    directory = await http.get(
        f"{gateways[0]}/v1/directory", params={"after": private.room[:-1], "limit": 5}, headers=private.eve.headers
    )
    assert private.room not in directory.text


async def test_bytes_that_are_no_http_are_refused_and_the_gateway_goes_on(
    http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    port = int(gateways[0].rsplit(":", 1)[1])
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00" * 50, b"GET / HTTP/9.9\r\n\r\n", b"\0" * 1_000, b"A" * 200_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(30):
                writer.write(garbage + b"\r\n\r\n")
                await writer.drain()
                await reader.read()
        except OSError:
            pass
        finally:
            writer.transport.abort()
    assert (await http.get(f"{gateways[0]}/v1/me", headers=place.ann.headers)).status_code == 200


async def test_a_handshake_that_is_none_is_refused(http: httpx.AsyncClient, gateways: list[str], place: Place) -> None:
    plain = await http.get(f"{gateways[0]}/v1/ws", headers=place.ann.headers)
    assert_problem(plain, 426, "invalid")
    assert (plain.headers["upgrade"], plain.headers["connection"]) == ("websocket", "Upgrade")
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert (await http.get(f"{gateways[0]}/v1/ws", headers=upgrade)).status_code in (400, 426)
    shaken = {**upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
    assert (await http.get(f"{gateways[0]}/v1/elsewhere", headers=shaken)).status_code in (403, 404)
