"""docs/bots.md: what it shows is what there is, and works."""

import re
from pathlib import Path
from typing import Any

from warren.bot.testing import Dialogue

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "bots.md").read_text()
README = (ROOT / "README.md").read_text()


def blocks(language: str, page: str = PAGE) -> list[str]:
    """Return a page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def names() -> dict[str, Any]:
    """Return what all Python blocks define, run one after another as a reader would."""
    found: dict[str, Any] = {"__name__": "docs"}
    for block in blocks("python"):
        exec(compile(block, "docs/bots.md", "exec"), found)
    return found


async def test_the_tutorials_bot_works() -> None:
    async with Dialogue(names()["bot"]) as talk:
        await talk.joins("ann", room="general")
        await talk.says("ann", "/add 1 2", room="general")
        await talk.says("ann", "/add 1", room="general")
        answers = [await talk.answer("general") for _ in range(3)]
    assert answers == ["Welcome, Ann!", "3", "Usage: /add <one> <other>"]


async def test_the_others_work() -> None:
    found = names()
    async with Dialogue(found["counter"]) as talk:
        for _ in range(100):
            await talk.says("ann", "hello")
        assert await talk.answer() == "That was message 100."
    async with Dialogue(found["kitchen"]) as talk:
        await talk.says("ann", "/brew")
        await talk.says("ann", "/stop")
        await talk.passes(minutes=5)
        assert await talk.quiet()
    async with Dialogue(found["story"]) as talk:
        await talk.says("ann", "/story")
        assert (await talk.answer()).startswith("Once upon a time")
        assert talk.rooms.shown
    async with Dialogue(found["weather"]) as talk:
        assert [await talk.answer("general"), await talk.answer("general")] == ["Monday: sun", "Tuesday: sun"]
    await found["test_it_brews"]()
    async with Dialogue(found["keeper"]) as talk:
        (event,) = talk.rooms.logs["general"]
        assert (event["type"], event["user"], event["role"]) == ("member.role", "ann-1f2e", "owner")
    async with Dialogue(found["concierge"]) as talk:
        await talk.invites("ann", "den")
        assert await talk.answer("den") == "Thank you, Ann!"


def test_the_tutorial_is_two_commands_and_one_file() -> None:
    login, run = blocks("bash")
    assert login == "export WARREN_AMQP_URL=$(./dev bot hello --room general)\n"
    assert run == ".venv/bin/python hello.py\n"


def test_the_javascript_is_the_files_and_is_short() -> None:
    (shown,) = blocks("js")
    assert shown == (ROOT / "bots" / "examples" / "echo.mjs").read_text()
    assert len(shown.splitlines()) < 40


async def test_the_readmes_bot_answers() -> None:
    (block,) = (block for block in blocks("python", README) if "from warren.bot" in block)
    found: dict[str, Any] = {}
    exec(compile(block.removesuffix("bot.run()\n"), "README.md", "exec"), found)
    async with Dialogue(found["bot"]) as talk:
        await talk.says("ann", "hello", room="general")
        assert await talk.answer("general") == "hello"
