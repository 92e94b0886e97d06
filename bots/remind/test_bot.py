"""The reminder bot: what it understands, when it speaks, and that it speaks once whatever dies."""

from datetime import timedelta
from pathlib import Path

import pytest
from warren.bot import Refusal
from warren.bot.api.state import Memory
from warren.bot.testing import Dialogue
from warren.contract import commands as c

from bots.remind.bot import MOST, USAGE, bot, duration


async def test_it_reminds_who_asked_where_they_asked_and_when() -> None:
    async with Dialogue(bot) as talk:
        seq = await talk.says("ann", "/remind 10m the tea", room="kitchen")
        due = talk.now + timedelta(minutes=10)
        assert await talk.answer("kitchen") == f"I will remind you at {due:%Y-%m-%d %H:%M} UTC (/forget 1)."
        await talk.passes(minutes=9)
        assert await talk.quiet("kitchen")
        await talk.passes(minutes=1)
        assert await talk.answer("kitchen") == "Ann: the tea"
        assert talk.rooms.logs["kitchen"][-1]["reply_to"] == seq
        await talk.passes(days=400)
        assert await talk.quiet("kitchen")
        assert await talk.quiet()


@pytest.mark.parametrize(
    ("said", "minutes", "about"),
    [
        ("remind me in 10 minutes to drink tea", 10, "drink tea"),
        ("Remind me in 2 hours about the\nmeeting", 120, "the\nmeeting"),
        ("remind me in an hour of the cake", 60, "the cake"),
        ("/remind 1h30m cake", 90, "cake"),
        ("/remind 1d birthday", 24 * 60, "birthday"),
        ('/remind "2 hours" two words', 120, "two words"),
    ],
)
async def test_it_understands_commands_and_plain_words(said: str, minutes: int, about: str) -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", said)
        await talk.answer()
        await talk.passes(minutes=minutes, seconds=-1)
        assert await talk.quiet()
        await talk.passes(seconds=1)
        assert await talk.answer() == f"Ann: {about}"


@pytest.mark.parametrize(
    "said", ["/remind", "/remind 10m", "/remind soon tea", "/remind 0m tea", "/remind 5y tea", "/remind 900000w tea"]
)
async def test_it_says_what_it_needs_to_know(said: str) -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", said)
        assert await talk.answer() == USAGE


async def test_it_keeps_out_of_what_does_not_concern_it() -> None:
    async with Dialogue(bot) as talk:
        for text in ("Did you remind me in 10 minutes to drink tea?", "remind", "/remindme 10m tea", "tea"):
            await talk.says("ann", text)
        assert await talk.quiet()


async def test_reminders_are_listed_and_forgotten_and_each_persons_and_rooms_own() -> None:
    async with Dialogue(bot) as talk:
        for user, text in (("ann", "tea"), ("ann", "cake"), ("bob", "beer")):
            await talk.says(user, f"/remind 1h {text}")
            await talk.answer()
        await talk.says("ann", "/forget 1")
        assert await talk.answer() == "Forgotten: tea"
        await talk.says("ann", "/forget 1")
        assert await talk.answer() == "You have no reminder 1 here."
        await talk.says("ann", "/forget 2", room="other")
        assert await talk.answer("other") == "You have no reminder 2 here."
        await talk.says("ann", "/reminders")
        assert (await talk.answer()).endswith("UTC: cake")
        await talk.passes(hours=1)
        assert {await talk.answer(), await talk.answer()} == {"Ann: cake", "Bob: beer"}
        await talk.says("ann", "/reminders")
        assert await talk.answer() == "You have no reminders here."


async def test_it_takes_so_many_and_no_more_and_numbers_are_used_again() -> None:
    async with Dialogue(bot) as talk:
        for _ in range(MOST):
            await talk.says("ann", "/remind 1h tea")
            await talk.answer()
        await talk.says("ann", "/remind 1h tea")
        assert "already" in await talk.answer()
        await talk.says("ann", "/forget 7")
        await talk.answer()
        await talk.says("ann", "/remind 1h tea")
        assert (await talk.answer()).endswith("(/forget 7).")


async def test_fifty_long_ones_can_be_listed() -> None:
    async with Dialogue(bot) as talk:
        for _ in range(MOST):
            await talk.says("ann", f"/remind 1h {'x' * 1_000}")
            await talk.answer()
        await talk.says("ann", "/reminders")
        assert len((await talk.answer()).splitlines()) == MOST


async def test_a_restart_costs_no_reminder_and_what_was_due_meanwhile_is_said_at_once() -> None:
    async with Dialogue(bot) as talk:
        for text in ("/remind 1h missed", "/remind 3h still to come"):
            await talk.says("ann", text)
            await talk.answer()
        talk.rooms.now += timedelta(hours=2)
        await talk.restarts()
        assert await talk.answer() == "Ann: missed"
        assert await talk.quiet()
        await talk.passes(hours=1)
        assert await talk.answer() == "Ann: still to come"


async def test_killed_at_the_moment_of_saying_it_it_has_said_it_once() -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", "/remind 10m tea")
        await talk.answer()
        await talk.passes(minutes=10)
        await talk.crashes()
        await talk.crashes()
        assert await talk.answer() == "Ann: tea"
        assert await talk.quiet()


async def test_a_redelivered_wish_is_one_reminder() -> None:
    async with Dialogue(bot) as talk:
        seq = await talk.says("ann", "/remind 10m tea")
        await talk.again(seq)
        await talk.answer()
        assert await talk.quiet()
        await talk.passes(minutes=10)
        assert await talk.answer() == "Ann: tea"
        assert await talk.quiet()


async def test_where_it_may_not_write_any_more_the_reminder_is_a_dead_letter() -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", "/remind 10m tea")
        await talk.answer()
        talk.rooms.refuse = lambda command: Refusal("forbidden", "muted") if isinstance(command, c.Send) else None
        await talk.passes(minutes=10)
        ((event, handler, reason),) = talk.dead_letters
        assert (event.sender, handler, reason) == ("ann", "ring", "forbidden: muted")
        talk.rooms.refuse = lambda _: None
        await talk.replays()
        assert await talk.answer() == "Ann: tea"


async def test_reminders_are_in_the_file(tmp_path: Path) -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", "/remind 10m tea")
        (tmp_path / "remind.db").write_bytes(talk.memory.dump())
    memory = Memory(tmp_path / "remind.db")
    ((_, found),) = memory.select("room/ann/").items()
    assert found["about"] == "tea"
    memory.close()


@pytest.mark.parametrize("text", ["", "m", "10", "10 y", "-5m", "1h tea", "99999999999m", "10 months"])
def test_what_is_no_duration(text: str) -> None:
    assert duration(text) is None
