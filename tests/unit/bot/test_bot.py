"""Bots without a broker: handlers, commands, keys, state, failures, bots among themselves."""

import asyncio
from datetime import date
from typing import Annotated, Literal, get_args

import pytest
from pydantic import AfterValidator, Field
from warren.bot import Bot, Invitation, Message, Refusal, Trigger, Unavailable
from warren.bot.api.definition import Policy
from warren.bot.testing import Dialogue, Rooms
from warren.contract import commands as c
from warren.contract.ids import inbox_room
from warren_persistence.domain.decide import event_of
from warren_persistence.domain.event_type import Case
from warren_persistence.domain.facts import NO_FACTS
from warren_persistence.domain.room import Room

HASTY = Policy(timeout=0.05, tries=3, first_wait=0.001, longest_wait=0.002, patience=0.05)


def echo() -> Bot:
    bot = Bot("echo")

    @bot.message()
    async def echo(message: Message) -> None:
        await message.reply(f"You said: {message.text}")

    return bot


async def test_it_answers_each_message_once_and_in_order() -> None:
    async with Dialogue(echo()) as talk:
        for text in ("one", "two"):
            await talk.says("ann", text)
        assert [await talk.answer(), await talk.answer()] == ["You said: one", "You said: two"]
        assert await talk.quiet()


async def test_a_trigger_that_is_handled_again_is_not_answered_again() -> None:
    async with Dialogue(echo()) as talk:
        seq = await talk.says("ann", "hello")
        await talk.again(seq)
        assert await talk.answer() == "You said: hello"
        assert await talk.quiet()


async def test_a_reply_names_what_it_answers() -> None:
    async with Dialogue(echo()) as talk:
        seq = await talk.says("ann", "hello")
        assert talk.rooms.logs["room"][-1]["reply_to"] == seq


def commanding() -> Bot:
    bot = Bot("helper")

    @bot.command("remind")
    async def remind(message: Message, minutes: int, about: str = "you know what") -> None:
        await message.reply(f"{minutes}: {about}")

    @bot.command("pair")
    async def pair(message: Message, one: str, other: str) -> None:
        await message.reply(f"<{one}> <{other}>")

    @bot.command("set")
    async def set_it(
        message: Message, switch: Literal["on", "off"], level: Annotated[int | None, Field(ge=1)] = 1,
        day: Annotated[date, AfterValidator(working)] = date(2026, 11, 23),
    ) -> None:  # fmt: skip
        await message.reply(f"{switch} {level} {day}")

    return bot


def working(day: date) -> date:
    if day.weekday() > 4:
        raise ValueError("nobody works at a weekend")
    return day


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("/remind 10 the tea, please", "10: the tea, please"),
        ("/remind 10", "10: you know what"),
        ("/REMIND 10", "10: you know what"),
        ('/pair "two words" three four', "<two words> <three four>"),
        ("/remind", "Usage: /remind <minutes> [about]"),
        ("/pair 'open", "A quotation mark is not closed."),
        ("/remind\n10\tthe tea,\nplease", "10: the tea,\nplease"),
        ("/remind\u00a010\u3000the tea", "10: the tea"),
        ("/pair “two words” three", "<two words> <three>"),
        ("/pair „zwei Wörter“ «deux mots»", "<zwei Wörter> <«deux mots»>"),
        ("/pair ‘two words’ 'and two'", "<two words> <'and two'>"),
        ('/pair “two words" three', "<two words> <three>"),
        ("/pair “two words three", "A quotation mark is not closed."),
        ("/pair don’t panic", "<don’t> <panic>"),
        ("/set on 2", "on 2 2026-11-23"),
        ("/set maybe", "“maybe” is not one of on, off. Usage: /set <switch> [level] [day]"),
        ("/set on high", "“high” is not a whole number. Usage: /set <switch> [level] [day]"),
        ("/set on 0", "“0” is not 1 or more. Usage: /set <switch> [level] [day]"),
        ("/set on 1 soon", "“soon” is not a day that I understand. Usage: /set <switch> [level] [day]"),
        ("/set on 1 2026-11-22", "day: nobody works at a weekend. Usage: /set <switch> [level] [day]"),
    ],
)
async def test_commands_have_arguments_with_types(said: str, answered: str) -> None:
    async with Dialogue(commanding()) as talk:
        await talk.says("ann", said)
        assert await talk.answer() == answered


