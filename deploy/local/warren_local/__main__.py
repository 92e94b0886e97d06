"""`./dev`: runs Warren on this machine, and checks its code."""

import argparse
import sys

from . import commands, gates, topology
from .errors import LocalError

PASSED_ON = {"test": gates.test, "faults": gates.faults, "fuzz": gates.fuzz, "warren": commands.warren}
"""Commands whose arguments are another program's; argparse would take the dashed ones for its own."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="./dev", description="Runs Warren on this machine, and checks its code.")
    add = root.add_subparsers(dest="command", metavar="COMMAND").add_parser
    up = add("up", help="start everything, and restart what dies, until Ctrl-C")
    up.add_argument("--detach", action="store_true", help="leave it running in the background")
    up.add_argument("--scale", action="append", default=[], metavar="SERVICE=N", help="replicas of a service")
    up.add_argument("--port-base", type=int, default=8000, metavar="N", help="first port; the others follow (8000)")
    add("down", help="stop everything")
    add("status", help="what runs, where, and whether it is ready")
    url = add("url", help="where a user of the broker connects, with its password")
    url.add_argument("user", nargs="?", choices=topology.USERS, default=topology.ADMINISTRATOR, help="(operator)")
    bot = add("bot", help="give a bot its login and queues, and print where it connects")
    bot.add_argument("name", metavar="NAME")
    bot.add_argument(
        "--room",
        action="append",
        default=[],
        help="a public room that it hears without being a member; * is all of those",
    )
    bot.add_argument("--remove", action="store_true", help="take its login and queues away")
    add("warren", help="the operator's command, as operator of the broker that runs here", add_help=False)
    logs = add("logs", help="the end of the logs")
    logs.add_argument("service", nargs="?", metavar="SERVICE", help="a service (gateway) or a replica (gateway-1)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    add("test", help="lint, types, import rules and all tests; with arguments, pytest with these alone", add_help=False)
    add("lint", help="everything `test` runs but pytest")
    add("format", help="format the code")
    bench = add("bench", help="run a benchmark")
    bench.add_argument("name", metavar="NAME", help="a module in benchmarks/")
    bench.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the benchmark's own arguments")
    add("faults", help="the fault suite at full length, or --cluster; arguments go to pytest", add_help=False)
    add("fuzz", help="hostile clients, services and servers against all of Warren; --help tells more", add_help=False)
    add("lock", help="compile requirements.lock anew")
    return root


def run(arguments: list[str]) -> int:
    """Do what the command line says; the exit code."""
    if arguments and arguments[0] in PASSED_ON:
        return PASSED_ON[arguments[0]](arguments[1:])
    root = parser()
    given = root.parse_args(arguments)
    match given.command:
        case "up":
            return commands.up(given.port_base, given.scale, detach=given.detach)
        case "down":
            return commands.down()
        case "status":
            return commands.status()
        case "url":
            return commands.url(given.user)
        case "bot":
            return commands.bot(given.name, given.room, remove=given.remove)
        case "logs":
            return commands.logs(given.service, follow=given.follow)
        case "lint":
            return gates.lint()
        case "format":
            return gates.format_code()
        case "bench":
            return gates.bench(given.name, given.arguments)
        case "lock":
            return gates.lock()
    root.print_help()
    return 0


def main() -> int:
    """Run, and turn what a person can act on into one sentence instead of a traceback."""
    try:
        return run(sys.argv[1:])
    except LocalError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
