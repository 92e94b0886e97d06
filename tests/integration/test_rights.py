"""Every cell of the table of rights, over all that carries its command: HTTP, WebSocket, SSE, polling, the broker."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import groupby, zip_longest
from typing import Any

import httpx
import pytest
from harness.broker_client import BATCH, BrokerClient
from harness.concurrency import run_concurrently
from harness.resilient_client import bearer
from harness.rights import ACTORS, LAST, Cell, Scene, cells, new_scene
from harness.scripted_client import connect_over
from harness.tokens import token
from harness.transport import TransportName
from warren.contract.commands import AnyCommand
from warren.contract.queries import SIGN_INS_LIMIT

TABLE = {(cell.scene, cell.command, cell.target, cell.actor): cell for cell in cells()}
STATUS = {"ok": (200, 201), "exists": (200,), "forbidden": (403,), "not_found": (404,), "invalid": (422,)}
AT_ONCE = 16
"""Requests under way at once."""


async def staged(broker: BrokerClient, wanted: Iterable[Cell]) -> list[tuple[Cell, Scene]]:
    """Return a room for each cell. What is refused changes nothing, so such cells share one."""
    shared: dict[tuple[str, bool], Scene] = {}
    found, setup = [], []
    for cell in wanted:
        last = cell.command in LAST
        scene = shared.get((cell.scene, last))
        if changes(cell) or scene is None:
            scene, commands = new_scene(cell.scene, last=last)
            setup.append(commands)
            if not changes(cell):
                shared[cell.scene, last] = scene
        found.append((cell, scene))
    direct = [scene for _, scene in found if scene.name.startswith("direct")]
    await sign_in(broker, (user for scene in direct for user in scene.people.values()))
    for portions in in_turn(setup):
        replies = await done(broker, portions)
        assert {reply["type"] for reply in replies.values()} <= {"accepted"}, replies
    return found


def in_turn(setups: Iterable[list[AnyCommand]]) -> Iterator[list[list[AnyCommand]]]:
    """Yield what may be under way at once: what a set-up does in another room may be judged by what it did before."""
    by_room = [[list(group) for _, group in groupby(setup, lambda command: command.room)] for setup in setups]
    for portions in zip_longest(*by_room, fillvalue=[]):
        yield list(portions)


async def sign_in(broker: BrokerClient, users: Iterable[str]) -> None:
    """Have these people known, as a gateway does."""
    people = [{"user": user, "name": user} for user in sorted(set(users))]
    for start in range(0, len(people), SIGN_INS_LIMIT):
        answer = await broker.ask({"type": "sign_ins", "people": people[start : start + SIGN_INS_LIMIT]})
        assert answer == {"type": "noted"}


async def done(broker: BrokerClient, portions: Iterable[list[AnyCommand]]) -> dict[str, dict[str, Any]]:
    """Publish portions of commands, each room's together, and return the replies by command id."""
    total = 0
    for commands in portions:
        for _, group in groupby(commands, lambda command: command.room):
            mine = list(group)
            for start in range(0, len(mine), BATCH):
                portion = mine[start : start + BATCH]
                await broker.command(*(command.model_dump(mode="json", exclude_none=True) for command in portion))
                total += len(portion)
    return await broker.replies(total)


def changes(cell: Cell) -> bool:
    """Whether the cell leaves its room another one."""
    return cell.expected == "ok" and cell.command != "read"


def of(scene: str, *commands: str) -> list[Cell]:
    """Return the scene's cells, of these commands only if any are given."""
    return [cell for cell in TABLE.values() if cell.scene == scene and (not commands or cell.command in commands)]


def request(cell: Cell, scene: Scene) -> tuple[str, str, dict[str, object] | None]:
    """Return method, path and body of what the cell is over HTTP."""
    room = "@me" if cell.scene == "inbox" and cell.command == "read" and cell.actor == "owner" else scene.room
    path = f"/v1/rooms/{room}"
    command, _, role = cell.command.partition("-")
    user = scene.target(cell) if cell.target else ""
    match command:
        case "read":
            return "GET", f"{path}/messages", None
        case "send":
            return "POST", f"{path}/messages", {"text": "hi"}
        case "create":
            return "POST", "/v1/rooms", {"room": room}
        case "rename":
            return "PATCH", path, {"title": "another"}
        case "archive" | "restore":
            return "PATCH", path, {"archived": command == "archive"}
        case "join":
            return "PUT", f"{path}/members/me", None
        case "leave":
            return "DELETE", f"{path}/members/me", None
        case "invite":
            return "PUT", f"{path}/members/{user}", None
        case "remove":
            return "DELETE", f"{path}/members/{user}", None
        case "role":
            return "PUT", f"{path}/members/{user}", {"role": "member" if role == "last" else role}
    verb = "DELETE" if command.startswith("un") else "PUT"
    return verb, f"{path}/{command.removeprefix('un')}s/{user}", None


