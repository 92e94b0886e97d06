"""The assistant against a small endpoint: when it answers, with what context, and what it says if it cannot."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from warren.bot.testing import Dialogue
from warren.contract.presence import Partial

from bots.assistant.bot import BROKE_OFF, SORRY, Settings, assistant, conversation

Speak = Callable[["Endpoint", asyncio.StreamWriter], Any]


class Endpoint:
    """An OpenAI-compatible server with one connection a request. `speak` writes the response."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.speak: Speak = Endpoint.say("Hello", " there", "!")
        self.hung_up = asyncio.Event()

    @staticmethod
    def say(*pieces: str, end: str = "data: [DONE]\n\n", head: str = "200 OK") -> Speak:
        async def speak(_: Endpoint, writer: asyncio.StreamWriter) -> None:
            writer.write(f"HTTP/1.1 {head}\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".encode())
            for piece in pieces:
                writer.write(b": a comment\n\ndata: " + chunk(piece) + b"\n\n")
                await writer.drain()
            writer.write(end.encode())

        return speak

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-l"))
            self.requests.append(json.loads(await reader.readexactly(length)))
            self.heads.append(head)
            speaking = asyncio.ensure_future(self.speak(self, writer))
            gone = asyncio.ensure_future(reader.read())
            await asyncio.wait({speaking, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not speaking.done() or speaking.exception() is not None:
                self.hung_up.set()
                speaking.cancel()
            gone.cancel()
            await asyncio.gather(speaking, gone, return_exceptions=True)
        writer.close()


def chunk(text: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


@asynccontextmanager
async def talking(**settings: Any) -> AsyncIterator[tuple[Dialogue, Endpoint]]:
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, family=socket.AF_INET)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        async with Dialogue(assistant(Settings(url=endpoint.url, key="sesame", **settings))) as talk:
            yield talk, endpoint
    finally:
        server.close()


@pytest.mark.parametrize("text", ["@assistant hi", "hello @Assistant!", "what do you say, @bot.assistant?"])
async def test_it_answers_who_mentions_it(text: str) -> None:
    async with talking() as (talk, endpoint):
        seq = await talk.says("ann", text)
        assert await talk.answer() == "Hello there!"
        assert await talk.quiet()
        assert talk.rooms.logs["room"][-1]["reply_to"] == seq
        assert endpoint.heads[0].startswith("POST /v1/chat/completions ")
        assert "authorization: bearer sesame" in endpoint.heads[0].lower()


@pytest.mark.parametrize("text", ["hello", "assistant?", "mail me@assistant.example", "@assistant-2 hi", "@assistants"])
async def test_it_keeps_out_of_what_is_not_for_it_and_shows_it_to_no_model(text: str) -> None:
    async with talking() as (talk, endpoint):
        first = await talk.says("bob", "I am no bot")
        await talk.says("ann", text, reply_to=first)
        await talk.says("bot.other", "@assistant hi")
        assert await talk.quiet()
        assert endpoint.requests == []


async def test_it_answers_replies_to_itself_and_the_model_sees_the_conversation() -> None:
    async with talking(context=3, prompt="Be brief.") as (talk, endpoint):
        await talk.says("bob", "too long ago")
        await talk.says("ann", "good morning")
        await talk.says("ann", "@assistant hi")
        await talk.answer()
        await talk.says("bob", "why?", reply_to=4)
        assert await talk.answer() == "Hello there!"
        assert endpoint.requests[-1]["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Ann: good morning"},
            {"role": "user", "content": "Ann: @assistant hi"},
            {"role": "assistant", "content": "Hello there!"},
            {"role": "user", "content": "Bob: why?"},
        ]
        assert endpoint.requests[-1]["stream"] is True


async def test_the_answer_is_shown_as_it_grows_and_stored_once() -> None:
    async with talking() as (talk, _):
        await talk.says("ann", "@assistant hi")
        shown = [frame for frame in talk.rooms.shown if isinstance(frame, Partial)]
        assert shown[0].text == "Hello"
        assert {frame.key for frame in shown} == {talk.rooms.logs["room"][-1]["key"]}


async def test_killed_after_it_had_answered_it_has_answered_once() -> None:
    async with talking() as (talk, endpoint):
        await talk.says("ann", "@assistant hi")
        endpoint.speak = Endpoint.say("Something else")
        await talk.crashes()
        assert await talk.answer() == "Hello there!"
        assert await talk.quiet()


@pytest.mark.parametrize(
    ("speak", "answer"),
    [
        (Endpoint.say(head="500 Internal Server Error"), SORRY),
        (Endpoint.say(head="307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/"), SORRY),
        (Endpoint.say(), SORRY),
        (Endpoint.say(" ", "\n"), " \n" + SORRY),
        (Endpoint.say(end='data: {"error":{"message":"overloaded"}}\n\n'), SORRY),
        (Endpoint.say("Well", end="data: [1,2\n\n"), "Well" + BROKE_OFF),
        (Endpoint.say("Well", end="data: 5\n\n"), "Well" + BROKE_OFF),
        (Endpoint.say("Well", end="x" * 2**21), "Well" + BROKE_OFF),
        (Endpoint.say("Well", end=""), "Well"),
        (Endpoint.say("Two\u2028lines\x85", "\N{GRINNING FACE}"), "Two\u2028lines\x85\N{GRINNING FACE}"),
    ],
)
async def test_what_goes_wrong_is_said_politely(speak: Speak, answer: str) -> None:
    async with talking() as (talk, endpoint):
        endpoint.speak = speak
        await talk.says("ann", "@assistant hi")
        assert await talk.answer() == answer
        assert talk.dead_letters == []


async def test_an_endpoint_that_is_not_there_is_an_apology() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    async with Dialogue(assistant(Settings(url=url))) as talk:
        await talk.says("ann", "@assistant hi")
        assert await talk.answer() == SORRY


@pytest.mark.parametrize("setting", ["silence", "patience"])
async def test_one_that_falls_silent_is_hung_up_on(setting: str) -> None:
    async def speak(_: Endpoint, writer: asyncio.StreamWriter) -> None:
        await Endpoint.say("Well", end="")(_, writer)
        await asyncio.Event().wait()

    async with talking(**{setting: 0.2}) as (talk, endpoint):
        endpoint.speak = speak
        await talk.says("ann", "@assistant hi")
        assert await talk.answer() == "Well" + BROKE_OFF
        async with asyncio.timeout(10):
            await endpoint.hung_up.wait()


async def test_a_model_that_does_not_stop_is_hung_up_on_when_the_message_is_full() -> None:
    async def speak(_: Endpoint, writer: asyncio.StreamWriter) -> None:
        await Endpoint.say("", end="")(_, writer)
        while True:
            writer.write(b"data: " + chunk("bla " * 50) + b"\n\n")
            await writer.drain()

    async with talking() as (talk, endpoint):
        endpoint.speak = speak
        await talk.says("ann", "@assistant hi")
        assert len(await talk.answer()) == 4_000
        async with asyncio.timeout(10):
            await endpoint.hung_up.wait()


async def test_a_bot_that_is_stopped_in_mid_answer_hangs_up_and_answers_when_it_is_back() -> None:
    speaking = asyncio.Event()

    async def speak(_: Endpoint, writer: asyncio.StreamWriter) -> None:
        await Endpoint.say("Well", end="")(_, writer)
        speaking.set()
        await asyncio.Event().wait()

    async with talking() as (talk, endpoint):
        endpoint.speak = speak
        asking = asyncio.create_task(talk.says("ann", "@assistant hi"))
        await speaking.wait()
        asking.cancel()
        async with asyncio.timeout(10):
            await endpoint.hung_up.wait()
        assert await talk.quiet()
        endpoint.speak = Endpoint.say("Here I am")
        await talk.restarts()
        assert await talk.answer() == "Here I am"


def test_what_the_model_is_shown_is_bounded_and_the_question_is_always_in_it() -> None:
    bot = assistant(Settings())
    said = [event("ann", "x" * 4_000) for _ in range(50)]
    assert len(conversation(bot, "", said)) == 1 + 5
    assert len(conversation(bot, "", [event("ann", "x" * 50_000)])) == 2


def event(user: str, text: str) -> Any:
    from warren.bot import Event  # noqa: PLC0415

    return Event("room", {"type": "message", "seq": 1, "sender": user, "name": user, "text": text})
