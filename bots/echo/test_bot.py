"""The echo bot, in a scripted dialogue."""

from warren.bot.testing import Dialogue

from bots.echo.bot import bot


async def test_it_says_again_what_it_was_told() -> None:
    async with Dialogue(bot) as talk:
        first = await talk.says("ann", "hello")
        await talk.says("bob", "hi")
        assert [await talk.answer(), await talk.answer()] == ["hello", "hi"]
        assert talk.rooms.logs["room"][1]["reply_to"] == first


async def test_it_answers_a_redelivered_message_once() -> None:
    async with Dialogue(bot) as talk:
        seq = await talk.says("ann", "hello")
        await talk.again(seq)
        await talk.crashes()
        assert await talk.answer() == "hello"
        assert await talk.quiet()


async def test_the_longest_message_fits() -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", "x" * 4_000)
        assert await talk.answer() == "x" * 4_000


async def test_it_does_not_talk_to_bots() -> None:
    async with Dialogue(bot) as talk:
        await talk.says("bot.other", "hello")
        await talk.joins("ann")
        assert await talk.quiet()
