"""The moderator: what breaks which rule, what is done about it, and what is forgiven."""

import re
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from warren.bot import Refusal
from warren.bot.testing import Dialogue
from warren.contract import commands as c
from warren.contract.ids import direct_room

from bots.moderator.bot import Rules, moderator


def dialogue(**rules: Any) -> Dialogue:
    return Dialogue(moderator(Rules(words=("darn",), hosts=("warren.example",), **rules)))


def measures(talk: Dialogue, room: str = "room") -> list[str]:
    return [event["type"] for event in talk.rooms.logs[room] if event["sender"] == talk.bot.user]


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("Darn it", "words"),
        ("see https://evil.example/x", "links"),
        ("see HTTPS://EVIL.EXAMPLE", "links"),
        ("https://warren.example@evil.example/", "links"),
        ("https://warren.example.evil.example/", "links"),
        ("http://[::bad", "links"),
        ("call 555-1234", "patterns"),
        ("darning socks", None),
        ("see https://warren.example/docs, please", None),
    ],
)
def test_what_breaks_which_rule(said: str, rule: str | None) -> None:
    rules = Rules(words=("darn",), hosts=("warren.example",), patterns=(re.compile(r"\d{3}-\d{4}"),))
    assert rules.broken_by(said) == rule


def test_without_rules_all_may_be_said() -> None:
    assert Rules().broken_by("darn https://evil.example 555-1234") is None


def test_rules_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ROOMS": "a,b",
        "WORDS": "darn,heck",
        "PATTERNS": "a{2}\nb,c",
        "HOSTS": "",
        "FLOOD": "3",
    }.items():
        monkeypatch.setenv(f"WARREN_MODERATOR_{name}", value)
    rules = Rules()
    assert (rules.rooms, rules.words, rules.hosts, rules.flood) == (("a", "b"), ("darn", "heck"), (), 3)
    assert [pattern.pattern for pattern in rules.patterns] == ["a{2}", "b,c"]
    monkeypatch.setenv("WARREN_MODERATOR_PATTERNS", "(")
    with pytest.raises(ValueError, match="patterns"):
        Rules()


async def test_a_breach_is_a_warning_then_mutes_with_an_end_then_the_removal() -> None:
    async with dialogue() as talk:
        await talk.says("ann", "hello")
        assert measures(talk) == []
        for _ in range(4):
            await talk.says("ann", "darn")
        assert measures(talk) == ["message", "member.muted", "member.muted", "member.removed"]
        assert await talk.answer() == "Ann, that word is not for this room."
        muted = next(event for event in talk.rooms.logs["room"] if event["type"] == "member.muted")
        assert (muted["user"], muted["reason"]) == ("ann", "that word is not for this room")
        until = (talk.now + timedelta(minutes=10)).isoformat(timespec="milliseconds")
        assert muted["until"] == until.replace("+00:00", "Z")


async def test_each_person_and_room_counts_for_itself_and_breaches_are_forgiven() -> None:
    async with dialogue() as talk:
        await talk.says("ann", "darn")
        await talk.says("bob", "darn")
        await talk.says("ann", "darn", room="other")
        assert (measures(talk), measures(talk, "other")) == (["message", "message"], ["message"])
        await talk.passes(hours=24)
        await talk.says("ann", "darn")
        assert measures(talk) == ["message"] * 3
        await talk.passes(hours=23)
        await talk.says("ann", "darn")
        assert measures(talk)[-1] == "member.muted"


async def test_too_many_messages_at_once_are_a_flood_and_slowly_said_they_are_none() -> None:
    async with dialogue(flood=3, seconds=5) as talk:
        for number in range(6):
            await talk.says("ann", str(number))
            await talk.says("bob", "a bit")
            await talk.passes(seconds=2)
        assert measures(talk) == []
        await talk.passes(seconds=5)
        for number in range(4):
            await talk.says("ann", str(number))
        assert await talk.answer() == "Ann, not so fast, please."
        for number in range(3):
            await talk.says("ann", str(number))
        assert measures(talk) == ["message"]
        await talk.says("ann", "and on and on")
        assert measures(talk) == ["message", "member.muted"]


async def test_a_breach_that_is_redelivered_is_one_breach() -> None:
    async with dialogue() as talk:
        seq = await talk.says("ann", "darn")
        await talk.again(seq)
        await talk.crashes()
        assert measures(talk) == ["message"]
        await talk.says("ann", "darn")
        assert measures(talk) == ["message", "member.muted"]


async def test_warnings_can_go_to_the_person_alone() -> None:
    async with dialogue(direct=True) as talk:
        await talk.says("ann", "darn")
        room = direct_room(talk.bot.user, "ann")
        assert measures(talk) == []
        assert await talk.answer(room) == "Ann, that word is not for this room."
        await talk.passes(days=2)
        exists = Refusal("exists", "the room exists already")
        talk.rooms.refuse = lambda command: exists if isinstance(command, c.CreateDirect) else None
        await talk.says("ann", "darn")
        assert await talk.answer(room) == "Ann, that word is not for this room."


async def test_whom_it_can_do_nothing_about_costs_nothing_else() -> None:
    async with dialogue(warnings=0) as talk:
        talk.rooms.refuse = lambda command: Refusal("forbidden", "an owner") if isinstance(command, c.Mute) else None
        await talk.says("owner", "darn")
        talk.rooms.refuse = lambda _: None
        await talk.says("ann", "darn")
        assert measures(talk) == ["member.muted"]
        assert talk.buried == []


async def test_it_reports_how_long_it_stood_and_what_it_did() -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    before = value("warren_moderator_stood_seconds_count", rule="words")
    warned = value("warren_moderator_measures_total", measure="warning")
    async with dialogue() as talk:
        seq = await talk.says("ann", "darn")
        summed = value("warren_moderator_stood_seconds_sum", rule="words")
        talk.rooms.now += timedelta(seconds=90)  # the bot was away
        await talk.again(seq)
    assert value("warren_moderator_stood_seconds_count", rule="words") == before + 2
    assert value("warren_moderator_stood_seconds_sum", rule="words") - summed == pytest.approx(90)
    assert value("warren_moderator_measures_total", measure="warning") == warned + 2


async def test_what_it_remembers_of_a_busy_room_is_bounded() -> None:
    async with dialogue(seconds=3600, flood=10_000) as talk:
        for number in range(1_005):
            await talk.says(f"user{number % 50}", "hi")
        assert len(talk.memory.lookup("recent/room")) == 1_000
