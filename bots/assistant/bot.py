"""Answers whoever mentions it or replies to it, with a language model, and shows the answer as it grows."""

import asyncio
import logging
import re
from contextlib import aclosing

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from warren.bot import Bot, Event, Message, Policy, Stream, Voice

from bots.assistant.model import Model, ModelError

log = logging.getLogger("assistant")

SORRY = "Sorry, I cannot answer at the moment. Please ask me again later."
BROKE_OFF = "\n\n(Sorry, here the answer broke off.)"
CONTEXT_LIMIT = 24_000
"""Characters of the conversation that the model is shown, the newest messages first."""


class Settings(BaseSettings):
    """`WARREN_ASSISTANT_…`. `rooms`: separated by commas. `url` ends where `/chat/completions` begins.

    `context`: messages that the model is shown. `silence`: seconds to an answer's next piece; `patience`: to its end.
    """

    model_config = SettingsConfigDict(env_prefix="WARREN_ASSISTANT_", frozen=True)

    rooms: str = "general"
    url: str = "http://127.0.0.1:11434/v1"
    model: str = "llama3.2"
    key: SecretStr = SecretStr("")
    prompt: str = "You are the assistant of a chat room. Answer briefly, in the language of the question."
    context: int = Field(default=20, ge=0, le=200)
    tokens: int = Field(default=1_000, ge=1)
    silence: float = Field(default=30, gt=0)
    patience: float = Field(default=120, gt=0)


def assistant(settings: Settings) -> Bot:
    """Return the bot."""
    # Its own patience ends before the library's, so that people hear of it.
    bot = Bot(
        "assistant", title="Assistant", rooms=settings.rooms.split(","), policy=Policy(timeout=settings.patience + 30)
    )
    model = Model(settings.url, settings.model, settings.key.get_secret_value(), settings.silence, settings.tokens)
    mention = mention_of(bot)

    @bot.message()
    async def answer(message: Message) -> None:
        if not (mention.search(message.text) or await _is_for(bot, message)):
            return
        said = [*await message.before(settings.context), message]
        async with message.stream() as reply:
            await _write(reply, model, conversation(bot, settings.prompt, said), settings.patience)

    @bot.task
    async def model_is_closed(_: Voice) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await model.close()

    return bot


def mention_of(bot: Bot) -> re.Pattern[str]:
    """Return what a text has in it that mentions the bot."""
    return re.compile(rf"(?<!\w)@({re.escape(bot.user)}|{bot.name})(?![\w-])", re.IGNORECASE)


def conversation(bot: Bot, prompt: str, said: list[Event]) -> list[dict[str, str]]:
    """Return what the model is shown: the room's last messages, and who said each. The last one always."""
    found: list[dict[str, str]] = []
    left = CONTEXT_LIMIT
    for event in reversed(said):
        mine = event.sender == bot.user
        text = event.text if mine else f"{event.name}: {event.text}"
        left -= len(text)
        if found and left < 0:
            break
        found.append({"role": "assistant" if mine else "user", "content": text})
    return [{"role": "system", "content": prompt}, *reversed(found)]


async def _is_for(bot: Bot, message: Message) -> bool:
    answered = await message.answered()
    return answered is not None and answered.sender == bot.user


async def _write(reply: Stream, model: Model, messages: list[dict[str, str]], patience: float) -> None:
    """Write the model's answer. What goes wrong is said politely, and is in the log."""
    wrote = False
    try:
        async with asyncio.timeout(patience), aclosing(model.answer(messages)) as pieces:
            async for piece in pieces:
                await reply.write(piece)
                wrote = wrote or bool(piece.strip())
                if reply.full:
                    return
    except (ModelError, TimeoutError) as error:
        log.warning("no answer: %s", error or "it took too long")
        await reply.write(BROKE_OFF if wrote else SORRY)
        return
    if not wrote:
        await reply.write(SORRY)


if __name__ == "__main__":
    assistant(Settings()).run()
