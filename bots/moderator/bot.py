"""Keeps a room's rules: who breaks them is warned, then muted for a while, then removed. It has to be a moderator."""

import logging
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated

import re2
from prometheus_client import Counter, Histogram
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from warren.bot import Bot, Message, Refusal, Timer, Trigger
from warren.contract import commands as c
from warren.contract.bots import bot_user
from warren.contract.ids import direct_room
from warren.contract.wire import rfc3339

from bots.moderator.links import hosts_in, normal_host
from bots.moderator.words import Words

log = logging.getLogger("moderator")

_FLOOD_TABLE = 1_000
"""Messages of a room that are remembered for the flood rule, at most."""
STOOD = Histogram(
    "warren_moderator_stood_seconds", "From a message that breaks a rule until something was done about it.",
    ["rule"], buckets=(0.02, 0.05, 0.1, 0.5, 2, 10, 60, 600),
)  # fmt: skip
MEASURES = Counter("warren_moderator_measures_total", "What was done about it.", ["measure"])


def _listed(separator: str) -> BeforeValidator:
    return BeforeValidator(lambda given: tuple(filter(None, given.split(separator))) if type(given) is str else given)


def _pattern(pattern: str) -> str:
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        re2.compile(pattern, quiet)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is no regular expression of RE2: {error.args[0].decode()}") from error
    return pattern


Listed = Annotated[tuple[str, ...], NoDecode, _listed(",")]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(normal_host)], ...], NoDecode, _listed(",")]
Patterns = Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], NoDecode, _listed("\n")]


class Rules(BaseSettings):
    """What may not be said, and what becomes of who says it: `WARREN_MODERATOR_…`.

    `hosts`: where links may lead; None is anywhere. `flood`: more messages than that within `seconds` are too many.
    `warnings` come before a mute of `minutes`, and `mutes` before the removal. `forgiven`: hours after which a breach
    does not count any more. `direct`: warnings go to the person alone.
    """

    model_config = SettingsConfigDict(env_prefix="WARREN_MODERATOR_", frozen=True)

    rooms: Listed = ("general",)
    state: str = "moderator.db"
    words: Listed = ()
    patterns: Patterns = ()
    hosts: Hosts | None = None
    flood: int = Field(default=8, ge=1)
    seconds: float = Field(default=5, gt=0)
    warnings: int = Field(default=1, ge=0)
    mutes: int = Field(default=2, ge=0)
    minutes: float = Field(default=10, gt=0)
    forgiven: float = Field(default=24, gt=0)
    direct: bool = False

    def broken_by(self, text: str) -> str | None:
        """Return the rule that a text breaks."""
        if self._words.is_in(text):
            return "words"
        if any(pattern.search(text) for pattern in self._patterns):
            return "patterns"
        if self.hosts is not None and any(host not in self.hosts for host in hosts_in(text)):
            return "links"
        return None

    @cached_property
    def _words(self) -> Words:
        return Words(self.words)

    @cached_property
    def _patterns(self) -> list[re2._Regexp]:
        # RE2: what an operator writes runs over what anybody says, and takes no longer than the text is.
        return [re2.compile(pattern) for pattern in self.patterns]


SAID = {
    "words": "that word is not for this room",
    "patterns": "such messages are not for this room",
    "links": "links to other sites are not for this room",
    "flood": "not so fast, please",
}
"""What people are told, by rule."""


def moderator(rules: Rules) -> Bot:
    """Return the bot."""
    bot = Bot("moderator", title="Moderator", rooms=rules.rooms, state=rules.state)

    @bot.message()
    async def judge(message: Message) -> None:
        rule = rules.broken_by(message.text) or ("flood" if _floods(message, rules) else None)
        if rule is None:
            return
        message.later(message.at + timedelta(hours=rules.forgiven), forgive)
        try:
            measure = await _measure(message, rules, rule, _breaches(message, +1))
        except Refusal as refusal:  # an owner, another moderator, or somebody who has left
            measure = f"none: {refusal}"
        stood = (message.now - message.at).total_seconds()
        STOOD.labels(rule).observe(max(0.0, stood))
        MEASURES.labels(measure.partition(":")[0]).inc()
        where = f"{message.sender} in {message.room} at {message.seq}"
        log.info("%s broke the rule on %s; %s; it stood for %.3f s", where, rule, measure, stood)

    @bot.timer
    async def forgive(timer: Timer) -> None:
        _breaches(timer, -1)

    return bot


async def _measure(message: Message, rules: Rules, rule: str, breaches: int) -> str:
    """Do what so many breaches call for; return what it was. Raises Refusal."""
    # There is no command yet that deletes a message. When there is, it is the first thing to be done, here.
    why = SAID[rule]
    if breaches <= rules.warnings:
        await _warn(message, rules, f"{message.name}, {why}.")
        return "warning"
    if breaches <= rules.warnings + rules.mutes:
        until = message.at + timedelta(minutes=rules.minutes)
        await message.do(c.Mute, user=message.sender, until=rfc3339(until), reason=why)
        return "mute"
    await message.do(c.Remove, user=message.sender)
    return "removal"


async def _warn(message: Message, rules: Rules, text: str) -> None:
    if not rules.direct:
        await message.reply(text)
        return
    room = direct_room(bot_user("moderator"), message.sender)
    try:
        await message.do(c.CreateDirect, room, user=message.sender)
    except Refusal as refusal:
        if refusal.code != "exists":
            raise
    await message.send(text, room)


def _breaches(trigger: Trigger, change: int) -> int:
    """Count a breach, or forgive one; return how many count."""
    key = f"breaches/{trigger.room}/{trigger.sender}"
    count = max(0, int(trigger.state.get(key, 0)) + change)
    if count:
        trigger.state.set(key, count)
    else:
        trigger.state.delete(key)
    return count


def _floods(message: Message, rules: Rules) -> bool:
    """Whether somebody says too much at once, by the times of the messages: a replay judges as it was judged then."""
    key, since = f"recent/{message.room}", message.at - timedelta(seconds=rules.seconds)
    recent: list[list[str]] = [one for one in message.state.get(key, []) if datetime.fromisoformat(one[1]) > since]
    recent.append([message.sender, message.at.isoformat()])
    floods = sum(user == message.sender for user, _ in recent) > rules.flood
    if floods:  # the count begins anew: who is told to be slower gets to read it
        recent = [one for one in recent if one[0] != message.sender]
    message.state.set(key, recent[-_FLOOD_TABLE:])
    return floods


if __name__ == "__main__":
    moderator(Rules()).run()
