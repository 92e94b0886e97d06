"""What the local runner tells each service, and how many of each it runs."""

from pathlib import Path

import pytest
from warren_local import home
from warren_local.errors import LocalError
from warren_local.ports import Ports
from warren_local.table import Links, environment, parse_scale, services

LINKS = Links(amqp_url="amqp://broker", mongo_url="mongodb://database", secret="s" * 32)


def test_the_defaults() -> None:
    assert parse_scale([]) == {"gateway": 2, "ui": 1, "presence": 2, "persistence": 2}


def test_scale() -> None:
    assert parse_scale(["gateway=3", "presence=0"]) == {"gateway": 3, "ui": 1, "presence": 0, "persistence": 2}


@pytest.mark.parametrize("wish", ["echo=1", "gateway", "gateway=", "gateway=-1", "gateway=two", "gateway=10", "ui=2"])
def test_a_wish_that_cannot_be_met_is_refused(wish: str) -> None:
    with pytest.raises(LocalError, match=f"--scale {wish}"):
        parse_scale([wish])


def test_only_gateways_know_the_secret_and_only_persistence_the_database() -> None:
    told = {s: environment(s, Ports(), parse_scale([]), LINKS) for s in ("gateway", "presence", "persistence", "ui")}
    assert [s for s, env in told.items() if "WARREN_SECRET" in env] == ["gateway"]
    assert [s for s, env in told.items() if "WARREN_MONGO_URL" in env] == ["persistence"]
    assert told["ui"] == {"WARREN_GATEWAYS": "http://127.0.0.1:8000,http://127.0.0.1:8010"}


def test_replicas_are_named_and_have_their_ports(tmp_path: Path) -> None:
    made = services(tmp_path, Ports(9000), parse_scale(["gateway=3"]), LINKS)
    assert [(s.name, s.url) for s in made["gateway"]][2] == ("gateway-3", "http://127.0.0.1:9020")
    assert made["persistence"][1].env["WARREN_REPLICA"] == "persistence-2"


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = home.secret(tmp_path / "new")
    assert len(first) >= 32
    assert home.secret(tmp_path / "new") == first
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o777 == 0o600
