"""Pages of history: what they cost, and at which seq they were read."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from harness.stack import Stack
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring
from warren.contract.wire import utc_now
from warren_persistence.store import Store

OTHERS = 100
"""Other events for each message."""
MESSAGES = 60
PAGE = 20


class Finds(monitoring.CommandListener):
    """Takes note of what MongoDB is asked for."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.commands.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture
def finds() -> Finds:
    return Finds()


@pytest.fixture
async def database(stack: Stack, finds: Finds) -> AsyncIterator[Any]:
    """Return a database of the test's own."""
    parts = urlsplit(stack.mongodb.url)
    client: Any = AsyncIOMotorClient(urlunsplit(parts._replace(path="/history")), event_listeners=[finds])
    yield client.get_default_database()
    await client.drop_database("history")
    client.close()


@pytest.fixture
async def store(database: Any) -> Store:
    found = Store(database.client, database)
    await found.prepare()
    return found


def busy(room: str) -> list[dict[str, Any]]:
    """Return the log of a room in which much happens between the messages."""
    found: list[dict[str, Any]] = []
    for number in range(1, MESSAGES + 1):
        for place in range(OTHERS + 1):
            seq = len(found) + 1
            said = {"type": "reaction.added"} if place else {"type": "message", "text": f"{number}"}
            common = {"room": room, "seq": seq, "number": number, "key": f"k{seq}", "id": f"i{seq}", "at": utc_now()}
            found.append({**common, "sender": "ann", "name": "Ann", **said})
    return found


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, None, range(MESSAGES - PAGE + 1, MESSAGES + 1)),
        (30 * (OTHERS + 1) + 1, None, range(30 - PAGE + 1, 31)),
        (None, 30 * (OTHERS + 1), range(31, 31 + PAGE)),
    ],
    ids=["newest", "before", "after"],
)
async def test_a_page_costs_what_it_returns(
    database: Any, store: Store, finds: Finds, before: int | None, after: int | None, expected: range
) -> None:
    await database.events.insert_many(busy("busy") + busy("other"))
    finds.commands.clear()
    found = await store.log.messages("busy", before, after, MESSAGES * (OTHERS + 1), PAGE)
    assert [event["number"] for event in found] == list(expected)
    (asked,) = finds.commands
    ours = {name: asked[name] for name in ("find", "filter", "sort", "hint", "limit")}
    cost = (await database.command("explain", ours, verbosity="executionStats"))["executionStats"]
    assert cost["nReturned"] == PAGE
    assert cost["totalDocsExamined"] <= PAGE
    assert cost["totalKeysExamined"] <= PAGE + 1
