"""The files in golden/ are the compatibility promise of wire version 1: add to them, never change or remove one.

Old and new replicas run side by side during a roll-out, and clients live longer than servers. A file says what goes
over the wire today; whatever comes later must read it, and write it again without loss.
"""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from warren.contract import bundles as b
from warren.contract import commands as c
from warren.contract import events as e
from warren.contract import frames as f
from warren.contract import presence as p
from warren.contract import queries as q
from warren.contract.wire import Wire

GOLDEN = Path(__file__).parent / "golden"
SERVER_FRAME: TypeAdapter[Any] = TypeAdapter(f.ServerFrame)
ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "command": c.COMMAND,
    "event": e.EVENT,
    "reply": TypeAdapter(c.Reply),
    "client": f.CLIENT_FRAME,
    "server": SERVER_FRAME,
    "query": q.QUERY,
    "answer": q.ANSWER,
    "live": p.LIVE_FRAME,
    "shard": p.SHARD_MESSAGE,
    "control": p.CONTROL_MESSAGE,
}
UNIONS: dict[str, Any] = {
    "command": get_args(c.Command)[0],
    "event": get_args(e.Event)[0],
    "reply": get_args(c.Reply)[0],
    "client": get_args(f.ClientFrame)[0],
    "server": f.ServerFrame,
    "query": get_args(q.Query)[0],
    "answer": get_args(q.Answer)[0],
    "live": p.AnyLive,
    "shard": p.AnyShardMessage,
    "control": p.AnyControl,
}
BODIES: dict[str, TypeAdapter[Any]] = {
    "commands": TypeAdapter(c.Commands),
    "replies": TypeAdapter(c.Replies),
    "events": TypeAdapter(e.Events),
    "index": TypeAdapter(b.BundleIndex),
}
WITH_NULLS = ("query", "answer")
"""Kinds that are written with their empty fields; the others leave them out."""
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))
CLIENT = [name for name in NAMES if name.startswith("client.")]
BETWEEN_REPLICAS = [name for name in NAMES if name not in CLIENT]


def read(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def adapter(name: str) -> TypeAdapter[Any]:
    kind, _, rest = name.partition(".")
    return BODIES[rest] if kind == "body" else ADAPTERS[kind]


def dumped(name: str, model: BaseModel) -> Any:
    """Return what goes over the wire, as the services write it."""
    return json.loads(model.model_dump_json(exclude_none=not name.startswith(WITH_NULLS)))


def kept(before: Any, after: Any) -> bool:
    """Whether all that was there is there still; optional fields may have been added since."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(field in after and kept(value, after[field]) for field, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(kept, before, after))
    return type(before) is type(after) and bool(before == after)


@pytest.mark.parametrize("name", NAMES)
def test_each_message_is_read_and_written_again_without_loss(name: str) -> None:
    message = read(name)
    model = adapter(name).validate_json(json.dumps(message))
    assert kept(message, dumped(name, model))
    assert name.startswith("body.") or model.type == message["type"]


@pytest.mark.parametrize("kind", UNIONS)
def test_every_message_there_is_has_a_file(kind: str) -> None:
    types = {model.model_fields["type"].default for model in get_args(UNIONS[kind])}
    assert {read(name)["type"] for name in NAMES if name.startswith(f"{kind}.")} == types


@pytest.mark.parametrize("name", BETWEEN_REPLICAS)
def test_a_field_of_a_newer_replica_is_ignored(name: str) -> None:
    message = read(name)
    newer = {**message, "since_version_2": {"level": 3}}
    assert adapter(name).validate_json(json.dumps(newer)) == adapter(name).validate_json(json.dumps(message))


@pytest.mark.parametrize(
    "name",
    ["body.commands", "body.replies", "body.events", "answer.room_list", "shard.announcement", "live.presence.state"],
)
def test_a_field_of_a_newer_replica_is_ignored_further_down_too(name: str) -> None:
    message = read(name)
    newer = {
        field: [_of_newer_replica(item) for item in value] if isinstance(value, list) else value
        for field, value in message.items()
    }
    assert adapter(name).validate_json(json.dumps(newer)) == adapter(name).validate_json(json.dumps(message))


def _of_newer_replica(item: Any) -> Any:
    return {**item, "since_version_2": 1} if isinstance(item, dict) else item


@pytest.mark.parametrize("name", CLIENT)
def test_an_unknown_field_of_a_client_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        adapter(name).validate_json(json.dumps({**read(name), "since_version_2": 1}))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("body.")])
def test_a_type_of_a_newer_replica_is_refused_where_it_must_be_understood(name: str) -> None:
    with pytest.raises(ValidationError):
        adapter(name).validate_json(json.dumps({**read(name), "type": "since.version.2"}))


@pytest.mark.parametrize("name", NAMES)
def test_no_field_of_a_message_is_lost_between_two_readings(name: str) -> None:
    model = adapter(name).validate_json(json.dumps(read(name)))
    again = adapter(name).validate_json(json.dumps(dumped(name, model)))
    assert again == model


def test_events_that_only_a_newer_replica_knows_pass_through_an_answer() -> None:
    """A reader hands on what the store holds, so that clients newer than it get it whole."""
    assert q.ANSWER.validate_python(read("answer.range")).events[1]["of"] == "a newer replica"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("live.presence", "live.typing"))])
def test_what_the_service_tells_goes_to_clients_as_it_is(name: str) -> None:
    """A gateway passes on the message's body as the frame."""
    assert read(name) == read(name.replace("live", "server", 1))


def test_messages_between_replicas_cannot_be_changed_after_they_are_made() -> None:
    model = c.COMMAND.validate_python(read("command.send"))
    assert isinstance(model, Wire)
    with pytest.raises(ValidationError):
        model.text = "another"  # type: ignore[union-attr,misc]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2026-01-02T03:04:05.678Z", "678Z"), ("2026-01-02T03:04:05Z", "000Z"), ("2026-01-02T05:04:05.678+02:00", "678Z")],
)
def test_moments_are_written_in_utc_with_milliseconds(written: str, seconds: str) -> None:
    event = e.EVENT.validate_json(json.dumps({**read("event.message"), "at": written}))
    assert json.loads(event.model_dump_json())["at"] == f"2026-01-02T03:04:05.{seconds}"
