"""The table of what `up` runs, and each process's environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from warren.contract.users import login_of

from .errors import LocalError
from .login import Login
from .ports import HOST, MOST_REPLICAS, Ports
from .service import Service


@dataclass(frozen=True)
class Kind:
    """A service: its module, how many replicas run by default, and the path that tells when one is ready."""

    module: str
    replicas: int
    health: str = "/readyz"


SERVICES = {
    "gateway": Kind("warren_gateway", 2),
    "ui": Kind("warren_ui", 1, "/_stcore/health"),
    "operations": Kind("warren_ui.operations", 1, "/_stcore/health"),
    "echo": Kind("bots.echo.bot", 1, "/metrics"),
    "presence": Kind("warren_presence", 2),
    "persistence": Kind("warren_persistence", 2),
}
"""In the order in which they stop: whoever takes work in goes before whoever does it."""
BOTS = {"echo": ["general"]}
"""Those of the services that are bots, and the rooms that each is given."""


@dataclass(frozen=True)
class Endpoints:
    """What services are told about the world around them."""

    amqp_urls: Mapping[str, str]
    """Where each service connects, as the broker's user that it is; and the operator."""
    mongo_url: str
    secret: str
    login: Login = field(default_factory=Login)
    landing: str = "general"
    """The room in which who is new lands; none if that is empty."""


def parse_scale(wishes: Iterable[str]) -> dict[str, int]:
    """Replicas of each service, from the defaults and wishes like `gateway=3`."""
    replicas = {name: kind.replicas for name, kind in SERVICES.items()}
    for wish in wishes:
        service, _, number = wish.partition("=")
        if service not in SERVICES:
            raise LocalError(
                f"--scale {wish}: there is no service {service!r}; the services are {', '.join(SERVICES)}."
            )
        if not number.isdecimal() or int(number) > MOST_REPLICAS[service]:
            raise LocalError(f"--scale {wish}: {service} can have 0 to {MOST_REPLICAS[service]} replicas.")
        replicas[service] = int(number)
    return replicas


def environment(service: str, ports: Ports, replicas: Mapping[str, int], endpoints: Endpoints) -> dict[str, str]:
    """What a service is told beyond its name and port; a service gets what it needs and no more."""

    def urls(of: str) -> list[str]:
        return [f"http://{HOST}:{ports.service(of, i + 1)}" for i in range(replicas[of])]

    match service:
        case "gateway":
            shared = {"WARREN_SECRET": endpoints.secret, "WARREN_LANDING_ROOM": endpoints.landing}
            return {"WARREN_AMQP_URL": endpoints.amqp_urls[service], **shared, **endpoints.login.gateway}
        case "persistence":
            return {
                "WARREN_AMQP_URL": endpoints.amqp_urls[service],
                "WARREN_MONGO_URL": endpoints.mongo_url,
                "WARREN_GATEWAY_USERS": login_of(endpoints.amqp_urls["gateway"]),
                "WARREN_BUNDLE_EVENTS": "true",  # all gateways are of this version
            }
        case "presence":
            return {"WARREN_AMQP_URL": endpoints.amqp_urls[service], "WARREN_MONGO_URL": endpoints.mongo_url}
        case "ui":
            return {"WARREN_GATEWAYS": ",".join(urls("gateway")), **endpoints.login.ui}
        case "operations":
            watched = [f"{of}={url}" for of in ("gateway", "persistence", "presence", "echo") for url in urls(of)]
            return {"WARREN_TARGETS": ",".join(watched)}
        case "echo":
            port = str(ports.service("echo", 1))
            rooms = ",".join(BOTS["echo"])
            return {
                "WARREN_AMQP_URL": endpoints.amqp_urls["echo"], "WARREN_ECHO_ROOMS": rooms, "WARREN_METRICS_PORT": port,
            }  # fmt: skip
    raise LocalError(f"there is no service {service!r}")


def services(home: Path, ports: Ports, replicas: Mapping[str, int], endpoints: Endpoints) -> dict[str, list[Service]]:
    """All replicas of all services, not yet started, in the table's order."""
    return {
        service: [
            Service(
                name=f"{service}-{i}",
                module=kind.module,
                env=environment(service, ports, replicas, endpoints),
                port=ports.service(service, i),
                log=home / "logs" / f"{service}-{i}.log",
                health=kind.health,
                home=home,
            )
            for i in range(1, replicas[service] + 1)
        ]
        for service, kind in SERVICES.items()
    }
