"""All of Warren as real processes on ports of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

import pytest
from warren.contract.users import login_of
from warren_local.binaries import RabbitMQPrograms
from warren_local.ports import HOST
from warren_local.rabbitmq import RabbitMQ
from warren_local.servers import Broker, Server, database
from warren_local.service import Service
from warren_local.topology import declare

from harness.rabbitmq_4 import chosen_broker

SECRET = "only-for-tests-only-for-tests-only-for-tests"
READY_WITHIN = 60.0
ROOMY = {
    f"WARREN_{what}_{how}": "100000"
    for what in (
        "MESSAGES", "JOINS", "PERSON_MESSAGES", "PERSON_CHANGES", "PERSON_READS", "PERSON_JOINS",
        "ADDRESS_REQUESTS", "ADDRESS_CONNECTS", "ADDRESS_FAILURES",
    )
    for how in ("PER_SECOND", "BURST")
}  # fmt: skip
ROOMY |= {"WARREN_CONNECTIONS_PER_PERSON": "10000", "WARREN_CONNECTIONS_PER_ADDRESS": "10000"}
"""Tests and benchmarks are few people at one address in a great hurry; the limits have tests of their own."""


PORTS = {"gateway": (0, 10), "persistence": (101, 1), "presence": (201, 1)}
"""The first replica's port, above a stack's own first, and how far it is to the next one's."""


async def begin(*services: Service, within: float = READY_WITHIN) -> None:
    """Start these, and wait until they can work, for so many seconds each."""
    await asyncio.to_thread(_begin, services, within)


@asynccontextmanager
async def replaced(services: Sequence[Service], by: Service) -> AsyncIterator[Service]:
    """Have a replica that was not started do the work of these until the block is left."""
    for service in services:
        await asyncio.to_thread(service.stop)
    try:
        await begin(by)
        yield by
    finally:
        await asyncio.to_thread(by.stop)
        await begin(*services)


def _begin(services: Sequence[Service], within: float) -> None:
    for service in services:
        service.start()
    for service in services:
        service.wait_ready(within)


def _broker(home: Path, port: int, programs: RabbitMQPrograms | None, plugins: Sequence[str]) -> Broker:
    found = chosen_broker(home, port) if programs is None else RabbitMQ(home, port, "warren", lambda: programs)
    if isinstance(found, RabbitMQ):
        found.plugins = {name: port + 50 + number for number, name in enumerate(plugins)}
    return found


class Stack:
    """RabbitMQ, MongoDB and the services; `base` is the first of the ports it uses (`base` to `base` + 499).

    `programs`: those of another RabbitMQ than the tests' own. `plugins`: those of the broker's. `servers`: a broker and
    a database to have instead.
    """

    service: type[Service] = Service
    """What its replicas are; the tests' are forked."""

    def __init__(
        self, home: Path, base: int, *, gateways: int = 2, persistence: int = 2, presence: int = 0, heartbeat: int = 10,
        env: dict[str, str] | None = None, programs: RabbitMQPrograms | None = None, plugins: Sequence[str] = (),
        servers: tuple[Broker, Server] | None = None,
    ) -> None:  # fmt: skip
        self.home = home
        self.base = base
        self.rabbitmq, self.mongodb = servers or (
            _broker(home, base + 300, programs, plugins), database(home, base + 400)
        )  # fmt: skip
        self._heartbeat = heartbeat
        self._env = {
            "WARREN_BUNDLE_EVENTS": "true",  # as when a roll-out is over
            "WARREN_GATEWAY_USERS": login_of(self.amqp_url("gateway")),
            "WARREN_MONGO_URL": self.mongodb.url,
            "WARREN_SECRET": SECRET,
            **ROOMY,
            **(env or {}),
        }
        self.gateways = [self._service("gateway", number) for number in range(gateways)]
        self.persistence = [self._service("persistence", number) for number in range(persistence)]
        self.presence = [self._service("presence", number) for number in range(presence)]

    def amqp_url(self, user: str) -> str:
        """Return where one of the broker's users connects: `gateway`, `persistence`, `presence` or `operator`."""
        return self.rabbitmq.url_of(user).replace("heartbeat=10", f"heartbeat={self._heartbeat}")

    def plugin_address(self, name: str) -> str:
        """Return where a plugin of the broker listens (host:port); skips the test where a container is the broker."""
        if not isinstance(self.rabbitmq, RabbitMQ):
            pytest.skip("RabbitMQ runs in a container here, whose image has no plugins")
        return f"{HOST}:{self.rabbitmq.plugins[name]}"

    @property
    def services(self) -> list[Service]:
        """Every replica, gateways first."""
        return [*self.gateways, *self.persistence, *self.presence]

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.start(), (self.rabbitmq, self.mongodb)))
        declare(self.rabbitmq.url)
        _begin(self.services, READY_WITHIN)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start everything, and stop it in the end, also what a failed start has left."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop everything, gateways first and servers last."""
        for process in (*self.services, self.mongodb, self.rabbitmq):
            process.stop()

    def extra(self, kind: str, number: int, **env: str) -> Service:
        """Return one more replica with settings of its own, not started; `number`, up to 9, is none of the others'.

        Its log begins with it: other tests of the process have had others of this number.
        """
        service = self._service(kind, number - 1, env)
        service.log.unlink(missing_ok=True)
        return service

    def _service(self, kind: str, number: int, env: dict[str, str] | None = None) -> Service:
        name = f"{kind}-{number + 1}"
        first, step = PORTS[kind]
        env = {"WARREN_AMQP_URL": self.amqp_url(kind), **self._env, **(env or {})}
        log = self.home / "logs" / f"{name}.log"
        return self.service(name, f"warren_{kind}", env, self.base + first + step * number, log, home=self.home)
