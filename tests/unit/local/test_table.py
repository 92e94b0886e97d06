"""What the local runner tells each service, and how many of each it runs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from warren_local import home
from warren_local.errors import LocalError
from warren_local.login import Login
from warren_local.ports import Ports
from warren_local.table import Endpoints, environment, parse_scale, services

USERS = ("operator", "gateway", "persistence", "presence")
AMQP_URLS = {user: f"amqp://{user}:p@broker" for user in (*USERS, "echo")}
DEFAULTS = {"gateway": 2, "ui": 1, "operations": 1, "echo": 1, "presence": 2, "persistence": 2}
ENDPOINTS = Endpoints(amqp_urls=AMQP_URLS, mongo_url="mongodb://database", secret="s" * 32)


def test_the_defaults() -> None:
    assert parse_scale([]) == DEFAULTS


def test_scale() -> None:
    assert parse_scale(["gateway=3", "presence=0"]) == {**DEFAULTS, "gateway": 3, "presence": 0}


@pytest.mark.parametrize("wish", ["remind=1", "gateway", "gateway=", "gateway=-1", "gateway=two", "gateway=10", "ui=2"])
def test_a_wish_that_cannot_be_met_is_refused(wish: str) -> None:
    with pytest.raises(LocalError, match=f"--scale {wish}"):
        parse_scale([wish])


def test_only_gateways_know_the_secret_and_only_who_stores_the_database() -> None:
    told = {
        s: environment(s, Ports(), parse_scale([]), ENDPOINTS) for s in ("gateway", "presence", "persistence", "ui")
    }
    assert [s for s, env in told.items() if "WARREN_SECRET" in env] == ["gateway"]
    assert [s for s, env in told.items() if "WARREN_MONGO_URL" in env] == ["presence", "persistence"]
    assert told["gateway"]["WARREN_LANDING_ROOM"] == "general"
    assert told["ui"] == {"WARREN_GATEWAYS": "http://127.0.0.1:8000,http://127.0.0.1:8010"}


def test_each_service_is_a_user_of_its_own_and_persistence_knows_which_speaks_for_others() -> None:
    told = {user: environment(user, Ports(), parse_scale([]), ENDPOINTS) for user in USERS[1:]}
    assert [env["WARREN_AMQP_URL"] for env in told.values()] == [AMQP_URLS[user] for user in USERS[1:]]
    assert told["persistence"]["WARREN_GATEWAY_USERS"] == "gateway"
    assert "WARREN_AMQP_URL" not in environment("ui", Ports(), parse_scale([]), ENDPOINTS)


def test_the_operations_page_is_told_of_every_replica_that_counts_something() -> None:
    env = environment("operations", Ports(9000), parse_scale(["presence=1"]), ENDPOINTS)
    assert env["WARREN_TARGETS"].split(",") == [
        "gateway=http://127.0.0.1:9000", "gateway=http://127.0.0.1:9010", "persistence=http://127.0.0.1:9101",
        "persistence=http://127.0.0.1:9102", "presence=http://127.0.0.1:9201", "echo=http://127.0.0.1:9503",
    ]  # fmt: skip


def told(**said: str) -> dict[str, dict[str, str]]:
    environ = {f"WARREN_{name}": value for name, value in said.items()}
    login = Login.of(environ, "http://127.0.0.1:8501", "c" * 64)
    endpoints = Endpoints(AMQP_URLS, "mongodb://database", "s" * 32, login)
    return {service: environment(service, Ports(), parse_scale([]), endpoints) for service in ("gateway", "ui")}


def test_one_word_has_people_sign_in_at_a_provider() -> None:
    env = told(AUTH="oidc", OIDC_CLIENT_ID="chat")
    assert env["gateway"]["WARREN_AUTH"] == "jwt"
    assert env["gateway"]["WARREN_SECRET"] == ""
    assert env["gateway"]["WARREN_AUDIENCE"] == "chat"
    assert env["ui"]["WARREN_AUTH"] == "oidc"
    assert env["ui"]["WARREN_OIDC_REDIRECT_URI"] == "http://127.0.0.1:8501/oauth2callback"
    assert env["ui"]["WARREN_COOKIE_SECRET"] == "c" * 64


def test_what_is_said_about_signing_in_counts() -> None:
    env = told(AUTH="oidc", AUDIENCE="api", OIDC_REDIRECT_URI="https://c/oauth2callback", COOKIE_SECRET="mine")
    assert env["gateway"]["WARREN_AUDIENCE"] == "api"
    assert env["ui"]["WARREN_OIDC_REDIRECT_URI"] == "https://c/oauth2callback"
    assert env["ui"]["WARREN_COOKIE_SECRET"] == "mine"


def test_tokens_from_elsewhere_are_signed_with_a_secret_from_elsewhere() -> None:
    env = told(AUTH="jwt", SECRET="theirs")
    assert (env["gateway"]["WARREN_AUTH"], env["gateway"]["WARREN_SECRET"]) == ("jwt", "theirs")
    assert env["ui"]["WARREN_AUTH"] == "guest"
    assert told(AUTH="guest") == told()
    assert told()["gateway"]["WARREN_SECRET"] == "s" * 32


def test_one_url_for_all_is_believed_as_a_gateway() -> None:
    endpoints = Endpoints(dict.fromkeys(USERS, "amqp://a%40b:p@broker"), "mongodb://database", "s" * 32)
    assert environment("persistence", Ports(), parse_scale([]), endpoints)["WARREN_GATEWAY_USERS"] == "a@b"


def test_replicas_are_named_and_have_their_ports(tmp_path: Path) -> None:
    made = services(tmp_path, Ports(9000), parse_scale(["gateway=3"]), ENDPOINTS)
    assert [(s.name, s.url) for s in made["gateway"]][2] == ("gateway-3", "http://127.0.0.1:9020")
    assert made["persistence"][1].env["WARREN_REPLICA"] == "persistence-2"


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = home.secret(tmp_path / "new")
    assert len(first) >= 32
    assert home.secret(tmp_path / "new") == first
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o777 == 0o600


def test_broker_passwords_differ_stay_and_cannot_be_made_from_what_gateways_know(tmp_path: Path) -> None:
    made = {user: home.broker_password(tmp_path, user) for user in USERS}
    assert len(set(made.values())) == len(USERS)
    assert {user: home.broker_password(tmp_path, user) for user in USERS} == made
    assert home.secret(tmp_path) != home.secret(tmp_path, "broker-secret")
    assert (tmp_path / "broker-secret").stat().st_mode & 0o777 == 0o600


def test_all_who_make_a_secret_at_once_get_the_same(tmp_path: Path) -> None:
    several, all_there = 8, threading.Barrier(8, timeout=5)

    def made(number: int) -> str:
        all_there.wait()
        return home.secret(tmp_path, f"secret-{number // several}")

    with ThreadPoolExecutor(several) as pool:
        found = list(pool.map(made, range(20 * several)))
    assert len(set(found)) == 20
    assert len(list(tmp_path.iterdir())) == 20
