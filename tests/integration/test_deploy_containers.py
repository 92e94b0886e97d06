"""The images built and docker-compose.yml run by a real engine, where there is one."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import BASE_PORT
from harness.images import ROOT
from testcontainers.compose import DockerCompose
from warren_local.docker import answers

NO_ENGINE = (
    "THE IMAGES WERE NOT BUILT AND docker-compose.yml WAS NOT RUN, because there is no Docker engine with Compose here"
)
PORT = BASE_PORT + 480
URL = f"http://127.0.0.1:{PORT}"
WITHIN = 60.0
"""Seconds for something to happen; a bound, not an expectation."""
OVERRIDE = f"""\
services:
  proxy:
    ports: !override ["127.0.0.1:{PORT}:8080"]
  rabbitmq:
    ports: !reset []
  mongodb:
    ports: !reset []
"""


def engine() -> bool:
    return (
        answers() and subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0
    )


if not engine():
    pytest.skip(NO_ENGINE, allow_module_level=True)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerCompose]:
    """Start all of it beside whatever else runs here, with volumes of its own that go with it."""
    folder = tmp_path_factory.mktemp("compose")
    (folder / "deploy").mkdir()
    (folder / "deploy" / "env.sh").write_text((ROOT / "deploy" / "env.sh").read_text())
    subprocess.run(["sh", folder / "deploy" / "env.sh"], check=True)
    (folder / "override.yml").write_text(OVERRIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOSE_PROJECT_NAME", f"warren-test-{PORT}")
        files = [str(ROOT / "docker-compose.yml"), str(folder / "override.yml")]
        with DockerCompose(ROOT, files, build=True, wait=True, env_file=str(folder / ".env")) as running:
            yield running


def run(compose: DockerCompose, *arguments: str) -> str:
    done = subprocess.run(
        [*compose.compose_command_property, *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def said(http: httpx.AsyncClient, text: str) -> dict[str, Any]:
    """Say something in `general`, and return the echo bot's answer."""
    guest = (await http.post("/v1/guest", json={"name": "Ann"})).json()
    http.headers["Authorization"] = f"Bearer {guest['token']}"
    await http.post("/v1/rooms", json={"room": "general"})
    await http.put("/v1/rooms/general/members/me")
    async with asyncio.timeout(WITHIN):
        while True:
            stored = await http.post("/v1/rooms/general/messages", json={"text": text})
            assert stored.status_code == 201, stored.text
            await asyncio.sleep(1)  # the bot joins when it hears of the room
            answer = await http.get("/v1/rooms/general/messages")
            for message in answer.json()["messages"]:
                if message["sender"] == "bot.echo" and message["text"] == text:
                    return dict(message)


async def test_all_of_warren_behind_one_origin(compose: DockerCompose) -> None:
    async with httpx.AsyncClient(base_url=URL, timeout=30) as http:
        assert "Streamlit" in (await http.get("/")).text
        assert (await http.get("/client.js")).headers["Content-Type"].startswith("text/javascript")
        assert (await http.get("/openapi.json")).json()["info"]["title"]
        assert (await said(http, "hello, containers"))["name"] == "Echo"


async def test_more_gateways_are_found(compose: DockerCompose) -> None:
    run(compose, "up", "--wait", "--no-build", "--no-recreate", "--scale", "gateway=3")
    async with httpx.AsyncClient(base_url=URL, timeout=30) as http:
        await said(http, "hello, three of you")
    rows = [json.loads(line) for line in run(compose, "ps", "--format", "json", "gateway").splitlines()]
    assert [row["Health"] for row in rows] == ["healthy"] * 3


@pytest.mark.parametrize("service", ["gateway", "persistence", "presence", "ui", "echo"])
def test_a_container_is_nobody_and_has_no_tools(compose: DockerCompose, service: str) -> None:
    asked = "import os, pathlib; print(os.getuid(), pathlib.Path('/proc/self/status').read_text())"
    shown = run(compose, "exec", "-T", service, "python", "-c", asked)
    assert shown.startswith("10001 ")
    assert "CapEff:\t0000000000000000" in shown
    tools = run(compose, "exec", "-T", service, "sh", "-c", "command -v pip gcc curl || echo none")
    assert tools == "none\n"
    wrote = run(compose, "exec", "-T", service, "sh", "-c", "touch /opt/warren/x 2>/dev/null || echo refused")
    assert wrote == "refused\n"
