"""Starts everything, starts again what dies, stops everything in order."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import bots, pidfile, servers, state, table, topology
from .errors import LocalError
from .home import secret
from .login import Login
from .policy import History
from .ports import HOST, Ports, require_free
from .rabbitmq import RabbitMQ
from .servers import Broker, Server
from .service import Service


def print_line(line: str) -> None:
    """Tell the person at the terminal."""
    print(line, flush=True)


@dataclass
class Unit:
    """A process under supervision."""

    service: str
    process: Server | Service
    row: state.Row
    history: History

    def start(self) -> None:
        """Start it and return when it is ready; blocks."""
        self.process.start()
        self.history = self.history.restarted(time.monotonic())
        self.row.pid, self.row.started = self.process.pid, time.time()
        if isinstance(self.process, Service):
            self.process.wait_ready()


class Supervisor:
    """One running Warren. Processes are started and stopped in threads, judged in the event loop."""

    def __init__(self, home: Path, ports: Ports, replicas: Mapping[str, int]) -> None:
        self.home = home
        self.ports = ports
        self.replicas = dict(replicas)
        self.state = state.State.own(ports.base)
        self._units: list[Unit] = []
        self._child_ended = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM; raises LocalError if the start fails."""
        loop = asyncio.get_running_loop()
        self._save()
        # One thread a process, so that none waits for another's start.
        loop.set_default_executor(ThreadPoolExecutor(sum(self.replicas.values()) + 4))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGCHLD, self._child_ended.set)
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            print_line("Stopping ...")
        await self._end(work)
        stop.cancel()
        if work.done() and not work.cancelled() and (error := work.exception()) and not self._stop.is_set():
            raise error

    async def _work(self) -> None:
        began = time.monotonic()
        broker, database = await self._start_servers()
        amqp_urls = {user: broker.url_of(user) for user in topology.USERS} | await self._bots(broker)
        landing = os.environ.get("WARREN_LANDING_ROOM", table.Endpoints.landing)
        endpoints = table.Endpoints(amqp_urls, database.url, secret(self.home), self._login(), landing)
        replicas = table.services(self.home, self.ports, self.replicas, endpoints)
        units = [self._add(service, process) for service, group in replicas.items() for process in group]
        await self._all(units, Unit.start)
        self._announce(time.monotonic() - began, endpoints)
        self.state.ready = True  # last: `up --detach` reads no further then
        self._save()
        async with asyncio.TaskGroup() as group:
            for unit in self._units:
                group.create_task(self._keep(unit))

    async def _bots(self, broker: Broker) -> dict[str, str]:
        """Give the bots their logins; return where each connects."""
        wanted = [name for name in table.BOTS if self.replicas[name]]
        if not isinstance(broker, RabbitMQ):
            for name in wanted:
                print_line(
                    f"The bot {name} does not run: its login is the operator's to make on this broker (docs/bots.md)."
                )
                self.replicas[name] = 0
            return {}
        given = [asyncio.to_thread(bots.give, self.home, broker, name, table.BOTS[name]) for name in wanted]
        return dict(zip(wanted, await asyncio.gather(*given), strict=True))

    def _login(self) -> Login:
        address = f"http://{HOST}:{self.ports.service('ui', 1)}"
        return Login.of(os.environ, address, secret(self.home, "cookie-secret"))

    async def _start_servers(self) -> tuple[Broker, Server]:
        broker = await asyncio.to_thread(servers.broker, self.home, self.ports.amqp)
        database = await asyncio.to_thread(servers.database, self.home, self.ports.mongodb)
        units = [self._add("rabbitmq", broker), self._add("mongodb", database)]
        print_line("Starting RabbitMQ and MongoDB ...")
        await self._all(units, Unit.start)
        await asyncio.to_thread(topology.declare, broker.url)
        print_line("Starting the services ...")
        return broker, database

    def _add(self, service: str, process: Server | Service) -> Unit:
        port = {"rabbitmq": self.ports.amqp, "mongodb": self.ports.mongodb}.get(service)
        row = state.Row(service, process.name, None, port, None)
        if isinstance(process, Service):
            row.port, row.health = process.port, process.health
        unit = Unit(service, process, row, History(time.monotonic()))
        self._units.append(unit)
        self.state.rows.append(row)
        self._save()
        return unit

    async def _keep(self, unit: Unit) -> None:
        """Start a process again whenever it dies."""
        while True:
            await self._death(unit)
            unit.history = unit.history.died(time.monotonic())
            delay = unit.history.delay
            print_line(f"{unit.process.name} died; starting it again {f'in {delay:.0f} s' if delay else 'now'}.")
            await asyncio.sleep(delay)
            unit.row.restarts += 1
            began = time.monotonic()
            try:
                await asyncio.to_thread(unit.start)
                if unit.service == "rabbitmq":
                    # RabbitMQ 3 loses what was declared within some two seconds before it was killed.
                    await asyncio.to_thread(topology.declare, unit.process.url)
                print_line(f"{unit.process.name} is back after {time.monotonic() - began:.1f} s.")
            except LocalError as error:
                print_line(str(error))
            self._save()

    async def _death(self, unit: Unit) -> None:
        while unit.process.running:
            self._child_ended.clear()
            await self._child_ended.wait()

    async def _end(self, work: asyncio.Task[None]) -> None:
        """Stop all: services in the table's order, then the servers."""
        work.cancel()
        order = [*table.SERVICES, "rabbitmq", "mongodb"]
        for service in order:
            group = [unit for unit in self._units if unit.service == service]
            await self._all(group, lambda unit: unit.process.stop())
        await asyncio.wait([work])
        # A start that was under way in a thread may have made its process after it was stopped above.
        await asyncio.get_running_loop().shutdown_default_executor()
        for unit in reversed(self._units):
            unit.process.stop()
        state.forget(self.home)

    async def _all(self, units: Sequence[Unit], act: Callable[[Unit], None]) -> None:
        """Do the same to several at once; the first error is raised when all are through."""
        results = await asyncio.gather(*(asyncio.to_thread(act, unit) for unit in units), return_exceptions=True)
        self._save()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _save(self) -> None:
        self.state.save(self.home)

    def _announce(self, seconds: float, endpoints: table.Endpoints) -> None:
        print_line(f"Warren is up after {seconds:.1f} s.")
        print_line(f"  RabbitMQ    {_without_password(endpoints.amqp_urls[topology.ADMINISTRATOR])}")
        print_line(f"  MongoDB     {_without_password(endpoints.mongo_url)}")
        for line in addresses(self.home, self.state.rows):
            print_line(line)


def addresses(home: Path, rows: Iterable[state.Row]) -> list[str]:
    """Return where people and clients find what runs, a line each, the page last."""
    ports = [(row.service, row.port) for row in rows]

    def urls(service: str) -> str:
        return "  ".join(f"http://{HOST}:{port}" for found, port in ports if found == service)

    return [
        f"  logs        {home / 'logs'}",
        f"  gateways    {urls('gateway')}",
        f"  operations  {urls('operations')}",
        f"  chat        {urls('ui')}",
    ]


def _without_password(url: str) -> str:
    """What may be shown: what is said here may end up in a log."""
    return re.sub(r"//[^/@]*@", "//", url)


def check(home: Path, ports: Ports, replicas: Mapping[str, int]) -> None:
    """Raise LocalError if `up` cannot work here: a port is taken; ends leftovers on the way."""
    home.mkdir(parents=True, exist_ok=True)
    if ended := pidfile.clear_all(home):
        print_line(f"Ended what an earlier run left behind: {', '.join(ended)}.")
    for service, count in replicas.items():
        for i in range(1, count + 1):
            require_free(ports.service(service, i), f"{service}-{i}")
