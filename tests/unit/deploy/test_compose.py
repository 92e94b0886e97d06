"""docker-compose.yml and what it mounts: all that has to agree in them and with the code does."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from harness.images import ROOT
from harness.nginx import recommended_lines
from harness.settings import OTHERS, SETTINGS, known, read
from warren.broker.definitions import password_variable
from warren.contract.users import BROKER_USERS
from warren_gateway.__main__ import SHUTDOWN_WITHIN
from warren_ui.operations.config import Settings as OperationsSettings

FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one}
SCALED = ("gateway", "persistence", "presence", "ui", "echo")
SECRET = "made-up-password-of-more-than-32-characters"


def filled(text: object) -> str:
    """Return a value as Compose would: what must be given is SECRET, the rest is at its default."""
    return re.sub(r"\$\{\w+:\?[^}]*\}", SECRET, re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", str(text)))


def environment(service: str) -> dict[str, str]:
    return {name: filled(value) for name, value in SERVICES[service].get("environment", {}).items()}


def seconds(duration: str) -> int:
    assert re.fullmatch(r"\d+s", duration)
    return int(duration[:-1])


@pytest.mark.parametrize("service", [*SETTINGS, *OTHERS])
def test_services_are_given_settings_that_they_take(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = environment(service)
    assert {name for name in env if name.startswith("WARREN_")} <= known(service)
    if service in SETTINGS:
        read(service, env, monkeypatch)


@pytest.mark.parametrize("service", OURS)
def test_an_image_is_named_after_the_service_in_it(service: str) -> None:
    built = OURS[service]["build"]["args"]["SERVICE"]
    assert filled(OURS[service]["image"]) == f"warren-{built}:0.1.0"
    assert OURS[service]["build"]["dockerfile"] == "deploy/docker/Dockerfile"
    assert service == ("declare" if built == "operator" else built)


def test_an_image_is_built_once_and_before_others_use_it() -> None:
    built = {filled(one["image"]): name for name, one in OURS.items()}
    assert len(built) == len(OURS)
    for name, one in SERVICES.items():
        if name not in OURS and filled(one["image"]) in built:
            assert one["pull_policy"] == "never"
            assert built[filled(one["image"])] in before(name)


@pytest.mark.parametrize("service", SERVICES)
def test_containers_can_do_nothing_but_their_work(service: str) -> None:
    one = SERVICES[service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in one["tmpfs"]
    assert "privileged" not in one
    assert re.search(r":v?\d+\.\d+", filled(one["image"])), "not pinned to a minor version"


@pytest.mark.parametrize("service", SCALED)
def test_services_can_be_scaled(service: str) -> None:
    assert not {"container_name", "ports", "hostname"} & SERVICES[service].keys()


def test_ports_are_opened_to_this_machine_alone() -> None:
    opened = [filled(port) for one in SERVICES.values() for port in one.get("ports", [])]
    assert opened
    assert all(port.startswith("127.0.0.1:") for port in opened)


@pytest.mark.parametrize("service", SERVICES)
def test_the_order_of_the_start_can_be_kept(service: str) -> None:
    for name, wish in SERVICES[service].get("depends_on", {}).items():
        other = SERVICES[name]
        if wish["condition"] == "service_healthy":
            assert "healthcheck" in other
        else:  # `up --wait` takes a container's end for a failure unless somebody waits for just that
            assert wish["condition"] == "service_completed_successfully"
            assert other["restart"].startswith("on-failure")


def before(service: str) -> set[str]:
    """Return whom a service waits for, and whom these do."""
    direct = set(SERVICES[service].get("depends_on", {}))
    return direct.union(*map(before, direct))


def test_who_waits_for_whom() -> None:
    assert before("proxy") >= {"gateway", "ui", "declare", "rabbitmq"}
    assert before("persistence") == before("presence") == {"declare", "rabbitmq", "mongodb"}
    assert before("echo") == {"echo-login", "declare", "rabbitmq", "persistence", "mongodb"}
    assert before("rabbitmq") == before("mongodb") == set()


def test_who_can_reach_whom_is_who_uses_whom() -> None:
    def together(one: str, other: str) -> bool:
        return bool(set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"]))

    for service in OURS:
        used = {urlsplit(value).hostname for value in environment(service).values() if "://" in value}
        assert together(service, "rabbitmq") == ("rabbitmq" in used), service
        assert together(service, "mongodb") == ("mongodb" in used), service
    assert together("proxy", "gateway")
    assert together("proxy", "ui")
    assert not together("proxy", "rabbitmq")


def test_broker_and_database_are_given_all_passwords() -> None:
    users = {password_variable(user.name) for user in BROKER_USERS}
    assert environment("rabbitmq").keys() == users
    made = set(re.findall(r"WARREN_MONGO_\w+_PASSWORD", " ".join(environment("mongodb"))))
    rights = json.loads((ROOT / "deploy/mongodb/rights.json").read_text())
    assert made == {
        f"WARREN_MONGO_{user['user'].upper()}_PASSWORD" for user in [*rights["users"], {"user": "operator"}]
    }


def test_a_gateway_has_the_time_to_send_its_clients_away() -> None:
    drain = float(environment("gateway")["WARREN_DRAIN_SECONDS"])
    assert seconds(SERVICES["gateway"]["stop_grace_period"]) >= drain + SHUTDOWN_WITHIN + 10


def test_what_is_mounted_is_there() -> None:
    for one in SERVICES.values():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], volume
            assert volume.endswith(":ro") or not source.startswith("./"), volume


class Repository:
    """A copy of what env.sh needs."""

    def __init__(self, root: Path) -> None:
        self.file = root / ".env"
        (root / "deploy").mkdir()
        self.script = shutil.copy(ROOT / "deploy/env.sh", root / "deploy")

    def run(self) -> dict[str, str]:
        subprocess.run(["sh", self.script], check=True, timeout=60, cwd="/")
        return dict(line.split("=", 1) for line in self.file.read_text().splitlines())


def test_env_sh_makes_all_that_must_be_given_and_changes_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    made = repository.run()
    assert made.keys() == set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in made.values())
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE(repository.file.stat().st_mode) == 0o600
    assert repository.run() == made


def test_env_sh_adds_what_an_older_one_has_not(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.file.write_text("WARREN_OPERATOR_PASSWORD=old\nWARREN_PUBLISH=0.0.0.0:80\n")
    made = repository.run()
    assert (made["WARREN_OPERATOR_PASSWORD"], made["WARREN_PUBLISH"]) == ("old", "0.0.0.0:80")
    assert len(made["WARREN_SECRET"]) == 48


def test_the_proxy_passes_on_to_services_that_it_shares_a_network_with() -> None:
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()
    upstreams = re.findall(r"server (\w+):(\d+) resolve( max_fails=0)?;", text)
    assert {name: port for name, port, _ in upstreams} == {"gateway": "8000", "ui": "8000"}
    assert len(re.findall(r"^        zone ", text, re.MULTILINE)) == len(upstreams), (
        "names are resolved again in zones only"
    )
    (port,) = re.findall(r"listen (\d+);", text)
    assert SERVICES["proxy"]["ports"][0].endswith(f":{port}")


def test_the_proxy_has_what_the_docs_recommend() -> None:
    """But for what says who the client is: nobody stands before this one."""
    ours = (ROOT / "deploy/nginx/nginx.conf").read_text()
    lines = set(map(str.strip, recommended_lines().splitlines()))
    who = ("Host", "X-Forwarded-For", "X-Forwarded-Proto")
    for line in lines:
        if line.startswith(("proxy_", "keepalive")) and "proxy_pass " not in line and line.split()[1] not in who:
            assert line in ours
    assert "max_fails=0" in ours


def test_prometheus_scrapes_what_it_can_reach() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    scraped = set()
    for job in config["scrape_configs"]:
        for found in job.get("dns_sd_configs", []):
            assert (found["type"], found["port"]) == ("A", 8000)
            scraped |= set(found["names"])
        for found in job.get("static_configs", []):
            scraped |= {target.split(":")[0] for target in found["targets"]}
    assert scraped == {"gateway", "persistence", "presence", "echo", "rabbitmq"}
    for name in scraped:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"]), name
    for path in config["rule_files"]:
        assert (ROOT / "deploy/prometheus" / Path(path).name).exists()


def test_the_operations_page_watches_what_prometheus_does_and_can_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read("operations", environment("operations"), monkeypatch)
    assert isinstance(settings, OperationsSettings)
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    queues = jobs["rabbitmq-queues"]
    found = {target.service: urlsplit(target.url) for target in settings.watched}
    assert found.keys() == {"gateway", "persistence", "presence", "echo", "rabbitmq"}
    for name, url in found.items():
        assert url.hostname == name
        assert set(SERVICES[name]["networks"]) & set(SERVICES["operations"]["networks"]), name
        if name == "rabbitmq":
            assert (url.path, parse_qs(url.query)) == (queues["metrics_path"], queues["params"])
            assert [url.netloc] == queues["static_configs"][0]["targets"]
        else:
            assert (url.port, url.path) == (8000, "/metrics")


def test_grafana_finds_prometheus_and_dashboards() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/warren.yml").read_text())["providers"]
    assert any(volume.split(":")[1] == provider["options"]["path"] for volume in SERVICES["grafana"]["volumes"])
    dashboards = [json.loads(path.read_text()) for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")]
    assert dashboards
    assert all(dashboard["uid"] for dashboard in dashboards)
