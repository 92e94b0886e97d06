"""What an operator does to the broker: `python -m warren.broker declare` and `python -m warren.broker definitions`."""

import argparse
import asyncio
import json
import logging
import os
import sys
from urllib.parse import urlsplit

from warren.broker import definitions
from warren.broker.declare import NotDeclared, declare
from warren.broker.errors import Unavailable
from warren.contract.users import BROKER_USERS


def main() -> int:
    """Do what the command line says; the exit code."""
    logging.disable()  # what fails is said once, at the end
    root = argparse.ArgumentParser(prog="python -m warren.broker", description="Prepares RabbitMQ for Warren.")
    add = root.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser
    made = add("declare", help="make the exchanges and queues; may be repeated")
    made.add_argument("url", nargs="?", metavar="URL", help="the broker, as operator (WARREN_AMQP_URL)")
    shown = add("definitions", help="print users and rights; passwords from WARREN_OPERATOR_PASSWORD and its like")
    shown.add_argument("--template", action="store_true", help="leave the passwords to be filled in")
    given = root.parse_args()
    if given.command == "declare":
        return _declare(given.url or os.environ.get("WARREN_AMQP_URL", ""))
    return _definitions(template=given.template)


def _declare(url: str) -> int:
    if not url:
        return _failed("name the broker: declare URL, or set WARREN_AMQP_URL")
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 5672}"  # never the URL itself, which holds the password
    try:
        asyncio.run(declare(url))
    except NotDeclared as error:
        return _failed(f"the topology at {where} is not as it should be: {error}")
    except Unavailable as error:
        return _failed(f"the broker at {where} is not to be had: {error}")
    print(f"The topology at {where} is complete.")
    return 0


def _definitions(*, template: bool) -> int:
    variables = {user.name: definitions.password_variable(user.name) for user in BROKER_USERS}
    if not template and (unset := [name for name in variables.values() if not os.environ.get(name)]):
        return _failed(f"set {', '.join(unset)}")
    passwords = {user: os.environ.get(name, "") for user, name in variables.items()}
    found = definitions.template() if template else definitions.definitions(passwords)
    print(json.dumps(found, indent=2))
    return 0


def _failed(why: str) -> int:
    print(f"warren.broker: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