def over_http(cell: Cell) -> Cell:
    """Return what the cell is over HTTP, where inviting oneself is joining, and removing oneself leaving."""
    same = {"invite": "join", "remove": "leave"}.get(cell.command)
    return TABLE[cell.scene, same, None, cell.actor] if cell.target == "self" and same is not None else cell


def complaint(cell: Cell, answer: httpx.Response) -> str:
    """Return what is wrong with the answer, or the empty text. To leave what one is not in is no error over HTTP."""
    if cell.expected == "not_found" and (
        cell.command.startswith("leave") or (cell.command, cell.target) == ("remove", "self")
    ):
        return "" if answer.status_code == 200 and answer.json()["seq"] is None else f"{cell}: {answer.status_code}"
    statuses = (409,) if (cell.command, cell.expected) == ("create", "exists") else STATUS[cell.expected]
    if answer.status_code not in statuses:
        return f"{cell}: {answer.status_code}, not {cell.expected}"
    if cell.expected == "exists" and answer.status_code == 200 and answer.json()["seq"] is not None:
        return f"{cell}: stored, though it was so already"
    if cell.expected in ("forbidden", "not_found", "invalid") and answer.json()["code"] != cell.expected:
        return f"{cell}: {answer.json()['code']}, not {cell.expected}"
    return ""


@pytest.mark.parametrize("scene", ACTORS)
async def test_over_http(scene: str, broker: BrokerClient, http: httpx.AsyncClient, gateways: list[str]) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def tried(number: int, cell: Cell, place: Scene) -> str:
        method, path, body = request(cell, place)
        headers = bearer(token(place.people[cell.actor]))
        async with at_once:
            gateway = gateways[number % len(gateways)]
            return complaint(cell, await http.request(method, gateway + path, json=body, headers=headers))

    places = await staged(broker, {over_http(cell): None for cell in of(scene)})
    wrong = await run_concurrently(*(tried(number, *place) for number, place in enumerate(places)))
    assert [line for line in wrong if line] == []


@pytest.mark.parametrize("scene", ACTORS)
async def test_what_is_done_all_the_time(
    scene: str, transport: TransportName, broker: BrokerClient, gateways: list[str]
) -> None:
    """Over each transport for live rooms: reading a room, which is joining it there, and sending."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def tried(number: int, cell: Cell, place: Scene) -> str:
        own = cell.scene == "inbox" and cell.actor == "owner" and cell.command == "read"
        who = token(place.people[cell.actor])
        async with at_once, connect_over(transport, gateways[number % len(gateways)], who) as client:
            room = "@me" if own else place.room
            found = await (client.join(room) if cell.command == "read" else client.send(room, "hi"))
        answer = "ok" if found["type"] in ("joined", "ack") else found["code"]
        return "" if answer == cell.expected else f"{cell}: {answer}, not {cell.expected}"

    places = await staged(broker, of(scene, "read", "send"))
    wrong = await run_concurrently(*(tried(number, *place) for number, place in enumerate(places)))
    assert [line for line in wrong if line] == []


@pytest.mark.parametrize("scene", ACTORS)
async def test_over_the_broker(scene: str, broker: BrokerClient) -> None:
    """Commands as a gateway's broker user publishes them: what the writer says without any gateway's help."""
    places = await staged(broker, [cell for cell in of(scene) if cell.command != "read"])
    commands = [(cell, place.room, place.command(cell)) for cell, place in places]
    by_room: dict[str, list[AnyCommand]] = {}
    for _, room, command in commands:
        by_room.setdefault(room, []).append(command)
    replies = await done(broker, by_room.values())
    wrong = []
    for cell, _, command in commands:
        reply = replies[command.id]
        answer = "ok" if reply["type"] == "accepted" else reply["code"]
        if answer != cell.expected:
            wrong.append(f"{cell}: {answer}, not {cell.expected}")
    assert wrong == []


@pytest.mark.parametrize("scene", ACTORS)
@pytest.mark.parametrize(
    "query",
    [
        {"type": "room.access"},
        {"type": "history", "limit": 50},
        {"type": "events", "after": 0, "limit": 500},
    ],
    ids=lambda query: query["type"],
)
async def test_queries_over_the_broker(scene: str, query: dict[str, object], broker: BrokerClient) -> None:
    wrong = []
    for cell, place in await staged(broker, of(scene, "read")):
        answer = await broker.ask({**query, "room": place.room, "user": place.people[cell.actor]})
        found = answer["code"] if answer["type"] == "denied" else "ok"
        if found != cell.expected:
            wrong.append(f"{cell}: {found}, not {cell.expected}")
    assert wrong == []
