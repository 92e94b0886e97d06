"""deploy/nginx/nginx.conf, as docker-compose.yml runs it, but for what this machine's nginx and network have not.

That is Docker's name server (`resolver`), and names that are resolved again (`resolve`, from nginx 1.27.3 on).
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import httpx
import pytest
import websockets
from conftest import BASE_PORT
from harness.images import ROOT
from harness.nginx import MISSING, nginx
from harness.scripted_client import connect_over
from harness.stack import READY_WITHIN, Stack
from harness.transport import TransportName
from integration.conftest import Place
from warren_local.ports import HOST, accepts
from warren_local.process import Process

PORT = BASE_PORT + 360
PAGE = BASE_PORT + 361


class Proxy(Process):
    """The proxy, with its file changed where it names Docker."""

    def __init__(self, program: str, folder: Path, gateway: int) -> None:
        text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
        for old, new in {
            r" +resolver .*\n": "",
            r" +zone .*\n": "",
            r"server gateway:8000 resolve max_fails=0;": f"server {HOST}:{gateway};",
            r"server ui:8000 resolve;": f"server {HOST}:{PAGE};",
            r"listen 8080;": f"listen {HOST}:{PORT};",
            r"include /etc/nginx/mime.types;": "",
            r"/tmp/": f"{folder}/",
            r"^worker_processes auto;": "worker_processes 1;" + ("user root;" if os.geteuid() == 0 else ""),
            r"worker_connections 16384": "worker_connections 512",
        }.items():
            text, changed = re.subn(old, new, text, flags=re.MULTILINE)
            assert changed, old
        (folder / "nginx.conf").write_text(text)
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        super().__init__("proxy", command, home=folder, log=folder / "proxy.log", env=os.environ)

    def answers(self) -> bool:
        return self.running and accepts(PORT)


async def page(connection: websockets.ServerConnection) -> None:
    """Stand in for Streamlit: say what was asked for, over the WebSocket that was opened."""
    assert connection.request is not None
    await connection.send(f"{connection.request.path} {connection.request.headers['Host']}")


def plain(connection: websockets.ServerConnection, request: websockets.Request) -> websockets.Response | None:
    if "Upgrade" in request.headers:
        return None
    answer = connection.respond(200, f"page {request.path}\n")
    answer.headers["Came-From"] = ", ".join(request.headers.get_all("X-Forwarded-For"))
    return answer


@pytest.fixture
async def origin(stack: Stack, tmp_path: Path) -> AsyncIterator[str]:
    program = nginx()
    if program is None:
        pytest.skip(MISSING)
    proxy = Proxy(program, tmp_path, stack.gateways[0].port)
    async with websockets.serve(page, HOST, PAGE, process_request=plain):
        proxy.start()
        try:
            await asyncio.to_thread(proxy.wait_ready, READY_WITHIN)
            yield f"http://{HOST}:{PORT}"
        finally:
            await asyncio.to_thread(proxy.stop)


async def test_one_origin_for_page_and_gateways(origin: str, http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{origin}/client.js")).headers["Content-Type"].startswith("text/javascript")
    for path in ("/openapi.json", "/asyncapi.json"):
        assert (await http.get(f"{origin}{path}")).headers["Content-Type"] == "application/json"
    assert (await http.get(f"{origin}/v1/me")).status_code == 401
    # What is not the world's to see is not the gateways' here.
    for path in ("/", "/healthz", "/readyz", "/metrics", "/docs", "/client.jsx"):
        assert (await http.get(f"{origin}{path}")).text == f"page {path}\n"


async def test_the_pages_own_websocket_and_its_host(origin: str) -> None:
    async with websockets.connect(origin.replace("http", "ws") + "/_stcore/stream") as socket:
        assert await socket.recv() == f"/_stcore/stream {HOST}:{PORT}"


async def test_what_clients_say_about_where_they_come_from_is_not_passed_on(
    origin: str, http: httpx.AsyncClient
) -> None:
    answer = await http.get(f"{origin}/", headers={"X-Forwarded-For": "192.0.2.1"})
    assert answer.headers["Came-From"] == HOST


@pytest.mark.parametrize("transport", get_args(TransportName))
async def test_a_chat_by_each_transport(origin: str, place: Place, transport: TransportName) -> None:
    async with connect_over(transport, origin, place.bob.token) as bob:
        head = (await bob.join(place.room))["head"]
        assert (await bob.send(place.room, "hello"))["seq"] == head + 1
        assert [event["text"] for event in await bob.events(place.room, head + 1)] == ["hello"]
