"""What is checked with npm packages where there is npm: types (JSDoc), the AsyncAPI document, a bot in JavaScript."""

import shutil
import subprocess
from pathlib import Path

from .errors import LocalError
from .home import repository, warren_home

INSTALL_TIMEOUT = 300
"""Seconds for npm to fetch what package.json names, on a slow line."""
SKIPPED = "== tsc: THE TYPES OF THE JAVASCRIPT WERE NOT CHECKED, because there is no npm here (apt-get install npm)"
INSTALL = "install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error"


def check_types() -> int:
    """Run the TypeScript compiler over the client and the chat; its exit code. Where there is no npm, say so, 0."""
    found = modules()
    if found is None:
        print(SKIPPED, flush=True)
        return 0
    return subprocess.call([found / ".bin" / "tsc", "-p", "tsconfig.json"], cwd=repository())


def modules() -> Path | None:
    """Return the `node_modules` with what package.json names, installed if need be; None where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    folder = warren_home() / "npm"
    wanted, installed = repository() / "package.json", folder / "package.json"
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wanted, installed)
        command = [npm, *INSTALL.split()]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
        if done.returncode:
            installed.unlink()
            raise LocalError(f"npm could not install what package.json names:\n{done.stderr}")
    return folder / "node_modules"
