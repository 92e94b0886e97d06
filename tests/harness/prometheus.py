"""Prometheus as the system's packages bring it, with Warren's own configuration and rules, in a hurry."""

import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from warren_local.home import repository
from warren_local.ports import HOST, require_free
from warren_local.process import Process
from warren_local.service import responds

MISSING = (
    "NO ALERT WAS TRIED, because there is no Prometheus here: apt-get install prometheus (Debian, Ubuntu; its own "
    "service need not run), or set WARREN_PROMETHEUS to its path"
)
FOLDER = repository() / "deploy" / "prometheus"
RULES = FOLDER / "rules.yml"
EVERY = "500ms"
"""Between two scrapes, and two looks at the rules."""
WINDOW = "8s"
"""What takes the place of the rules' minutes."""


def prometheus() -> str | None:
    """Return the path of the program: WARREN_PROMETHEUS, or one on PATH; None if there is none."""
    return os.environ.get("WARREN_PROMETHEUS") or shutil.which("prometheus")


def alerts() -> dict[str, dict[str, Any]]:
    """Return the rules by the alert's name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def hastened(rules: str) -> str:
    """Return the rules with the same thresholds, and seconds where they have minutes."""
    return re.sub(r"for: \d+[ms]", "for: 1s", re.sub(r"\[\d+m\]", f"[{WINDOW}]", rules))


def aimed(targets: Mapping[str, Sequence[str]], rules: Path) -> str:
    """Return the configuration that containers use, with these targets (host:port) for its jobs."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    config["rule_files"] = [str(rules)]
    assert {job["job_name"] for job in config["scrape_configs"]} >= targets.keys()
    config["scrape_configs"] = [
        {
            **{key: value for key, value in job.items() if not key.endswith("_sd_configs")},
            "static_configs": [{"targets": list(targets.get(job["job_name"], ()))}],
        }
        for job in config["scrape_configs"]
    ]
    return str(yaml.safe_dump(config))


class Prometheus(Process):
    """Watches `targets`, by job, with deploy/prometheus."""

    def __init__(self, program: str, home: Path, port: int, targets: Mapping[str, Sequence[str]]) -> None:
        self.port = port
        self._folder = home / "prometheus"
        self._rules = self._folder / "rules.yml"
        self.targets = targets
        command = [
            program, f"--config.file={self._folder / 'prometheus.yml'}", f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={HOST}:{port}", "--log.level=warn",
        ]  # fmt: skip
        super().__init__("prometheus", command, home=home, log=home / "logs" / "prometheus.log", env=os.environ)

    def start(self) -> None:
        """Write its configuration and start it; raise LocalError if the port is taken."""
        if not self.running:
            require_free(self.port, self.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rules.write_text(hastened(RULES.read_text()))
        self._aim(self.targets)
        super().start()

    def aim(self, targets: Mapping[str, Sequence[str]]) -> None:
        """Watch these from now on."""
        self._aim(targets)
        self._signal(signal.SIGHUP)

    def _aim(self, targets: Mapping[str, Sequence[str]]) -> None:
        (self._folder / "prometheus.yml").write_text(aimed(targets, self._rules))

    def answers(self) -> bool:
        """Whether it can be asked."""
        return responds(self.port, "/-/ready")

    async def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return what a query finds now: labels and value of each series."""
        async with httpx.AsyncClient(timeout=30, verify=False) as http:  # no TLS: else it loads certificates each time
            answer = await http.get(f"http://{HOST}:{self.port}/api/v1/query", params={"query": query})
        found = answer.json()
        assert found["status"] == "success", found
        return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {labels["alertname"] for labels, _ in await self.ask('ALERTS{alertstate="firing"}')}

    async def fired(self, seconds: float) -> set[str]:
        """Return the names of the alerts that have fired in these last seconds."""
        window = f"{max(1, int(1_000 * seconds))}ms"
        found = await self.ask(f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{window}]))')
        return {labels["alertname"] for labels, _ in found}
