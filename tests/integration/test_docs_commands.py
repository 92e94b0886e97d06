"""What the documents tell people to type works, word for word but for the port."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from harness.resilient_client import fresh_room

ROOT = Path(__file__).parent.parent.parent
WITHIN = 60
"""Seconds for an example; a bound, not an expectation."""


def block(language: str) -> str:
    """Return the README's first code block in this language."""
    return str(re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0])


def run(argv: list[str], script: str) -> str:
    done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_message_of_the_readme(gateways: list[str]) -> None:
    room = fresh_room("readme")
    assert "http://127.0.0.1:8000" in block("bash")
    shell = block("bash").replace("http://127.0.0.1:8000", gateways[0]).replace("first-steps", room)
    out = run(["bash", "-e"], shell)
    created, first, again, history = re.findall(r"\{(?:[^{}]|\{[^{}]*\})*\}", out)
    assert f'"room":"{room}"' in created
    assert '"seq":2' in first
    assert first == again
    assert history.count("Hello, warren!") == 1

    python = block("python").replace("http://127.0.0.1:8000", gateways[1]).replace("first-steps", room)
    out = run([sys.executable, "-"], python)
    assert "Hello, warren!" in out
    assert "Hello, Ann!" in out


async def test_a_gateway_serves_its_own_description(gateways: list[str], http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{gateways[0]}/openapi.json")).status_code == 200


def test_the_compose_file_is_valid() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
