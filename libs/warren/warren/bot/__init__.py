"""Bots: handlers for what happens in rooms. `docs/bots.md` begins with one that works in five minutes."""

from warren.bot.bot import Bot
from warren.bot.chat import Refusal
from warren.bot.engine import Policy
from warren.bot.event import Event
from warren.bot.trigger import Invitation, Message, Stream, Timer, Trigger
from warren.bot.voice import Voice
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
