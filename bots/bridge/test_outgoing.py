"""Outgoing webhooks: signed, in order, again until they are taken, and at last given up."""

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from warren.bot import Bot
from warren.bot.testing import Dialogue

from bots.bridge import incoming, outgoing
from bots.bridge.config import Outgoing

SECRET = "a-secret-for-the-tests"


@dataclass
class Receiver:
    """Somebody's server, which takes hooks or does not."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    others: int = 0

    async def take(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.heads.append(dict(request.headers))
        return Response(status_code=self.status, headers=self.headers)

    async def elsewhere(self, _: Request) -> Response:
        self.others += 1
        return Response(status_code=204)

    @property
    def texts(self) -> list[str]:
        return [json.loads(body)["event"]["text"] for body in self.bodies]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = Starlette(
        routes=[
            Route("/hook", found.take, methods=["POST"]),
            Route("/elsewhere", found.elsewhere, methods=["GET", "POST"]),
        ]
    )
    with incoming.listen("127.0.0.1", 0) as listening:
        found.url = f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        serving = asyncio.create_task(incoming.serve(app, listening))
        try:
            yield found
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving


@asynccontextmanager
async def forwarding(*hooks: tuple[str, str], **options: Any) -> AsyncIterator[Dialogue]:
    """A bot that forwards `room` and `other` to these URLs."""
    bot = Bot("bridge")
    async with outgoing.client() as http:
        for name, url in hooks:
            fields = {"rooms": ["room", "other"], "url": url, "secret": SECRET, **options}
            outgoing.forward(bot, name, Outgoing.model_validate_json(json.dumps(fields)), http)
        async with Dialogue(bot) as talk:
            yield talk


async def test_what_is_said_is_posted_signed() -> None:
    async with receiving() as there, forwarding(("log", there.url)) as talk:
        await talk.says("ann", "hello")
        await talk.says("bot.other", "beep")
        await talk.says("ann", "not here", room="third")
        await talk.joins("bob")
        assert there.texts == ["hello", "beep"]
        head, body = there.heads[0], there.bodies[0]
        assert json.loads(body) == {"delivery": "log/room/1", "room": "room", "event": talk.rooms.logs["room"][0]}
        assert head["warren-delivery"] == "log/room/1"
        stamp, _, digest = head["warren-signature"].partition(",")
        signed = hmac.new(SECRET.encode(), f"{stamp.removeprefix('t=')}.".encode() + body, "sha256").hexdigest()
        assert digest == f"v1={signed}"
        assert int(stamp.removeprefix("t=")) == int(talk.now.timestamp())
        assert await talk.quiet()


async def test_what_is_not_taken_is_tried_again_later_and_later_and_all_comes_in_order() -> None:
    async with receiving() as there, forwarding(("log", there.url)) as talk:
        there.status = 500
        for text in ("one", "two", "three"):
            await talk.says("ann", text)
        await talk.says("ann", "other", room="other")
        assert there.texts == ["one", "other"]
        await talk.passes(seconds=1)
        await talk.passes(seconds=1.9)
        assert sorted(there.texts) == ["one", "one", "other", "other"]
        await talk.passes(seconds=0.1)
        assert sorted(there.texts) == ["one"] * 3 + ["other"] * 3
        there.status = 204
        await talk.passes(seconds=4)
        assert [text for text in there.texts[6:] if text != "other"] == ["one", "two", "three"]
        assert talk.memory.select("") == {}


async def test_queues_outlast_the_process() -> None:
    async with receiving() as there, forwarding(("log", there.url)) as talk:
        there.status = 503
        for text in ("one", "two"):
            await talk.says("ann", text)
        there.status = 204
        talk.rooms.now = talk.rooms.now.replace(year=talk.rooms.now.year + 1)
        await talk.restarts()
        assert there.texts == ["one", "one", "two"]


async def test_killed_before_it_took_note_of_the_answer_it_sends_the_same_again() -> None:
    async with receiving() as there, forwarding(("log", there.url)) as talk:
        await talk.says("ann", "one")
        await talk.crashes()
        assert there.texts == ["one", "one"]
        assert there.heads[0]["warren-delivery"] == there.heads[1]["warren-delivery"]
        await talk.says("ann", "two")
        assert there.texts == ["one", "one", "two"]


async def test_what_is_never_taken_is_a_dead_letter_of_its_hook_and_the_next_gets_its_turn() -> None:
    async with receiving() as there, forwarding(("log", there.url), tries=3) as talk:
        there.status = 500
        await talk.says("ann", "one")
        await talk.says("ann", "two")
        await talk.passes(seconds=3)
        ((event, handler, reason),) = talk.dead_letters
        assert (event.text, handler, reason) == ("one", "to_log", "tried 3 times; last: HTTP 500")
        there.status = 204
        await talk.passes(seconds=1)
        assert there.texts == ["one"] * 3 + ["two"] * 2
        await talk.replays()
        assert there.texts[-1] == "one"
        assert talk.dead_letters == []


async def test_one_receiver_that_is_away_costs_the_others_nothing() -> None:
    with incoming.listen("127.0.0.1", 0) as unused:
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/hook"
    async with receiving() as there, forwarding(("gone", nobody), ("log", there.url)) as talk:
        for text in ("one", "two"):
            await talk.says("ann", text)
        assert there.texts == ["one", "two"]
        assert talk.memory.lookup("queue/gone/room")["waiting"] == [1, 2]
        await talk.passes(days=1)
        assert [handler for _, handler, _ in talk.dead_letters] == ["to_gone", "to_gone"]
        assert "ConnectError" in talk.dead_letters[0][2]


async def test_redirects_are_not_followed() -> None:
    async with receiving() as there, forwarding(("log", there.url), tries=1) as talk:
        for status in (301, 302, 307, 308):
            there.status, there.headers = status, {"location": there.url.replace("/hook", "/elsewhere")}
            await talk.says("ann", "hello")
        assert there.others == 0
        assert [reason for _, _, reason in talk.dead_letters] == [
            f"tried 1 times; last: HTTP {status}" for status in (301, 302, 307, 308)
        ]


async def test_queues_are_bounded_and_what_does_not_fit_is_a_dead_letter() -> None:
    async with receiving() as there, forwarding(("log", there.url)) as talk:
        there.status = 500
        for number in range(outgoing.WAITING_LIMIT + 2):
            await talk.says("ann", str(number))
        assert [event.text for event, _, _ in talk.dead_letters] == ["1000", "1001"]
        assert talk.dead_letters[0][2] == "1000 messages wait already"


async def test_what_the_bridge_has_said_itself_goes_out_to_nobody() -> None:
    async with receiving() as there, forwarding(("log", there.url)) as talk:
        await talk.says(talk.bot.user, "came in through a hook")
        await talk.says("ann", "hello")
        assert there.texts == ["hello"]


def test_the_page_shows_how_to_check_a_signature() -> None:
    page = (Path(__file__).parent / "README.md").read_text()
    found: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], found)
    now = int(time.time())
    signed = outgoing.signature(SECRET, now, b"body")
    assert found["genuine"](SECRET, signed, b"body")
    assert not found["genuine"](SECRET, signed, b"another body")
    assert not found["genuine"]("another secret", signed, b"body")
    assert not found["genuine"](SECRET, signed.replace(str(now), str(now + 1)), b"body")
    assert not found["genuine"](SECRET, outgoing.signature(SECRET, now - 301, b"body"), b"body")
