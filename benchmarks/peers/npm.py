"""The Node peer's packages: installed by npm into the state folder, at the first run and whenever they change."""

import os
import shutil
import subprocess
from pathlib import Path

from warren_local.errors import LocalError

OLDEST_NODE = (20, 19)
"""The first Node.js that the pinned MongoDB driver takes; keep it as in node/package.json."""
SOURCE = Path(__file__).parent / "node"
ADVICE = "install Node.js {}.{} or later with its npm, or leave this peer out (--peers python or --peers none)."


def install(home: Path) -> Path:
    """Return the folder with server.js and its packages; raise LocalError if Node.js or npm is missing."""
    folder = home / "node"
    _require_node()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE / "server.js", folder)
    wanted = (SOURCE / "package.json").read_text()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        _npm_install(folder)
        stamp.write_text(wanted)
    return folder


def node() -> str:
    """Return the path of Node.js."""
    return _find("node")


def _require_node() -> None:
    text = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major, minor, *_ = (int(part) for part in text.removeprefix("v").split("."))
    if (major, minor) < OLDEST_NODE:
        raise LocalError(f"Node.js is {text}, too old for the node peer: {ADVICE.format(*OLDEST_NODE)}")


def _npm_install(folder: Path) -> None:
    print(f"installing the node peer's packages into {folder} (once) ...", flush=True)
    options = ["--omit=dev", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    env = {**os.environ, "npm_config_update_notifier": "false"}
    done = subprocess.run(
        [_find("npm"), "install", *options], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LocalError(f"npm could not install the node peer's packages in {folder}:\n{done.stderr[-2000:]}")


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise LocalError(f"The node peer needs {program}, which is not on the PATH: {ADVICE.format(*OLDEST_NODE)}")
    return found
