"""The moderator: what breaks which rule, what is done about it, and what is forgiven."""

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
        # Links: where a browser goes.
        (r"https://evil.example\@warren.example/", "links"),
        (r"https:\\evil.example", "links"),
        ("https:///evil.example", "links"),
        ("https://warren.example,.evil.example", "links"),
        ("https://warren.example，.evil.example", "links"),
        ("https://warren.example,@evil", "links"),
        ("https://evil。example", "links"),
        ("http://[::1]/", "links"),
        ("https://warren.example:pw@evil.example", "links"),
        ("**https://evil.example**", "links"),
        ("https://wаrren.example", "links"),  # Cyrillic а
        ("https://warren.example.", None),
        ("see https://warren.example, ok", None),
        ("(http://warren.example)", None),
        ("_https://warren.example_ **https://warren.example** `https://warren.example`", None),
        ("見て https://warren.example。", None),
        ("https://warren.example，好的", None),
        ("https://WARREN.example/?a=(b)!", None),
        ("https://war%72en.example:443/", None),
        ("https://warren。example", None),
        ("https://user@warren.example", None),
        ("https://... http://", None),
    ],
)
def test_what_breaks_which_rule(said: str, rule: str | None) -> None:
    rules = Rules(words=("darn",), hosts=("warren.example",), patterns=(r"\d{3}-\d{4}",))
    assert rules.broken_by(said) == rule


@pytest.mark.parametrize("host", ["bücher.example", "XN--BCHER-KVA.example", "bücher.example."])
def test_hosts_are_the_same_however_they_are_written(host: str) -> None:
    rules = Rules(hosts=(host, "::1"))
    assert rules.broken_by("https://Bücher.example/x http://[0:0::1]:80") is None


@pytest.mark.parametrize("host", ["a/b", "user@a", "a:80", "a b", "[::x]"])
def test_what_is_no_host_is_refused_at_the_start(host: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        Rules(hosts=(host,))


@pytest.mark.parametrize(
    ("words", "said", "found"),
    [
        ("死ね", "お前は死ねと言った", True),
        ("バカ", "バカヤロー", True),
        ("바보", "바보야", True),
        ("ไอ้บ้า", "เขาเป็นไอ้บ้านะ", True),
        ("c++", "I write c++.", True),
        ("c++", "C++17 is out", True),
        ("c++", "abc++", False),
        ("@everyone", "hey @everyone!", True),
        ("@everyone", "hey@everyone", True),
        ("@everyone", "@everyones", False),
        (":(", "no :( no", True),
        ("darn", "DARN", True),
        ("darn", "_darn_", True),
        ("darn", "ｄａｒｎ", True),
        ("darn", "d\u200ba\u00adrn", True),
        ("darn", "dàrn", True),
        ("darn", "da\u0301rn", True),
        ("darn", "このdarnだ", True),
        ("darn", "darning", False),
        ("darn", "edarn", False),
        ("darn", "darn1", False),
        ("año", "un ano", False),
        ("año", "un AÑO", True),
        ("año", "un an\u0303o", True),
        ("straße", "STRASSE", True),
        ("İt", "i̇t", True),
        ("ハゲ", "ハケ", False),
        ("a.b", "axb", False),
    ],
)
def test_words_are_found_however_they_are_written_and_not_within_others(words: str, said: str, found: bool) -> None:
    assert (Rules(words=(words,)).broken_by(said) == "words") is found


def test_a_pattern_that_would_take_for_ever_elsewhere_takes_as_long_as_the_text() -> None:
    assert Rules(patterns=("(a|aa)+$",)).broken_by("a" * 4_000 + "!") is None


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
    assert rules.patterns == ("a{2}", "b,c")
    assert (rules.broken_by("caab"), rules.broken_by("b,c"), rules.broken_by("ab")) == ("patterns", "patterns", None)
    for wrong in ("(", r"(?=a)b", r"(a)\1"):
        monkeypatch.setenv("WARREN_MODERATOR_PATTERNS", wrong)
        with pytest.raises(ValueError, match="is no regular expression of RE2"):
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
        assert talk.dead_letters == []


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
