"""What the docs have builders and operators type works on a running Warren."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.bots import ROOT, end, start, until
from harness.resilient_client import bearer, fresh_room
from harness.stack import SECRET, Stack, begin
from warren_local.home import secret
from warren_local.state import State

EMBEDDING = (ROOT / "docs" / "embedding.md").read_text()
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text()


def block(page: str, containing: str, language: str) -> str:
    """Return a page's code block of a language in which this stands."""
    (found,) = (text for text in page.split(f"```{language}\n")[1:] if containing in text.partition("\n```")[0])
    return found.partition("\n```")[0]


@pytest.fixture
def runs(stack: Stack) -> Iterator[Path]:
    """Have `./dev` take the stack for the Warren that runs here, its state in that folder."""
    State.own(stack.base).save(stack.home)
    secret(stack.home)
    yield stack.home
    (stack.home / "state.json").unlink()


@pytest.mark.parametrize(("service", "port", "above"), [("gateway", "8020", 90), ("persistence", "8110", 110)])
async def test_a_service_can_be_started_by_hand(
    stack: Stack, runs: Path, http: httpx.AsyncClient, service: str, port: str, above: int
) -> None:
    ours, script = str(stack.base + above), block(DEVELOPMENT, f"-m warren_{service}", "bash")
    for told, here in (
        (f"WARREN_PORT={port} .venv/bin/python", f"export WARREN_PORT={ours}; exec {sys.executable}"),
        (".warren/secret", str(runs / "secret")),
        (":8400/", f":{stack.base + 400}/"),
    ):
        script = script.replace(told, here)
    log = runs / "logs" / f"by-hand-{service}.log"
    process = start("bash", "-ec", script, log=log, WARREN_HOME=str(runs))

    async def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return (await http.get(f"http://127.0.0.1:{ours}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await until(ready)
    finally:
        end(process)
    assert process.returncode in (0, -signal.SIGTERM)


async def test_a_backend_mints_tokens_and_brings_its_people_into_rooms(
    stack: Stack, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARREN_SECRET", SECRET)
    found: dict[str, Any] = {}
    for what in ("def token_for", "def open_room"):
        exec(compile(block(EMBEDDING, what, "python"), "docs/embedding.md", "exec"), found)
    gateway = stack.extra("gateway", 5, WARREN_AUTH="jwt", WARREN_ISSUER="https://app.example.org")
    room = fresh_room("team")
    try:
        await begin(gateway)
        with httpx.Client(base_url=gateway.url, timeout=30) as backend:
            for _ in range(2):
                found["open_room"](backend, room, "The team", {"u-1": "Ann", "u-2": "Bob"})
        ann = bearer(found["token_for"]("u-1", "Ann"))
        members = (await http.get(f"{gateway.url}/v1/rooms/{room}/members", headers=ann)).json()["members"]
        assert {(one["user"], one["name"], one["role"]) for one in members} == {
            ("app", "The app", "owner"), ("u-1", "Ann", "member"), ("u-2", "Bob", "member"),
        }  # fmt: skip
        said = await http.post(f"{gateway.url}/v1/rooms/{room}/messages", json={"text": "hello"}, headers=ann)
        assert said.status_code == 201
    finally:
        gateway.stop()


def test_the_operators_command_is_had_without_a_path(runs: Path) -> None:
    env = {**os.environ, "WARREN_HOME": str(runs), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "warren_local", "warren", "dead", "list"]
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout
