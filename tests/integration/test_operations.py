"""What an operator relies on: health, metrics, and logs in which one id follows a message through all services."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from harness.observability import log_lines, metric
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Place

SERVICES = ("gateway-1", "gateway-2", "persistence-1", "persistence-2", "presence-1", "presence-2")
METRICS = {
    "gateway": (
        "warren_connections",
        "warren_frames_received_total",
        "warren_frames_sent_total",
        "warren_ack_seconds_count",
        "warren_delivery_seconds_count",
        "warren_slow_consumers_total",
        "warren_commands_pending",
        "warren_room_views",
        "warren_holes_filled_total",
    ),
    "persistence": (
        "warren_commit_batch_commands_count",
        "warren_commit_seconds_count",
        "warren_commit_retries_total",
        "warren_dead_letters_total",
        "warren_inbox_deliveries",
    ),
    "presence": ("process_cpu_seconds_total",),
}


@pytest.mark.parametrize("name", SERVICES)
async def test_every_service_says_that_it_lives_and_can_work(stack: Stack, http: httpx.AsyncClient, name: str) -> None:
    service = next(service for service in stack.services if service.name == name)
    health = await http.get(f"{service.url}/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    ready = await http.get(f"{service.url}/readyz")
    assert ready.status_code == 200
    assert ready.json()
    assert all(ready.json().values())


@pytest.mark.parametrize("name", SERVICES)
async def test_every_service_has_its_metrics(stack: Stack, http: httpx.AsyncClient, name: str) -> None:
    service = next(service for service in stack.services if service.name == name)
    response = await http.get(f"{service.url}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    lines = response.text.splitlines()
    for wanted in METRICS[name.split("-", maxsplit=1)[0]]:
        assert any(line.startswith((f"{wanted} ", f"{wanted}{{")) for line in lines), wanted


async def test_metrics_never_name_a_room_or_a_person(stack: Stack, http: httpx.AsyncClient, place: Place) -> None:
    async with connect(stack.gateways[0].url, place.ann.token) as ann:
        await ann.join(place.room)
        await ann.send(place.room, "x")
    for service in stack.services:
        text = (await http.get(f"{service.url}/metrics")).text
        assert place.room not in text
        assert place.ann.id not in text


async def test_a_message_counts_once_on_its_way(stack: Stack, place: Place) -> None:
    gateway = stack.gateways[0].url

    async def counts() -> list[float]:
        stored = [await metric(each.url, "warren_commands_total", outcome="stored") for each in stack.persistence]
        return [
            await metric(gateway, "warren_commands_answered_total", outcome="stored"),
            await metric(gateway, "warren_ack_seconds_count"),
            sum(stored),
        ]

    async with connect(gateway, place.ann.token) as ann:
        before = await counts()
        await ann.send(place.room, "x", key="k")
        assert [after - was for after, was in zip(await counts(), before, strict=True)] == [1, 1, 1]
        await ann.send(place.room, "x", key="k")  # the same again: answered, not stored
        assert [after - was for after, was in zip(await counts(), before, strict=True)][2] == 1


async def logged(stack: Stack, kind: str, correlation: str, enough: Callable[[list[dict[str, Any]]], bool]) -> Any:
    """Return the lines of all replicas of a service that carry the id, once they are enough or time is up."""
    replicas = [service for service in stack.services if service.name.startswith(kind)]
    found: list[dict[str, Any]] = []
    for _ in range(100):
        found = [line for replica in replicas for line in log_lines(replica.log, correlation)]
        if enough(found):
            break
        await asyncio.sleep(0.05)  # a log is a file: there is nothing to wait on
    return found


async def say_one_thing(stack: Stack, place: Place) -> dict[str, Any]:
    """Send from one gateway to a reader at the other; return the event as it was shown."""
    async with (
        connect(stack.gateways[0].url, place.ann.token) as ann,
        connect(stack.gateways[1].url, place.bob.token) as bob,
    ):
        await bob.join(place.room)
        ack = await ann.send(place.room, "follow me", key="the-key")
        return (await bob.events(place.room, ack["seq"]))[-1]


async def test_one_id_follows_a_message_from_the_frame_to_the_store(stack: Stack, place: Place) -> None:
    event = await say_one_thing(stack, place)
    lines = await logged(stack, "gateway", event["id"], lambda lines: len(lines) >= 2)
    by_message = {line["message"]: line for line in lines}
    assert by_message["frame"]["correlation_id"] == event["id"]
    assert (by_message["frame"]["key"], by_message["frame"]["room"]) == ("the-key", place.room)
    assert by_message["frame"]["replica"] == "gateway-1"
    assert by_message["command"]["correlation_id"] == event["id"]
    (stored,) = await logged(stack, "persistence", event["id"], lambda lines: len(lines) >= 1)
    assert (stored["message"], stored["correlation_id"]) == ("stored", event["id"])
    assert (stored["room"], stored["seq"]) == (place.room, event["seq"])
    assert stored["service"] == "persistence"


async def test_the_same_id_is_logged_where_the_event_fans_out(stack: Stack, place: Place) -> None:
    event = await say_one_thing(stack, place)

    def fanned_out(lines: list[dict[str, Any]]) -> bool:
        return any(line["replica"] == "gateway-2" for line in lines)

    lines = await logged(stack, "gateway", event["id"], fanned_out)
    assert [line for line in lines if line["replica"] == "gateway-2" and line["correlation_id"] == event["id"]]


async def test_a_message_over_http_has_an_id_to_follow_too(stack: Stack, http: httpx.AsyncClient, place: Place) -> None:
    url = f"{stack.gateways[0].url}/v1/rooms/{place.room}/messages"
    seq = (await http.post(url, json={"text": "x"}, headers=place.ann.headers)).json()["seq"]
    page = (await http.get(url, headers=place.ann.headers)).json()["messages"]
    event = next(message for message in page if message["seq"] == seq)
    lines = await logged(stack, "gateway", event["id"], lambda lines: len(lines) >= 1)
    assert {line["message"] for line in lines} >= {"command"}


async def test_logs_are_json_lines_without_errors_or_secrets(stack: Stack) -> None:
    for service in stack.services:
        for line in log_lines(service.log, "{"):
            assert {"at", "level", "logger", "message", "service", "replica"} <= line.keys()
        assert "only-for-tests" not in service.log.read_text(errors="replace")
