"""Outgoing webhooks: what is said in a room is posted to a URL, signed, in order, and tried again until it is taken.

Of each hook and room there is a queue in the bot's state. Its first message is being posted: a timer says when next.
Whoever receives it may get it twice (the bot was killed before it took note of the answer), and knows it by its id.
"""

import asyncio
import hashlib
import hmac
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from pydantic_core import to_json
from warren.bot import Bot, Event, Timer, Trigger

from bots.bridge.config import Outgoing

WAITING_LIMIT = 1_000
"""Messages that wait for one hook in one room; what comes then is a dead letter."""
ANSWER_WITHIN = 10.0
"""Seconds for a POST."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 3600.0
"""Seconds until the second try, doubling to an hour: 18 tries take about seven hours."""


@dataclass(slots=True)
class Queue:
    """The messages that wait, by seq, how often the first of them was tried, and the timer of its next try."""

    waiting: list[int] = field(default_factory=list)
    tries: int = 0
    timer: str = ""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the `Warren-Signature` of a body: HMAC-SHA256 over `<timestamp>.<body>`, and the timestamp."""
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hex()
    return f"t={timestamp},v1={digest}"


def client() -> httpx.AsyncClient:
    """Return what posts. It follows no redirects: a hook leads where the operator has said, and nowhere else."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=ANSWER_WITHIN)


def forward(bot: Bot, name: str, hook: Outgoing, http: httpx.AsyncClient) -> None:
    """Have the bot post what is said in the hook's rooms. Dead letters name the hook: `to_<name>`."""

    async def enqueue(event: Trigger) -> None:
        if event.sender == bot.user:
            return  # came in through another hook: two bridges would never end
        queue = _load(event, name)
        if len(queue.waiting) >= WAITING_LIMIT:
            await event.give_up(f"{WAITING_LIMIT} messages wait already")
            return
        event.state.set(_message_key(event, name, event.seq), event.data)
        queue.waiting.append(event.seq)
        if not event.pending(queue.timer):
            queue.timer = event.later(event.now, deliver)
        _save(event, name, queue)

    async def deliver(timer: Timer) -> None:
        queue = _load(timer, name)
        if not queue.waiting:
            return
        key = _message_key(timer, name, queue.waiting[0])
        message = Event(timer.room, timer.state.get(key))
        failure = await _post(http, name, hook, message, int(timer.now.timestamp()))
        queue.tries += 1
        if failure and queue.tries < hook.tries:
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (queue.tries - 1))
        else:
            if failure:
                await timer.give_up(f"tried {queue.tries} times; last: {failure}", message)
            timer.state.delete(key)
            queue.waiting.pop(0)
            queue.tries, wait = 0, 0.0
        if queue.waiting:
            queue.timer = timer.later(timer.now + timedelta(seconds=wait), deliver)
        _save(timer, name, queue)

    enqueue.__name__ = deliver.__name__ = f"to_{name}"  # sent again by the operator, a dead letter is put in the queue
    bot.event("message", room=hook.rooms, record=True)(enqueue)
    bot.timer(deliver)


async def _post(http: httpx.AsyncClient, name: str, hook: Outgoing, message: Event, timestamp: int) -> str | None:
    """Post a message; return what went wrong, if anything did."""
    delivery = f"{name}/{message.room}/{message.seq}"
    body = to_json({"delivery": delivery, "room": message.room, "event": message.data})
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "warren-bridge",
        "Warren-Delivery": delivery,
        "Warren-Signature": signature(hook.secret.get_secret_value(), timestamp, body),
    }
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN),
            http.stream("POST", str(hook.url), content=body, headers=headers) as response,
        ):
            return None if response.is_success else f"HTTP {response.status_code}"
    except TimeoutError:
        return f"no answer within {ANSWER_WITHIN:g} s"
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"


def _message_key(trigger: Trigger, name: str, seq: int) -> str:
    return f"out/{name}/{trigger.room}/{seq}"


def _load(trigger: Trigger, name: str) -> Queue:
    found: dict[str, Any] = trigger.state.get(f"queue/{name}/{trigger.room}", {})
    return Queue(**found)


def _save(trigger: Trigger, name: str, queue: Queue) -> None:
    key = f"queue/{name}/{trigger.room}"
    if queue.waiting:
        trigger.state.set(key, asdict(queue))
    else:
        trigger.state.delete(key)
