"""Says again what it was told: the smallest bot there is."""

import os

from warren.bot import Bot, Message

bot = Bot("echo", title="Echo", rooms=os.environ.get("WARREN_ECHO_ROOMS", "general").split(","))


@bot.message()
async def echo(message: Message) -> None:
    """Answer every message with its own text."""
    await message.reply(message.text)


if __name__ == "__main__":
    bot.run()