async def test_a_wrong_argument_is_explained_to_the_person() -> None:
    async with Dialogue(commanding()) as talk:
        await talk.says("ann", "/remind soon")
        assert await talk.answer() == "“soon” is not a whole number. Usage: /remind <minutes> [about]"
        await talk.says("ann", f"/remind {'x' * 3_900}")
        assert await talk.answer() == f"“{'x' * 39}…” is not a whole number. Usage: /remind <minutes> [about]"
        assert talk.dead_letters == []


async def test_what_is_no_command_is_left_alone() -> None:
    async with Dialogue(commanding()) as talk:
        for text in ("remind 10", "/other", "/reminder 10", "/", "/ remind 10", "/\nremind 10"):
            await talk.says("ann", text)
        assert await talk.quiet()


async def test_handlers_are_for_types_and_rooms_also_for_types_to_come() -> None:
    bot = Bot("watcher")
    seen: list[tuple[str, str]] = []

    @bot.event("member.*", room="room")
    async def members(event: Trigger) -> None:
        seen.append((event.type, event.sender))

    @bot.joined()
    async def welcome(event: Trigger) -> None:
        await event.send(f"Welcome, {event.name}!")

    async with Dialogue(bot) as talk:
        await talk.joins("ann")
        await talk.joins("bob", room="other")
        await talk.says("ann", "hi")
        talk.rooms.add("room", {"type": "member.promoted", "sender": "ann", "name": "Ann", "key": "k", "at": "x"})
        await talk.says("ann", "and so on")
    assert seen == [("member.joined", "ann"), ("member.promoted", "ann")]
    assert [await talk.answer(), await talk.answer("other")] == ["Welcome, Ann!", "Welcome, Bob!"]


async def test_events_that_did_not_come_are_read_from_the_log() -> None:
    async with Dialogue(echo()) as talk:
        await talk.says("ann", "one")
        talk.rooms.add(
            "room", {"type": "message", "text": "lost", "sender": "bob", "name": "Bob", "key": "k", "at": "x"}
        )
        await talk.says("ann", "two")
        assert [await talk.answer() for _ in range(3)] == ["You said: one", "You said: lost", "You said: two"]


async def test_state_is_kept_with_the_place_and_only_if_the_handler_succeeds() -> None:
    bot = Bot("counter", policy=HASTY)

    @bot.message()
    async def count(message: Message) -> None:
        number = message.state.get("count", 0) + 1
        message.state.set("count", number)
        if message.text == "fail":
            raise RuntimeError("on purpose")
        await message.reply(str(number))

    async with Dialogue(bot) as talk:
        for text in ("a", "fail", "b"):
            await talk.says("ann", text)
        assert [await talk.answer(), await talk.answer()] == ["1", "2"]
        assert talk.memory.position("room").seq == len(talk.rooms.logs["room"]) - 1
        ((event, handler, reason),) = talk.dead_letters
    assert (event.text, handler, reason) == ("fail", "count", "RuntimeError('on purpose')")


async def test_a_handler_that_fails_for_a_while_is_tried_again_and_says_nothing_twice() -> None:
    bot = Bot("shaky", policy=HASTY)
    tries = 0

    @bot.message()
    async def shaky(message: Message) -> None:
        nonlocal tries
        tries += 1
        await message.reply("first")
        if tries < 3:
            raise RuntimeError("not yet")
        await message.reply("second")

    async with Dialogue(bot) as talk:
        await talk.says("ann", "go")
        assert [await talk.answer(), await talk.answer()] == ["first", "second"]
        assert await talk.quiet()
        assert talk.dead_letters == []


async def test_what_hangs_is_refused_or_unavailable_is_given_up_with_its_reason_and_the_next_is_handled() -> None:
    bot = Bot("unlucky", policy=HASTY)

    @bot.message()
    async def unlucky(message: Message) -> None:
        if message.text == "hang":
            await asyncio.Event().wait()
        if message.text == "away":
            raise Unavailable("the broker is away")
        if message.text == "refused":
            raise Refusal("forbidden", "not a member")
        await message.reply("done")

    async with Dialogue(bot) as talk:
        for text in ("hang", "away", "refused", "fine"):
            await talk.says("ann", text)
        assert await talk.answer() == "done"
        reasons = [reason for _, _, reason in talk.dead_letters]
    assert reasons == ["took longer than 0.05 s", "the broker is away", "forbidden: not a member"]


