"""Commands that come close together go together, those of each route in order, and none waits long for another's."""

import asyncio
from typing import Any, cast

import pytest
from pydantic_core import from_json
from warren.broker import command_client
from warren.broker.command_client import CommandClient
from warren.broker.publisher import Publisher
from warren.contract.commands import Accepted, Refused, Replies, Send

ROOMS = "abc"


class Broker:
    """What is published, in order, as the ids of the commands in each message."""

    def __init__(self) -> None:
        self.messages: list[list[str]] = []
        self._published = asyncio.Condition()

    async def publish(self, exchange: str, key: str, body: bytes, **_: Any) -> None:
        self.messages.append([command["id"] for command in from_json(body)["commands"]])
        async with self._published:
            self._published.notify_all()

    async def until(self, count: int) -> None:
        """Wait until there are so many messages."""
        async with self._published:
            await self._published.wait_for(lambda: len(self.messages) >= count)


class Chat:
    """A client whose rooms are routes of their own, and who it is that answers."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.answers: list[str] = []
        self._client = CommandClient(cast(Publisher, self.broker), lambda room: ("commands", room))
        self._client.reply_to = "replies"

    def submit(self, *names: str) -> None:
        """Have commands sent; the first letter of a name is the room."""
        for name in names:
            command = Send(id=name, key=name, room=name[0], sender="ann", name="Ann", text="x")
            self._client.submit(command, self._answered)

    def answer(self, *names: str) -> None:
        """Have the writer answer."""
        replies = Replies(replies=[Accepted(id=name, seq=1, number=1) for name in names])
        self._client.answered(replies.model_dump_json().encode())

    def _answered(self, answer: Accepted | Refused) -> None:
        self.answers.append(answer.id)


async def turns() -> None:
    """Let everything happen that needs no time."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Chat:
    """Return one in which nothing is sent because time has passed."""
    monkeypatch.setattr(command_client, "ROUND_WITHIN", 60.0)
    monkeypatch.setattr(command_client, "GATHER_WITHIN", 60.0)
    return Chat()


async def test_while_nothing_is_unanswered_a_command_goes_at_once(chat: Chat) -> None:
    chat.submit("a1")
    await turns()
    assert chat.broker.messages == [["a1"]]
    chat.answer("a1")
    await turns()
    chat.submit("b1")
    await turns()
    assert chat.broker.messages[1:] == [["b1"]]


async def test_what_comes_in_one_turn_goes_at_once_a_message_a_route(chat: Chat) -> None:
    chat.submit("a1", "b1", "a2", "c1")
    await turns()
    assert chat.broker.messages == [["a1", "a2"], ["b1"], ["c1"]]


async def test_what_comes_meanwhile_goes_together_once_all_is_answered(chat: Chat) -> None:
    chat.submit("a1", "b1")
    await turns()
    for name in ("c1", "b2", "c2", "a2", "c3"):
        chat.submit(name)
        await turns()
    chat.answer("a1")
    await turns()
    assert chat.broker.messages[2:] == []
    chat.answer("b1")
    await turns()
    assert sorted(chat.broker.messages[2:]) == [["a2"], ["b2"], ["c1", "c2", "c3"]]
    chat.answer("c1", "c2", "c3", "a2", "b2")
    await turns()
    assert sorted(chat.answers) == ["a1", "a2", "b1", "b2", "c1", "c2", "c3"]


async def test_a_room_that_is_not_answered_holds_others_up_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_client, "GATHER_WITHIN", 60.0)
    chat = Chat()
    chat.submit("a1")
    await chat.broker.until(1)
    chat.submit("a2", "b1")
    await chat.broker.until(2)
    await turns()
    assert chat.broker.messages == [["a1"], ["b1"]]  # the room's own wait longer, so that they stay in order


async def test_a_message_that_is_not_taken_ends_its_round(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("nobody foresaw this")

    with monkeypatch.context() as broken:
        broken.setattr(chat.broker, "publish", refuse)
        chat.submit("a1", "b1")
        await turns()
    assert chat.answers == ["a1", "b1"]
    chat.submit("a2")
    await turns()
    assert chat.broker.messages == [["a2"]]
