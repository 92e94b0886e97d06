"""Connects rooms with other systems: webhooks come in as messages, and messages go out as signed webhooks."""

from warren.bot import Bot, Voice

from bots.bridge import incoming, outgoing
from bots.bridge.config import Config, load


def bridge(config: Config) -> Bot:
    """Return the bot."""
    bot = Bot("bridge", title="Bridge", rooms=config.rooms, state=config.state)
    http = outgoing.client()
    for name, hook in config.outgoing.items():
        outgoing.forward(bot, name, hook, http)

    @bot.task
    async def hooks(voice: Voice) -> None:
        """Take in what comes, for as long as the bot works."""
        async with http:
            with incoming.listen(config.host, config.port) as listening:
                await incoming.serve(incoming.application(config.incoming, voice), listening)

    return bot


if __name__ == "__main__":
    bridge(load()).run()
