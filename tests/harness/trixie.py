"""RabbitMQ 4 as Debian 13 has it, in a folder, for where the system's own is RabbitMQ 3. Needs root."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from warren_local.binaries import RabbitMQPrograms
from warren_local.home import warren_home

MISSING = (
    "RABBITMQ 4 WAS NOT TRIED: that needs root on a Debian, its archive in reach, and mmdebstrap (apt-get install "
    "mmdebstrap) or debootstrap"
)
SUITE = "trixie"
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
    "epmd": "/usr/bin/epmd",
}


def rabbitmq_4() -> RabbitMQPrograms | None:
    """Return the programs, fetched if they are not here yet, or None where that cannot be done."""
    home = warren_home()
    folder = home / "rabbitmq-4"
    if not (folder / "bin").exists():
        bootstrap = _bootstrap()
        if bootstrap is None:
            return None
        home.mkdir(parents=True, exist_ok=True)
        with (home / "rabbitmq-4.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes share the tests
            if not (folder / "bin").exists():
                _fetch(bootstrap, folder, home)
    return RabbitMQPrograms(folder / "bin" / "rabbitmq-server", folder / "bin" / "epmd", os.environ["PATH"])


def _bootstrap() -> list[str] | None:
    mirror = _mirror()
    if os.geteuid() != 0 or mirror is None:
        return None
    if found := shutil.which("mmdebstrap"):
        options = ["--quiet", "--mode=root", "--variant=essential", "--include=rabbitmq-server"]
        return [found, *options, SUITE, "{}", mirror]
    if found := shutil.which("debootstrap"):
        return [found, "--variant=minbase", "--include=rabbitmq-server", SUITE, "{}", mirror]
    return None


def _mirror() -> str | None:
    """Return the archive that this Debian is installed from."""
    apt = Path("/etc/apt")
    for file in (*apt.glob("sources.list"), *apt.glob("sources.list.d/*")):
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
    command = [str(root) if word == "{}" else word for word in bootstrap]
    subprocess.run(command, check=True, capture_output=True, timeout=WITHIN)
    new = folder / "bin.new"
    new.mkdir()
    for name, program in PROGRAMS.items():
        (new / name).write_text(WRAPPER.format(root=root, home=home, program=program))
        (new / name).chmod(0o755)
    new.rename(folder / "bin")
