"""The images: what is in them is what each service needs, and that is enough for it to start."""

import os
import re
import runpy
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness.images import DOCKER, IMAGES, PACKAGES, ROOT, furnish, listed, locked, needed

DOCKERFILE = (DOCKER / "Dockerfile").read_text()
SERVICE = runpy.run_path(str(DOCKER / "service.py"))
TOOLS = {
    "pytest",
    "hypothesis",
    "mypy",
    "ruff",
    "uv",
    "playwright",
    "testcontainers",
    "hatchling",
    "pip",
    "schemathesis",
}
WITHIN = 60
"""Seconds for a command; a bound, not an expectation."""
ASKS = {
    "gateway": ({}, "gateway: WARREN_AUTH=guest needs WARREN_SECRET"),
    "persistence": ({"WARREN_PORT": "none"}, "persistence: WARREN_PORT: "),
    "presence": ({"WARREN_PORT": "none"}, "presence: WARREN_PORT: "),
    "ui": ({"WARREN_AUTH": "oidc"}, "ui: WARREN_AUTH=oidc needs WARREN_OIDC_METADATA_URL"),
    "operator": ({}, "warren: error: the following arguments are required: COMMAND"),
    "echo": ({}, "set WARREN_AMQP_URL"),
}
"""How each can be had to say, once it has loaded everything, that a setting is wrong."""


def run(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True, timeout=WITHIN)


def test_hadolint_has_nothing_to_say() -> None:
    done = run(
        str(Path(sys.executable).with_name("hadolint")), "--failure-threshold", "style", "deploy/docker/Dockerfile"
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_what_its_service_needs_and_no_more(image: str) -> None:
    assert set(listed(image)) == needed(image)[1]
    assert not set(listed(image)) & TOOLS


@pytest.mark.parametrize("name", ["build", *IMAGES])
def test_all_that_is_installed_has_its_hashes_in_the_lock(name: str) -> None:
    path = DOCKER / f"{name}.txt"
    done = run("awk", "-f", "deploy/docker/select.awk", str(path), "requirements.lock")
    assert done.returncode == 0, done.stderr
    wanted = {line.split()[0] for line in path.read_text().splitlines()}
    entries = {entry.split()[0]: entry for entry in re.split(r"\n(?=[a-z0-9])", done.stdout)}
    assert set(entries) == wanted
    assert all("--hash=sha256:" in entry for entry in entries.values())
    assert {key: entry.strip() for key, entry in entries.items()} == {key: locked()[key].strip() for key in wanted}


def test_a_list_that_is_ahead_of_the_lock_builds_nothing(tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("aio-pika==0.0.1\n")
    done = run("awk", "-f", "deploy/docker/select.awk", str(tmp_path / "new.txt"), "requirements.lock")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "aio-pika==0.0.1 is in no lock\n")


@pytest.mark.parametrize("service", ASKS)
def test_what_is_in_an_image_is_enough_to_start(service: str, tmp_path: Path) -> None:
    ours, others = needed(service)
    furnish(tmp_path, ours, others)
    env, said = ASKS[service]
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"} | env
    env |= {"WARREN_SERVICE": service, "WARREN_PORT": env.get("WARREN_PORT", "8000"), "PATH": os.defpath}
    done = run(sys.executable, "-S", "-s", str(DOCKER / "service.py"), cwd=tmp_path, env=env)
    assert said in done.stderr, done.stderr
    assert done.returncode != 0


def test_the_operations_page_starts_from_the_image_of_the_page(tmp_path: Path) -> None:
    ours, others = needed("ui")
    furnish(tmp_path, ours, others)
    env = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "WARREN_TARGETS": ","}
    done = run(sys.executable, "-S", "-s", "-m", "warren_ui.operations", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (2, "operations: WARREN_TARGETS: names nobody\n")


def test_every_service_and_bot_can_be_started() -> None:
    assert set(SERVICE["SERVICES"]) | {"echo", "bots"} == set(IMAGES)
    for service in [*SERVICE["SERVICES"], *(bot.parent.name for bot in ROOT.glob("bots/*/bot.py"))]:
        assert find_spec(SERVICE["started"](service)[0]) is not None


def test_health_is_an_answer_that_is_no_error() -> None:
    env = {"WARREN_SERVICE": "gateway", "WARREN_PORT": "1"}  # where nobody listens
    done = run(sys.executable, str(DOCKER / "service.py"), "--health", env=env)
    assert done.returncode == 1
    assert done.stderr.startswith("http://127.0.0.1:1/readyz: ")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_all_files_of_its_package(package: str, tmp_path: Path) -> None:
    folder = PACKAGES[package]
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=folder)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    (module,) = (init.parent for init in folder.glob("warren*/__init__.py"))
    files = {path for path in module.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {str(path.relative_to(folder)) for path in files} <= set(zipfile.ZipFile(wheel).namelist())


def test_the_context_is_an_allow_list_with_all_that_is_copied() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored[0] == "*"
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert list(ROOT.glob(source)), source
        assert source in allowed or any(source.startswith(f"{folder}/") for folder in allowed), source


def test_the_container_is_nobody_and_writes_nothing() -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]
    assert "\nUSER 10001:10001\n" in final
    assert 'ENTRYPOINT ["python"' in final
    assert "PYTHONDONTWRITEBYTECODE=1" in final
    assert set(re.findall(r"WARREN_(?:METRICS_)?PORT=(\d+)|EXPOSE (\d+)", final)) == {("8000", ""), ("", "8000")}
