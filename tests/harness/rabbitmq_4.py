"""RabbitMQ 4.3 as Debian forky has it, in a folder, for where the system's own is older. Needs root."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from warren_local.binaries import RabbitMQPrograms
from warren_local.errors import LocalError
from warren_local.home import warren_home
from warren_local.rabbitmq import RabbitMQ
from warren_local.servers import Broker, broker

CHOICE = "WARREN_TEST_RABBITMQ"
"""The environment variable that, as `4`, has all tests and benchmarks run on this one instead of the machine's own."""
MISSING = (
    "RABBITMQ 4 WAS NOT TRIED: that needs root on a Debian, its archive in reach, and debootstrap (apt-get install "
    "debootstrap)"
)
SUITE = "forky"
SCRIPT = Path("/usr/share/debootstrap/scripts/sid")
"""How to unpack it: a debootstrap that is older than the suite does not know its name."""
OLDEST = (4, 3, 6)
"""What the tests are for. A newer one will do; which it was is printed."""
WITHIN = 600
"""Seconds to fetch some 150 MB."""
# In a mount namespace of its own, so that nothing stays mounted whatever ends the process; its pid stays the same.
WRAPPER = """\
#!/bin/sh
exec unshare --mount sh -c '
    root=$1 home=$2 program=$3
    shift 3
    mkdir -p "$root$home"
    mount --bind "$home" "$root$home" && mount -t proc proc "$root/proc" && exec chroot "$root" "$program" "$@"
' - "{root}" "{home}" "{program}" "$@"
"""
PROGRAMS = {
    "rabbitmq-server": "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "rabbitmqctl": "/usr/lib/rabbitmq/bin/rabbitmqctl",
    "rabbitmq-plugins": "/usr/lib/rabbitmq/bin/rabbitmq-plugins",
    "rabbitmq-upgrade": "/usr/lib/rabbitmq/bin/rabbitmq-upgrade",
    "epmd": "/usr/bin/epmd",
}


def chosen_broker(home: Path, port: int) -> Broker:
    """Return the broker for tests that do not choose one themselves."""
    if os.environ.get(CHOICE) != "4":
        return broker(home, port)
    programs = rabbitmq_4()
    if programs is None:
        raise LocalError(MISSING)
    return RabbitMQ(home, port, "warren", lambda: programs)


def rabbitmq_4() -> RabbitMQPrograms | None:
    """Return the programs, fetched if they are not here yet, or None where that cannot be done.

    Raises LocalError if the suite has an older one than the tests are for.
    """
    home = warren_home()
    folder = home / "rabbitmq-4"
    bootstrap = _bootstrap(folder / "root")
    if version(folder) < OLDEST and bootstrap is None:
        return None
    home.mkdir(parents=True, exist_ok=True)
    with (home / "rabbitmq-4.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes share the tests
        if version(folder) < OLDEST and bootstrap is not None:
            _fetch(bootstrap, folder, home)
        _wrap(folder / "bin", folder, home)
    return RabbitMQPrograms(folder / "bin" / "rabbitmq-server", folder / "bin" / "epmd", os.environ["PATH"])


def version(folder: Path) -> tuple[int, ...]:
    """Return which RabbitMQ is complete in this folder, such as (4, 3, 6), or nothing."""
    if not (folder / "bin").exists():
        return ()
    (found,) = folder.glob("root/usr/lib/rabbitmq/lib/rabbitmq_server-*")
    return tuple(map(int, found.name.partition("-")[2].split(".")))


def _bootstrap(root: Path) -> list[str] | None:
    mirror, program = _mirror(), shutil.which("debootstrap")
    if os.geteuid() != 0 or mirror is None or program is None or not SCRIPT.exists():
        return None
    return [program, "--variant=minbase", "--include=rabbitmq-server", SUITE, str(root), mirror, str(SCRIPT)]


def _mirror() -> str | None:
    """Return the archive that this Debian is installed from."""
    apt = Path("/etc/apt")
    for file in (*apt.glob("sources.list"), *apt.glob("sources.list.d/*.list"), *apt.glob("sources.list.d/*.sources")):
        for line in file.read_text().splitlines():
            words = line.split()
            if words and words[0] in ("deb", "URIs:"):
                address = next((word for word in words if "://" in word), None)
                if address is not None and address.rstrip("/").endswith("/debian"):
                    return address
    return None


def _fetch(bootstrap: list[str], folder: Path, home: Path) -> None:
    root = folder / "root"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(bootstrap, check=True, capture_output=True, timeout=WITHIN)
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")  # the node's name ends with it
    _wrap(folder / "bin.new", folder, home)
    (folder / "bin.new").rename(folder / "bin")
    if version(folder) < OLDEST:
        raise LocalError(f"{SUITE} has RabbitMQ {version(folder)}, and the tests are for {OLDEST} and later")


def _wrap(into: Path, folder: Path, home: Path) -> None:
    """Write what starts each program; anew where one is missing, or the folder was moved."""
    into.mkdir(exist_ok=True)
    for name, program in PROGRAMS.items():
        wrapper, text = into / name, WRAPPER.format(root=folder / "root", home=home, program=program)
        if not wrapper.exists() or wrapper.read_text() != text:
            new = wrapper.with_suffix(".new")
            new.write_text(text)
            new.chmod(0o755)
            new.rename(wrapper)
