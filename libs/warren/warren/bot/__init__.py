"""Bots: handlers for what happens in rooms. `docs/bots.md` begins with one that works in five minutes."""

from warren.bot.api.chat import Refusal
from warren.bot.api.definition import Policy
from warren.bot.api.event import Event
from warren.bot.api.trigger import Invitation, Message, Stream, Timer, Trigger
from warren.bot.api.voice import Voice
from warren.bot.bot import Bot
from warren.broker.errors import Unavailable

__all__ = [
    "Bot",
    "Event",
    "Invitation",
    "Message",
    "Policy",
    "Refusal",
    "Stream",
    "Timer",
    "Trigger",
    "Unavailable",
    "Voice",
]
