"""Reads acks, views and the store after a run, and names every violation of the invariants."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pymongo

from harness.resilient_client import ResilientClient


def read_store(mongo_url: str, rooms: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rooms' events as MongoDB has them, in seq order."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongo_url, readConcernLevel="majority")
    try:
        events = client.get_default_database().events
        return {room: list(events.find({"room": room}).sort("seq", 1)) for room in rooms}
    finally:
        client.close()


def check(members: Iterable[ResilientClient], store: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return what is wrong, a sentence each; an empty list is what one wants."""
    members = list(members)
    found = [violation for member in members for violation in member.violations]
    for room, events in store.items():
        found += _log(room, events)
    for member in members:
        found += _acks(member, store)
        for room, log in member.logs.items():
            found += _view(member.user, room, log.events, store[room])
    return found


def _log(room: str, events: list[dict[str, Any]]) -> list[str]:
    """I2 and the half of I5 that the store shows."""
    found = []
    seqs = [event["seq"] for event in events]
    if seqs != list(range(1, len(seqs) + 1)):
        found.append(f"I2: the seqs of {room} are not 1..{len(seqs)}: {seqs}")
    numbers = [event["number"] for event in events if event["type"] == "message"]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"I2: the numbers of {room} are not 1..{len(numbers)}")
    keys = Counter((event["sender"], event["key"]) for event in events)
    return found + [f"I5: {key} is stored {count} times in {room}" for key, count in keys.items() if count > 1]


def _acks(member: ResilientClient, store: dict[str, list[dict[str, Any]]]) -> list[str]:
    """I1: acked means stored, with this seq."""
    found = []
    for (room, key), seq in member.acks.items():
        stored = store[room][seq - 1] if seq <= len(store[room]) else None
        if stored is None or stored["key"] != key or stored["sender"] != member.user:
            found.append(f"I1: {key} of {member.user} was acked as seq {seq} of {room}, where {stored} is stored")
    return found


def _view(user: str, room: str, shown: list[dict[str, Any]], stored: list[dict[str, Any]]) -> list[str]:
    """I3 and I4: what was shown is what is stored, each once, in order, to the end."""
    by_seq = {event["seq"]: event for event in stored}
    found = []
    for event in shown:
        original = by_seq.get(event["seq"])
        if original is None or (original["id"], original.get("text")) != (event["id"], event.get("text")):
            found.append(f"I4: {user} was shown {event} in {room}, where {original} is stored")
    if stored and (not shown or shown[-1]["seq"] != stored[-1]["seq"]):
        last = shown[-1]["seq"] if shown else None
        found.append(f"I3: {user} was shown {room} up to seq {last}, of {stored[-1]['seq']}")
    return found
