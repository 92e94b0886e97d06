"""Bots as people see them."""

import asyncio

from harness.stack import Stack
from playwright.async_api import expect
from warren.bot import Bot, Message
from warren.bot.runtime.runner import Runner
from warren_local.bots import give
from warren_local.rabbitmq import RabbitMQ

from e2e.conftest import WATCHER, Meet


async def test_a_reply_is_seen_as_it_grows_and_once_when_it_is_stored(meet: Meet, stack: Stack) -> None:
    (ana,), room = await meet("Ana Ruiz")
    told = asyncio.Event()
    assert isinstance(stack.rabbitmq, RabbitMQ)
    url = await asyncio.to_thread(give, stack.home, stack.rabbitmq, "writer", [room])
    bot = Bot("writer", title="The writer", rooms=[room])

    @bot.message()
    async def write(message: Message) -> None:
        async with message.stream() as reply:
            await reply.write("Once upon a time")
            await told.wait()
            await reply.write(" there was a rabbit.")

    runner = Runner(bot, url)
    working = asyncio.create_task(runner.run())
    try:
        await ana.say("Tell me a story")
        said = ana.page.locator(f'[data-testid=message][data-sender="{bot.user}"]')
        await expect(said).to_have_attribute("data-state", "pending")
        await expect(said.get_by_test_id("text")).to_have_text("Once upon a time")
        told.set()
        await expect(said).to_have_attribute("data-state", "stored")
        await expect(said.get_by_test_id("text")).to_have_text("Once upon a time there was a rabbit.")
    finally:
        runner.stop()
        await working


async def test_members_are_told_who_reads_their_room_without_being_in_it(meet: Meet) -> None:
    (ana,), _ = await meet("Ana Ruiz", kind="private")
    panel = await ana.show_panel()
    sentence = f"Whoever runs this server lets bot.{WATCHER} read every room, this one too."
    await expect(panel.get_by_test_id("watched")).to_have_text(sentence)
