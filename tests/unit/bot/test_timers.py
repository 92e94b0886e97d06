"""What bots do later: timers that outlast the process, and say once what they say."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from warren.bot import Bot, Message, Policy, Timer, Unavailable, Voice
from warren.bot.api.event import Event
from warren.bot.api.state import Change, Memory
from warren.bot.api.timers import DueTimer, key_of, next_due, overdue, timer_id, value_of
from warren.bot.logs import Lines
from warren.bot.runtime.engine import Engine
from warren.bot.runtime.scheduler import Scheduler
from warren.bot.runtime.worker_pool import WorkerPool
from warren.bot.testing import Dialogue, Rooms

HASTY = Policy(tries=2, first_wait=0.001, longest_wait=0.002)
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def later(**options: Any) -> Bot:
    """A bot that says again later what it was told, and forgets it when it is told to."""
    bot = Bot("later", policy=HASTY, **options)

    @bot.timer
    async def ring(timer: Timer) -> None:
        if timer.text == "/in 1 trouble":
            raise RuntimeError("on purpose")
        timer.state.set("rung", timer.state.get("rung", 0) + 1)
        await timer.reply(f"{timer.given}: {timer.text}")

    @bot.command("in")
    async def set_timer(message: Message, minutes: int, _about: str) -> None:
        message.state.set("last", message.later(message.at + timedelta(minutes=minutes), ring, given=minutes))

    @bot.command("forget")
    async def forget(message: Message) -> None:
        await message.reply(str(message.cancel(message.state.get("last"))))

    return bot


async def test_a_timer_is_called_when_it_is_due_and_answers_what_set_it() -> None:
    async with Dialogue(later()) as talk:
        seq = await talk.says("ann", "/in 10 tea")
        await talk.passes(minutes=9)
        assert await talk.quiet()
        await talk.passes(minutes=1)
        assert await talk.answer() == "10: /in 10 tea"
        assert talk.rooms.logs["room"][-1]["reply_to"] == seq
        await talk.passes(days=1)
        assert await talk.quiet()


async def test_timers_are_called_in_the_order_in_which_they_are_due() -> None:
    async with Dialogue(later()) as talk:
        for text in ("/in 3 third", "/in 1 first", "/in 2 second", "/in 2 as well"):
            await talk.says("ann", text)
        await talk.passes(minutes=5)
        answers = [await talk.answer() for _ in range(4)]
    assert answers[0] == "1: /in 1 first"
    assert set(answers[1:3]) == {"2: /in 2 second", "2: /in 2 as well"}
    assert answers[3] == "3: /in 3 third"


async def test_what_was_due_while_it_was_away_is_done_when_it_is_back() -> None:
    async with Dialogue(later()) as talk:
        await talk.says("ann", "/in 10 tea")
        talk.rooms.now += timedelta(hours=5)
        await talk.restarts()
        assert await talk.answer() == "10: /in 10 tea"
        assert await talk.quiet()


async def test_a_bot_killed_at_the_moment_of_saying_it_has_said_it_once() -> None:
    async with Dialogue(later()) as talk:
        await talk.says("ann", "/in 10 tea")
        await talk.passes(minutes=10)
        for _ in range(3):
            await talk.crashes()
        assert await talk.answer() == "10: /in 10 tea"
        assert await talk.quiet()
        assert talk.memory.lookup("rung") == 1
        assert overdue(talk.memory, talk.now) == []


async def test_a_bot_killed_while_setting_one_has_set_it_once() -> None:
    async with Dialogue(later()) as talk:
        seq = await talk.says("ann", "/in 10 tea")
        await talk.again(seq)
        await talk.crashes()
        await talk.passes(minutes=10)
        assert await talk.answer() == "10: /in 10 tea"
        assert await talk.quiet()


async def test_a_timer_can_be_forgotten() -> None:
    async with Dialogue(later()) as talk:
        await talk.says("ann", "/in 10 tea")
        await talk.says("ann", "/forget")
        await talk.says("ann", "/forget")
        await talk.passes(minutes=10)
        assert [await talk.answer(), await talk.answer()] == ["True", "False"]
        assert await talk.quiet()


async def test_one_that_fails_is_a_dead_letter_and_rings_again_when_it_is_sent_again() -> None:
    async with Dialogue(later()) as talk:
        await talk.says("ann", "/in 1 trouble")
        await talk.passes(minutes=1)
        ((event, handler, reason),) = talk.dead_letters
        assert (event.text, handler, reason) == ("/in 1 trouble", "ring", "RuntimeError('on purpose')")
        assert overdue(talk.memory, talk.now) == []
        event.data["text"] = "no trouble"
        await talk.replays()
        assert await talk.answer() == "1: no trouble"


async def test_one_whose_handler_is_gone_is_a_dead_letter() -> None:
    async with Dialogue(later()) as talk:
        await talk.says("ann", "/in 1 tea")
        talk.bot.timers.found.clear()
        await talk.passes(minutes=1)
        ((_, handler, reason),) = talk.dead_letters
    assert (handler, reason) == ("ring", "there is no timer handler of this name")


async def test_timers_are_no_values_of_the_bot() -> None:
    async with Dialogue(later()) as talk:
        await talk.says("ann", "/in 1 tea")
        assert [key for key, _ in Change(talk.memory).items()] == ["last"]


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        timer_id(datetime(2026, 11, 23), "x")  # noqa: DTZ001


def test_timers_are_kept_in_the_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state.db")
    due = put(memory, NOW + timedelta(minutes=1))
    memory.close()
    memory = Memory(tmp_path / "state.db")
    assert overdue(memory, NOW) == []
    assert next_due(memory, NOW) == due
    assert overdue(memory, due.due) == [due]
    assert next_due(memory, due.due) is None
    memory.close()


def put(memory: Memory, moment: datetime, room: str = "room", text: str = "x") -> DueTimer:
    data = {"type": "message", "seq": 1, "sender": "ann", "name": "Ann", "text": text}
    due = DueTimer(room, data, timer_id(moment, f"{room}{text}"), "ring", 1)
    memory.keep({key_of(due.id): value_of(due)})
    return due


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - state in memory has no event
            await asyncio.sleep(0.001)


async def alarming(bot: Bot, memory: Memory, rooms: Rooms, act: Callable[[Engine], Awaitable[None]]) -> None:
    """Run an alarm as the process does, on a clock that the test moves."""

    async def dead_letter(event: Event, handler: str, reason: str) -> None:
        raise AssertionError((event, handler, reason))

    engine, pool = Engine(bot, rooms, memory, dead_letter), WorkerPool(8)
    alarm = asyncio.create_task(Scheduler(engine, memory, pool, lambda: rooms.now).run())
    try:
        await act(engine)
    finally:
        alarm.cancel()
        await asyncio.gather(alarm, return_exceptions=True)
        await pool.stop(1)
        pool.failed.cancel()
        memory.close()


def said(rooms: Rooms, room: str = "room") -> list[str]:
    return [event["text"] for event in rooms.logs[room]]


async def test_the_alarm_rings_what_is_overdue_at_the_start_and_what_is_set_later_when_it_is_due() -> None:
    memory, rooms = Memory(), Rooms()
    put(memory, rooms.now - timedelta(hours=1), text="old")
    put(memory, rooms.now + timedelta(minutes=1), text="new")

    async def act(engine: Engine) -> None:
        await until(lambda: said(rooms) == ["1: old"])
        rooms.now += timedelta(minutes=1)
        engine.timers.set()
        await until(lambda: said(rooms) == ["1: old", "1: new"])

    await alarming(later(), memory, rooms, act)


async def test_a_timer_that_is_being_rung_is_not_rung_again_and_delays_no_other_room() -> None:
    memory, rooms, going_on = Memory(), Rooms(), asyncio.Event()
    bot, rung = Bot("slow"), []

    @bot.timer
    async def ring(timer: Timer) -> None:
        rung.append(timer.room)
        if timer.room == "slow":
            await going_on.wait()

    put(memory, rooms.now, "slow")

    async def act(engine: Engine) -> None:
        await until(lambda: rung == ["slow"])
        put(memory, rooms.now, "fast")
        engine.timers.set()
        await until(lambda: rung == ["slow", "fast"])
        going_on.set()
        await until(lambda: overdue(memory, rooms.now) == [])
        assert rung == ["slow", "fast"]

    await alarming(bot, memory, rooms, act)


async def test_a_task_speaks_of_its_own_accord_and_once_for_each_key() -> None:
    bot, heard = Bot("ticker", title="Ticker"), asyncio.Queue[tuple[str, str]]()

    @bot.task
    async def tick(voice: Voice) -> None:
        while True:
            text, key = await heard.get()
            await voice.send("room", text, key)
            heard.task_done()

    async with Dialogue(bot) as talk:
        for one in (("a", "1"), ("a", "1"), ("b", "2")):
            heard.put_nowait(one)
        await heard.join()
        assert [await talk.answer(), await talk.answer()] == ["a", "b"]
        assert await talk.quiet()
        assert talk.rooms.logs["room"][0]["name"] == "Ticker"


async def test_a_task_that_fails_is_not_passed_over() -> None:
    bot = Bot("ticker")

    @bot.task
    async def tick(_: Voice) -> None:
        raise Unavailable("the world is away")

    with pytest.raises(Unavailable, match="world"):
        async with Dialogue(bot) as talk:
            await talk.says("ann", "hello")


async def test_it_reads_what_was_said_before_and_what_a_message_answers() -> None:
    bot, found = Bot("reader"), []

    @bot.message()
    async def read(message: Message) -> None:
        answered = await message.answered()
        found.append(([one.text for one in await message.before(2)], answered and answered.text))

    async with Dialogue(bot) as talk:
        first = await talk.says("ann", "one")
        await talk.joins("bob")
        await talk.says("bob", "two")
        await talk.says("bob", "three", reply_to=first)
    assert found == [([], None), (["one"], None), (["one", "two"], "one")]


def test_the_log_says_what_a_line_is_about() -> None:
    record = logging.makeLogRecord({"levelname": "WARNING", "msg": "given %s", "args": ("up",), "room": "a", "seq": 7})
    assert Lines().format(record) == "WARNING given up room=a seq=7"
