"""The script `dev`: it makes the environment once, and again when what it is made from has changed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from warren_local.home import repository

PYTHON = """#!/bin/sh
# Stands in for Python: tells its version, and makes an environment that holds itself.
echo "$*" >>"$CALLS"
case "$*" in
*version_info*) echo "$VERSION $0" ;;
*"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo "version = $VERSION" >.venv/pyvenv.cfg ;;
*"pip install"*) [ -z "$FAIL" ] || { echo "no such package"; exit 1; } ;;
esac
"""

PACKAGES = (
    "libs/warren", "libs/client", "services/gateway", "services/persistence", "services/presence", "ui", "deploy/local",
    ".",
)  # fmt: skip


class Checkout:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "calls"
        for package in PACKAGES:
            (root / package).mkdir(parents=True, exist_ok=True)
            (root / package / "pyproject.toml").write_text(f"# {package}")
        (root / "requirements.lock").write_text("one==1\n")
        shutil.copy(repository() / "dev", root / "dev")
        (root / "python").write_text(PYTHON)
        (root / "python").chmod(0o755)

    def run(self, **env: str) -> tuple[subprocess.CompletedProcess[str], str]:
        """Run `./dev status`; what it did, and the calls of Python it made."""
        self.calls.write_text("")
        given = {"CALLS": str(self.calls), "VERSION": "3.11.7", "FAIL": "", "PYTHON": str(self.root / "python")}
        given |= {"WARREN_HOME": str(self.root / "home")} | env
        command = [str(self.root / "dev"), "status"]
        done = subprocess.run(command, env=os.environ | given, check=False, capture_output=True, text=True, timeout=60)
        return done, self.calls.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_installs_with_hashes_and_then_runs(checkout: Checkout) -> None:
    done, calls = checkout.run()
    assert done.returncode == 0, done.stderr
    assert "--require-hashes -r requirements.lock" in calls
    assert "--no-deps --no-build-isolation --editable=libs/warren" in calls
    assert calls.splitlines()[-1] == "-m warren_local status"


def test_the_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout.run()
    assert "pip" not in checkout.run()[1]


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml", "ui/pyproject.toml"])
def test_a_change_of_requirements_installs_again(checkout: Checkout, changed: str) -> None:
    checkout.run()
    (checkout.root / changed).write_text("two")
    assert "pip install" in checkout.run()[1]


def test_another_python_starts_a_clean_environment(checkout: Checkout) -> None:
    assert "venv --clear" in checkout.run()[1]
    (checkout.root / "requirements.lock").write_text("two==2\n")
    assert "venv --clear" not in checkout.run()[1]
    assert "venv --clear" in checkout.run(VERSION="3.12.1")[1]


def test_a_failed_installation_says_why_and_is_tried_again(checkout: Checkout) -> None:
    done, _ = checkout.run(FAIL="yes")
    assert done.returncode == 1
    assert "no such package" in done.stderr
    assert "pip install" in checkout.run()[1]
