"""The commands that check the code; `./dev test` is what CI runs."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .errors import LocalError
from .home import repository
from .javascript import check_types
from .servers import prepare

BIN = Path(sys.executable).parent

LINTS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "import-linter": ["lint-imports"],
}


SIDE_BY_SIDE = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "15")
"""Most of the time tests wait, for a grace, a lease or a server: so three processes share them, file by file.

In pytest's order, which has the unit tests last: small files, so that all processes end at the same time.
"""
UNIT = "tests/unit"
"""Tests that need no servers."""
LONG = (
    "tests/faults", "tests/fuzz",
    *(f"tests/integration/test_{name}.py" for name in ("openapi", "member_removal", "transport_switching")),
)  # fmt: skip
"""What has a long form: the fault suite, and the races and guesses beside it."""

CLUSTER = "tests/faults/test_cluster.py"

IMAGES = {
    "build": "--only-group build",
    "gateway": "--no-dev --package warren-gateway",
    "persistence": "--no-dev --package warren-persistence",
    "presence": "--no-dev --package warren-presence",
    "ui": "--no-dev --package warren-ui",
    "operator": "--no-dev --package warren-core --extra broker",
    "echo": "--no-dev --package warren-core --extra bot",
    "bots": "--no-dev --package warren-core --extra bots",
}
"""What is installed in each image, as uv is asked for it; `bots` is for every bot without a list of its own."""


def lint() -> int:
    """Run every gate but the tests, up to the first that fails; its exit code."""
    for name, command in LINTS.items():
        print(f"== {name}", flush=True)
        if code := subprocess.call([BIN / command[0], *command[1:]], cwd=repository()):
            print(f"== {name} failed", flush=True)
            return code
    print("== tsc", flush=True)
    return check_types()


def test(arguments: Sequence[str]) -> int:
    """Run every gate, or pytest alone with the arguments given: side by side where a folder is among them."""
    if arguments:
        folders = [argument for argument in arguments if (repository() / argument).is_dir()]
        if not all(folder.startswith(UNIT) for folder in folders):
            prepare()
        return _become("pytest", *(SIDE_BY_SIDE if folders else ()), *arguments)
    if code := lint():
        return code
    print("== pytest", flush=True)
    prepare()
    return _become("pytest", *SIDE_BY_SIDE)


def format_code() -> int:
    """Put the code into its standard form and mend what can be mended."""
    fixed = subprocess.call([BIN / "ruff", "check", "--fix", "-q", "."], cwd=repository())
    return subprocess.call([BIN / "ruff", "format", "."], cwd=repository()) or fixed


def faults(arguments: Sequence[str]) -> int:
    """Run what has a long form at its full length, or only those files that the arguments name, or the cluster's."""
    if "--cluster" in arguments:
        return _become("pytest", CLUSTER, "-v", *arguments)
    named = any((repository() / argument.partition("::")[0]).exists() for argument in arguments)
    return _become("pytest", *(() if named else LONG), "--long", *arguments)


def bench(name: str, arguments: Sequence[str]) -> int:
    """Run a benchmark. Raises LocalError if there is none of this name."""
    if not (repository() / "benchmarks" / f"{name}.py").is_file():
        raise LocalError(f"There is no benchmark {name}; docs/development.md names them.")
    return _become(f"benchmarks.{name}", *arguments)


def fuzz(arguments: Sequence[str]) -> int:
    """Fuzz all of Warren, with the fuzzer's own arguments."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, ("tests", os.environ.get("PYTHONPATH"))))
    return _become("fuzz", *arguments)


def lock() -> int:
    """Compile requirements.lock anew from the packages' pyproject.toml files, and what each image needs of it."""
    everything = "--all-packages --all-extras --all-groups -o requirements.lock"
    lists = [f"--no-hashes {wanted} -o deploy/docker/{name}.txt" for name, wanted in IMAGES.items()]
    return next(filter(None, map(_export, [everything, *lists])), 0)


def _export(what: str) -> int:
    command = f"export -q --no-emit-workspace --no-header --no-annotate --format requirements.txt {what}"
    return subprocess.call([BIN / "uv", *command.split()], cwd=repository(), stdout=subprocess.DEVNULL)


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process with `python -m module`, so that signals and the exit code are its own."""
    os.chdir(repository())
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - as the docstring says