async def test_it_hears_neither_itself_nor_other_bots_unless_it_wants_to_and_never_without_end() -> None:
    deaf, curious = echo(), Bot("curious")

    @curious.message(bots=True)
    async def answer(message: Message) -> None:
        await message.send(f"To {message.sender}")

    async with Dialogue(deaf) as talk:
        await talk.says("bot.other", "hello")
        assert await talk.quiet()
    async with Dialogue(curious) as talk:
        for _ in range(20):
            await talk.says("bot.other", "hello")
        answers = 0
        while not await talk.quiet():
            answers += 1
        assert 0 < answers <= curious.policy.chatter
        await talk.says("ann", "I am real")
        assert await talk.answer() == "To ann"


async def test_a_reply_that_grows_is_shown_and_stored_once() -> None:
    bot = Bot("writer")

    @bot.message()
    async def write(message: Message) -> None:
        async with message.stream() as reply:
            for word in ("Once", " upon", " a", " time"):
                await reply.write(word)

    async with Dialogue(bot) as talk:
        await talk.says("ann", "tell me a story")
        assert await talk.answer() == "Once upon a time"
        assert await talk.quiet()
        (first, *_) = talk.rooms.shown
        assert first.type == "partial"
        assert first.key == talk.rooms.logs["room"][-1]["key"]


def test_two_handlers_of_one_name_are_refused_since_their_answers_would_share_their_keys() -> None:
    bot = echo()
    with pytest.raises(ValueError, match="echo"):
        bot.message()(bot.routes.found[0].handler)


@pytest.mark.parametrize("name", ["", "Echo", "a.b", "a" * 33, "-a"])
def test_names_are_short_and_plain(name: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Bot(name)


def concierge() -> Bot:
    bot = Bot("concierge")

    @bot.invited()
    async def come(invitation: Invitation) -> None:
        if await invitation.accept():
            await invitation.send(f"Thanks, {invitation.name}, for {invitation.title}!", invitation.of_room)

    return bot


async def test_it_goes_where_it_is_invited_once() -> None:
    bot = concierge()
    async with Dialogue(bot) as talk:
        seq = await talk.invites("ann", "den")
        await talk.again(seq, inbox_room(bot.user))
        assert [event["type"] for event in talk.rooms.logs["den"]] == ["member.joined", "message"]
        assert await talk.answer("den") == "Thanks, Ann, for Den!"


@pytest.mark.parametrize(("code", "comes"), [("exists", True), ("not_found", False), ("forbidden", False)])
async def test_an_invitation_that_was_answered_or_taken_back_is_no_failure(code: str, comes: bool) -> None:
    async with Dialogue(concierge()) as talk:
        talk.rooms.refuse = lambda command: Refusal(code, "") if isinstance(command, c.Join) else None
        await talk.invites("ann", "den")
        assert bool(talk.rooms.logs["den"]) is comes
        assert not talk.dead_letters


async def test_what_else_it_is_told_in_its_inbox_is_no_invitation() -> None:
    bot = concierge()
    inbox = inbox_room(bot.user)
    async with Dialogue(bot) as talk:
        await talk.invites("bot.other", "den")
        notice = {"what": "member.removed", "of_room": "den", "of_seq": 2, "kind": "private", "title": "Den"}
        ann = {"id": "1", "sender": "ann", "name": "Ann", "key": "k", "at": "2026-11-23T00:00:00.000Z"}
        talk.rooms.add(inbox, {"type": "notice", **ann, **notice})
        await talk.restarts()
        assert not talk.rooms.logs["den"]


@pytest.mark.parametrize("command", [kind for kind in get_args(c.AnyCommand) if kind is not c.Notify])
async def test_rooms_in_memory_know_every_command_and_what_becomes_of_it(command: type[c.AnyCommand]) -> None:
    """But for notices, which are the persistence service's alone."""
    fields = {"id": "i", "room": "a", "sender": "ann", "name": "Ann", "key": "k", "user": "bob", "text": "t"}
    said = command.model_validate({**fields, "title": "T", "kind": "public", "role": "owner", "upto": 0, "until": None})
    rooms = Rooms()
    await rooms.submit(said)
    event = event_of(Case(Room("a"), said, rooms.now, NO_FACTS))
    assert {"number": 0} | rooms.logs["a"][0] == {"number": 0} | event.model_dump(mode="json", exclude_none=True)
