"""The peers, started on ports of their own: `node` (socket.io) and `python` (python-socketio with RabbitMQ)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pymongo import MongoClient
from warren_local.home import repository, warren_home
from warren_local.mongodb import MongoDB
from warren_local.pidfile import clear_all
from warren_local.ports import HOST, accepts, require_free
from warren_local.process import Process
from warren_local.rabbitmq import RabbitMQ

from benchmarks.load import Load
from benchmarks.peers.dialect import PATH, SocketIODialect
from benchmarks.peers.npm import install, node
from benchmarks.system import LOAD, Running

BASE_PORT = 24_000
NODE_PORT = BASE_PORT
PYTHON_PORT = BASE_PORT + 10
RABBITMQ_PORT = BASE_PORT + 300
MONGODB_PORT = BASE_PORT + 400


class PeerServer(Process):
    """A peer's one server process."""

    def __init__(self, name: str, command: Sequence[str], port: int, env: dict[str, str]) -> None:
        home = warren_home() / "bench"
        log = home / "logs" / f"peer-{name}.log"
        env = {**os.environ, **env, "PEER_PORT": str(port)}
        super().__init__(f"peer-{name}", command, home=home, log=log, env=env, cwd=repository())
        self.port = port

    def start(self) -> None:
        """Start it and return when it takes connections."""
        require_free(self.port, self.name)
        super().start()
        self.wait_ready()

    def answers(self) -> bool:
        """Whether it takes connections, which it does last."""
        return accepts(self.port)


@asynccontextmanager
async def running_node(rooms: int, members: int) -> AsyncIterator[Running]:
    """Start socket.io in one Node process, and MongoDB."""
    home = warren_home() / "bench"
    mongodb = MongoDB(home, MONGODB_PORT)
    script = install(home) / "server.js"
    env = {"PEER_MONGO_URL": mongodb.url, "NODE_ENV": "production"}
    server = PeerServer("node", [node(), str(script)], NODE_PORT, env)
    async with _running("socket.io", server, [mongodb], mongodb, rooms, members) as running:
        yield running


@asynccontextmanager
async def running_python(rooms: int, members: int) -> AsyncIterator[Running]:
    """Start python-socketio in one uvicorn process, RabbitMQ and MongoDB."""
    home = warren_home() / "bench"
    mongodb, rabbitmq = MongoDB(home, MONGODB_PORT), RabbitMQ(home, RABBITMQ_PORT, name=f"bench{BASE_PORT}")
    env = {"PEER_MONGO_URL": mongodb.url, "PEER_AMQP_URL": rabbitmq.url}
    server = PeerServer("python", [sys.executable, "-m", "benchmarks.peers.python_server"], PYTHON_PORT, env)
    async with _running("python-socketio", server, [rabbitmq, mongodb], mongodb, rooms, members) as running:
        yield running


@asynccontextmanager
async def _running(
    name: str, server: PeerServer, before: Sequence[RabbitMQ | MongoDB], mongodb: MongoDB, rooms: int, members: int
) -> AsyncIterator[Running]:
    """Start the servers and connect the load; at the end check that all it sent is stored, and stop everything."""
    clear_all(warren_home() / "bench")
    try:
        for process in before:
            await asyncio.to_thread(process.start)
        await asyncio.to_thread(_forget, mongodb)
        await asyncio.to_thread(server.start)
        url = f"ws://{HOST}:{server.port}{PATH}"
        load = Load(SocketIODialect(), [url], [f"bench-{number:010}" for number in range(rooms)], members)
        await load.connect()
        named = {name: server.pid, **{process.name.partition("-")[0]: process.pid for process in before}}
        yield Running(load, {LOAD: os.getpid(), **{name: pid for name, pid in named.items() if pid is not None}})
        stored = await asyncio.to_thread(_stored, mongodb)
        if stored != load.sent:
            raise AssertionError(f"{name} stored {stored} messages of {load.sent}")
        load.close()
    finally:
        for stopping in (server, *reversed(before)):
            await asyncio.to_thread(stopping.stop)


def _forget(mongodb: MongoDB) -> None:
    """Drop the messages of an earlier run."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongodb.url) as client:
        client.get_default_database().drop_collection("messages")


def _stored(mongodb: MongoDB) -> int:
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongodb.url) as client:
        return client.get_default_database().messages.count_documents({})
