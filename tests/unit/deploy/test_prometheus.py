"""promtool's verdict on what deploy/prometheus holds; tests/faults/test_alerts.py shows that the alerts fire."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.prometheus import FOLDER, RULES

MISSING = (
    "THE ALERT RULES WERE NOT CHECKED, because there is no promtool here: apt-get install prometheus (Debian, Ubuntu), "
    "or set WARREN_PROMTOOL to its path"
)
PROMTOOL = os.environ.get("WARREN_PROMTOOL") or shutil.which("promtool")
if PROMTOOL is None:
    pytest.skip(MISSING, allow_module_level=True)


def verdict(*arguments: str | Path) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""


def test_rules() -> None:
    assert verdict("rules", "--lint=all", "--lint-fatal", RULES) == ""


def test_configuration(tmp_path: Path) -> None:
    """Where containers have it, the rules lie beside it."""
    config = tmp_path / "prometheus.yml"
    shutil.copy(RULES, tmp_path)
    config.write_text((FOLDER / "prometheus.yml").read_text().replace("/etc/prometheus/rules.yml", "rules.yml"))
    assert verdict("config", "--lint=all", "--lint-fatal", config) == ""


def test_what_is_wrong_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "rules.yml"
    broken.write_text(RULES.read_text().replace("sum(", "som(", 1))
    assert "unknown function" in verdict("rules", broken)
