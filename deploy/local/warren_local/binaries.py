"""Finds the servers' programs on this machine, and has them installed when there are none."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import install
from .home import warren_home

BREW = [
    Path(p) for p in (os.environ.get("HOMEBREW_PREFIX", "/opt/homebrew"), "/usr/local", "/home/linuxbrew/.linuxbrew")
]


@dataclass(frozen=True)
class RabbitMQPrograms:
    """The start script, Erlang's port mapper, and the PATH on which the script finds Erlang."""

    server: Path
    epmd: Path
    path: str


def rabbitmq() -> RabbitMQPrograms:
    """RabbitMQ's programs, installed if need be; raises LocalError where that cannot be done."""
    found = find_rabbitmq()
    if found is None:
        install.rabbitmq()
        found = find_rabbitmq()
    if found is None:
        raise install.no_rabbitmq()
    return found


def mongod() -> Path:
    """The mongod program, installed if need be; raises LocalError where that cannot be done."""
    return find_mongod() or install.mongod(warren_home())


def find_rabbitmq() -> RabbitMQPrograms | None:
    """RabbitMQ's programs if they are here: Debian's, Homebrew's, or those on PATH."""
    # Debian's own folder goes first: what it puts on PATH is a wrapper that changes user and wants root.
    scripts = [Path("/usr/lib/rabbitmq/bin/rabbitmq-server")]
    scripts += [prefix / "opt/rabbitmq/sbin/rabbitmq-server" for prefix in BREW]
    scripts += _on_path("rabbitmq-server")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *(str(prefix / "bin") for prefix in BREW)])
    epmd = shutil.which("epmd", path=path)
    server = _first(scripts)
    if server is None or epmd is None or shutil.which("erl", path=path) is None:
        return None
    return RabbitMQPrograms(server, Path(epmd), path)


def find_mongod() -> Path | None:
    """The mongod program if it is here: on PATH, Homebrew's, or the one unpacked under WARREN_HOME."""
    kegs = [keg for prefix in BREW for keg in sorted(prefix.glob("opt/mongodb-community*/bin/mongod"))]
    return _first([*_on_path("mongod"), *kegs, install.unpacked_mongod(warren_home())])


def _on_path(name: str) -> list[Path]:
    found = shutil.which(name)
    return [Path(found)] if found else []


def _first(candidates: list[Path]) -> Path | None:
    return next((path for path in candidates if os.access(path, os.X_OK)), None)
