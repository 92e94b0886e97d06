"""Checks the types of the JavaScript (JSDoc) with the TypeScript compiler, where npm can install it."""

import shutil
import subprocess
from pathlib import Path

from .errors import LocalError
from .home import repository, warren_home

INSTALL_TIMEOUT = 300
"""Seconds for npm to fetch one package of 9 MB, on a slow line."""
SKIPPED = "== tsc: THE TYPES OF THE JAVASCRIPT WERE NOT CHECKED, because there is no npm here (apt-get install npm)"


def check_types() -> int:
    """Run the compiler over the client and the chat; its exit code. Where there is no npm, say so and return 0."""
    npm = shutil.which("npm")
    if npm is None:
        print(SKIPPED, flush=True)
        return 0
    return subprocess.call([_compiler(npm, warren_home() / "npm"), "-p", "tsconfig.json"], cwd=repository())


def _compiler(npm: str, folder: Path) -> Path:
    """Return the compiler of the version in package.json, installed if it is not there yet."""
    wanted, installed = repository() / "package.json", folder / "package.json"
    compiler = folder / "node_modules" / ".bin" / "tsc"
    if not compiler.exists() or installed.read_bytes() != wanted.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wanted, installed)
        command = [
            npm,
            "install",
            "--ignore-scripts",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
        if done.returncode:
            installed.unlink()
            raise LocalError(f"npm could not install the TypeScript compiler:\n{done.stderr}")
    return compiler
