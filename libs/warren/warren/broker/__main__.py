"""What an operator does to the broker: `warren declare`, `definitions`, `bot`, `dead`."""

import argparse
import asyncio
import json
import logging
import os
import re
import secrets
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from warren.broker import definitions
from warren.broker.bots import bot_definitions, declare_bot, remove_bot
from warren.broker.dead_letters import DeadLetter, DeadLetters, open_dead_letters
from warren.broker.declare import NotDeclared, declare
from warren.broker.errors import Unavailable
from warren.broker.management import delete_user, import_definitions
from warren.contract.bots import ANY_ROOM, bot_name, bot_user
from warren.contract.ids import ROOM_PATTERN
from warren.contract.nodes import host_of, node_urls
from warren.contract.users import BROKER_USERS

Result = TypeVar("Result")
SHOWN = 60
"""Characters of a reason in a list."""


def main() -> int:
    """Do what the command line says; the exit code."""
    given = _parser().parse_args()
    logging.disable()  # what fails is said once, at the end
    try:
        found: int = given.act(given)
    except (NotDeclared, Unavailable, LookupError) as error:
        return _failed(str(error))
    finally:
        logging.disable(logging.NOTSET)
    return found


def _parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="warren", description="Prepares RabbitMQ for Warren, and looks after it.")
    add = root.add_subparsers(required=True, metavar="COMMAND").add_parser
    made = add("declare", help="make the exchanges and queues; may be repeated")
    made.add_argument("url", nargs="?", metavar="URL", help="the broker, as operator (WARREN_AMQP_URL)")
    made.set_defaults(act=_declare)
    shown = add("definitions", help="print users and rights; passwords from WARREN_OPERATOR_PASSWORD and its like")
    shown.add_argument("--template", action="store_true", help="leave the passwords to be filled in")
    shown.set_defaults(act=_definitions)
    bot = add("bot", help="make a bot's queues, and print the definitions of its login, to be imported, or import them")
    bot.add_argument("name", type=_bot_name)
    bot.add_argument(
        "--room",
        action="append",
        default=[],
        type=_room,
        help=f"a public room that it hears without being a member; {ANY_ROOM} is all public rooms",
    )
    bot.add_argument("--management", metavar="URL", help="import them there: RabbitMQ's management API, http://…:15672")
    bot.add_argument("--remove", action="store_true", help="delete its queues with what is in them, and its login")
    bot.set_defaults(act=_bot)
    dead = add("dead", help="dead letters: list, show, replay, drop")
    dead.add_argument("what", choices=["list", "show", "replay", "drop"])
    dead.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="which, as listed; without any, all")
    dead.add_argument("--bot", type=_bot_name, help="those of this bot, instead of those of the writers")
    dead.set_defaults(act=_dead)
    return root


def _bot_name(given: str) -> str:
    if bot_name(bot_user(given)) is None:
        raise argparse.ArgumentTypeError(f"{given!r} is no bot's name: small letters, digits and -, 32 at most")
    return given


def _room(given: str) -> str:
    if given != ANY_ROOM and not re.fullmatch(ROOM_PATTERN, given):
        raise argparse.ArgumentTypeError(f"{given!r} is no room's id: small letters, digits, - and _, 64 at most")
    return given


def _declare(given: argparse.Namespace) -> int:
    url = _operator_url(given.url)
    _run(url, declare(url))
    print(f"The topology at {_where(url)} is complete.")
    return 0


def _definitions(given: argparse.Namespace) -> int:
    variables = {user.name: definitions.password_variable(user.name) for user in BROKER_USERS}
    if not given.template and (unset := [name for name in variables.values() if not os.environ.get(name)]):
        return _failed(f"set {', '.join(unset)}")
    passwords = {user: os.environ.get(name, "") for user, name in variables.items()}
    found = definitions.template() if given.template else definitions.definitions(passwords)
    print(json.dumps(found, indent=2))
    return 0


def _remove(given: argparse.Namespace) -> int:
    url, user = _operator_url(None), bot_user(given.name)
    if given.management:  # before its queues, or it would find them gone and say so for ever
        delete_user(given.management, url, user)
    _run(url, remove_bot(url, given.name))
    login = "" if given.management else f" Its login goes with `rabbitmqctl delete_user {user}`."
    print(f"The queues of {user} are gone.{login}")
    return 0


def _bot(given: argparse.Namespace) -> int:
    if given.remove:
        return _remove(given)
    url, password = _operator_url(None), os.environ.get("WARREN_BOT_PASSWORD") or secrets.token_urlsafe(24)
    _run(url, declare_bot(url, given.name, given.room))
    found = bot_definitions(given.name, password)
    said = "" if os.environ.get("WARREN_BOT_PASSWORD") else f" with the password {password}"
    if given.management:
        import_definitions(given.management, url, found)
        print(f"{bot_user(given.name)} can log in{said}.", file=sys.stderr)
        return 0
    print(json.dumps(found, indent=2))
    print(f"{bot_user(given.name)} logs in{said} once the definitions are imported.", file=sys.stderr)
    return 0


def _dead(given: argparse.Namespace) -> int:
    url = _operator_url(None)
    return _run(url, _handle_dead_letters(url, given.bot, given.what, given.numbers))


async def _handle_dead_letters(url: str, bot: str | None, what: str, numbers: list[int]) -> int:
    async with open_dead_letters(url, bot) as letters:
        for letter in letters.select(numbers):
            await _handle_dead_letter(letters, letter, what)
        if what == "list" and not letters.found:
            print("There are no dead letters.")
    return 0


async def _handle_dead_letter(letters: DeadLetters, letter: DeadLetter, what: str) -> None:
    match what:
        case "list":
            reason = letter.header("reason")[:SHOWN]
            print(f"{letter.number:5}  {letter.header('at')}  {letter.header('source')}  {reason}")
        case "show":
            headers = {name: letter.header(name) for name in ("at", "source", "replica", "publisher", "reason")}
            print(json.dumps({"number": letter.number, **headers}, indent=2))
            print(letter.message.body.decode("utf-8", "backslashreplace"))
        case "replay":
            await letters.replay(letter)
            print(f"Dead letter {letter.number} is published again.")
        case "drop":
            await letters.drop(letter)
            print(f"Dead letter {letter.number} is dropped.")


def _operator_url(given: str | None) -> str:
    url = given or os.environ.get("WARREN_AMQP_URL", "")
    if not url:
        raise NotDeclared("name the broker, as its operator: set WARREN_AMQP_URL")
    try:
        node_urls(url)
    except ValueError as error:
        raise NotDeclared(f"WARREN_AMQP_URL {error}") from error
    return url


def _run(url: str, work: "Coroutine[Any, Any, Result]") -> "Result":
    try:
        return asyncio.run(work)
    except NotDeclared as error:
        raise NotDeclared(f"the topology at {_where(url)} is not as it should be: {error}") from error
    except Unavailable as error:
        raise Unavailable(f"the broker at {_where(url)} is not to be had: {error}") from error


def _where(url: str) -> str:
    return ", ".join(map(host_of, node_urls(url)))  # never the URL itself, which holds the password


def _failed(why: str) -> int:
    print(f"warren: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
