"""Reminds people: `/remind 10m tea`, "remind me in 10 minutes to drink tea", `/reminders`, `/forget 1`."""

import os
import re
from datetime import timedelta
from typing import Any

from warren.bot import Bot, Message, Timer, Trigger

ROOMS = os.environ.get("WARREN_REMIND_ROOMS", "general").split(",")
STATE = os.environ.get("WARREN_REMIND_STATE", "remind.db")
MOST = int(os.environ.get("WARREN_REMIND_MOST", "50"))
"""Reminders that one person may have in a room."""
LONGEST = timedelta(days=366)
ABOUT_LIMIT = 1_000
"""Characters of what a reminder is about: fifty of them fit into the list, cut to what is SHOWN."""
SHOWN = 50
SPAN_LIMIT = 100
"""Characters of a span of time."""
UNITS = {
    "seconds": "s sec secs second seconds",
    "minutes": "m min mins minute minutes",
    "hours": "h hr hrs hour hours",
    "days": "d day days",
    "weeks": "w week weeks",
}
USAGE = "Say how long, and of what: /remind 10m tea, /remind 1h30m the cake. Units: s, m, h, d, w."
SPOKEN = re.compile(
    r"\s*remind\s+me\s+in\s+(?P<span>(\d+|an?)\s*[a-z]+)\s+(?:to|about|of|that)\s+(?P<about>.+)",
    re.IGNORECASE | re.DOTALL,
)
_UNIT = {word: unit for unit, words in UNITS.items() for word in words.split()}
_PART = re.compile(r"(\d{1,6})\s*([a-z]+)")

bot = Bot("remind", title="Remind", rooms=ROOMS, state=STATE)


@bot.timer
async def ring(timer: Timer) -> None:
    """Say it, to whoever wanted it, as an answer to the message in which they did."""
    timer.state.delete(timer.given["key"])
    await timer.reply(f"{timer.name}: {timer.given['about']}")


@bot.command("remind")
async def remind(message: Message, span: str = "", about: str = "") -> None:
    """Set a reminder."""
    await _set(message, span, about)


@bot.message()
async def spoken(message: Message) -> None:
    """Set a reminder for who says so in plain words."""
    if found := SPOKEN.fullmatch(message.text):
        await _set(message, re.sub(r"^an?\b", "1", found["span"], flags=re.IGNORECASE), found["about"])


@bot.command("reminders")
async def reminders(message: Message) -> None:
    """List what somebody will be reminded of here."""
    found = (f"{number}. {one['due']}: {_cut(one['about'])}" for number, one in _reminders(message))
    await message.reply("\n".join(found) or "You have no reminders here.")


@bot.command("forget")
async def forget(message: Message, number: int) -> None:
    """Forget a reminder."""
    found = message.state.get(_key(message, number))
    if found is None:
        await message.reply(f"You have no reminder {number} here.")
        return
    message.cancel(found["timer"])
    message.state.delete(_key(message, number))
    await message.reply(f"Forgotten: {_cut(found['about'])}")


def duration(text: str) -> timedelta | None:
    """Return how long `10m` or `1h30m` is, or None if that says nothing."""
    text = text.strip().lower()
    if len(text) > SPAN_LIMIT:
        return None
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip() or not all(word in _UNIT for _, word in parts):
        return None
    span = sum((timedelta(**{_UNIT[word]: int(number)}) for number, word in parts), timedelta())
    return span if timedelta() < span <= LONGEST else None


async def _set(message: Message, span: str, about: str) -> None:
    wait, taken = duration(span), {number for number, _ in _reminders(message)}
    if wait is None or not about.strip() or len(about) > ABOUT_LIMIT:
        await message.reply(USAGE)
    elif len(taken) >= MOST:
        await message.reply(f"You have {MOST} reminders here already: /forget one.")
    else:
        number = next(number for number in range(1, MOST + 1) if number not in taken)
        due = message.at + wait  # its own time, not the clock's: handled again, it is the same reminder
        key, said = _key(message, number), f"{due:%Y-%m-%d %H:%M} UTC"
        timer = message.later(due, ring, {"key": key, "about": about.strip()})
        message.state.set(key, {"timer": timer, "due": said, "about": about.strip()})
        await message.reply(f"I will remind you at {said} (/forget {number}).")


def _reminders(trigger: Trigger) -> list[tuple[int, dict[str, Any]]]:
    """Return the reminders that the person has in this room, by number."""
    found = trigger.state.items(_key(trigger))
    return [(int(key.rpartition("/")[2]), value) for key, value in found]


def _key(trigger: Trigger, number: int | None = None) -> str:
    digits = "" if number is None else f"{number:04d}"
    return f"{trigger.room}/{trigger.sender}/{digits}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


if __name__ == "__main__":
    bot.run()
