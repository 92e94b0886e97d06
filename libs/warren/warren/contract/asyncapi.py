"""The contract as an AsyncAPI 3 document: the client wire over WebSocket, and what bots and consumers do on the broker.

Made from the models, so that it cannot say anything else than they do.
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json

from warren.contract import bundles, commands, events, frames, presence, queries
from warren.contract.topology import BOT_COMMANDS, BOT_QUERIES, EVENTS, LIVE

_LONG_NAME = re.compile(r"warren__contract__([a-z]+)__")
"""What pydantic calls models of which there are two of the same name."""
Models = tuple[type[BaseModel], ...]

_CLIENT: Models = get_args(frames.AnyClientFrame)
_SERVER: Models = (*get_args(frames.ServerFrame), events.Events)
_LIVE: Models = (presence.Presence, presence.IsTyping, presence.Partial)
_BOT_QUERIES: Models = tuple(
    query for query in get_args(queries.AnyQuery) if query not in (queries.Heads, queries.RoomAccesses)
)
_ANSWERS: Models = get_args(queries.AnyAnswer)
_AMQP_EVENT_HEADERS = {
    "type": "object",
    "properties": {
        "first": {"type": "integer", "description": "The first seq in the message."},
        "last": {"type": "integer", "description": "The last."},
        "number": {"type": "integer", "description": "How many messages the room has at `last`."},
        "epoch": {"type": "string", "description": "Names the database; another one is another log."},
        "stored": {"type": "integer", "description": "When it was stored, in Unix milliseconds."},
    },
}


_BUNDLE = (
    "Events of many rooms, for gateways; bots get a message a room. The AMQP `type` is `bundle`. The payload is a line "
    "of JSON, which the schema describes, and after it the runs of the rooms, one after the other. Each is the JSON of "
    "an Events frame, as clients get it, of as many bytes as `sizes` says."
)


def document() -> dict[str, Any]:
    """Return the document, as JSON."""
    models: Models = (
        *_CLIENT,
        *_SERVER,
        bundles.BundleIndex,
        *_LIVE,
        commands.Commands,
        commands.Replies,
        *_BOT_QUERIES,
        *_ANSWERS,
    )
    unique = list(dict.fromkeys(models))
    refs, schemas = models_json_schema(
        [(model, "validation") for model in unique], ref_template="#/components/schemas/{model}"
    )
    names = {model: refs[model, "validation"]["$ref"].rsplit("/", 1)[1] for model in unique}
    text = _LONG_NAME.sub(r"\1.", to_json(_document(names, schemas)).decode())
    found: dict[str, Any] = json.loads(text, object_hook=_as_asyncapi)
    return found


def _as_asyncapi(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema with the discriminator as AsyncAPI has it: a name, where OpenAPI has an object."""
    found = schema.get("discriminator")
    return {**schema, "discriminator": found["propertyName"]} if isinstance(found, dict) else schema


def _document(names: dict[type[BaseModel], str], schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Warren",
            "version": "1",
            "description": "Chat on a message broker. What frames mean: docs/protocol.md. What bots do: docs/bots.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {"host": "localhost:8000", "protocol": "ws", "description": "Any gateway."},
            "broker": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "RabbitMQ.",
            },
        },
        "channels": _channels(names),
        "operations": _operations(names),
        "components": {
            "schemas": schemas["$defs"],
            "messages": {name: _message(model, name) for model, name in names.items()},
        },
    }


def _message(model: type[BaseModel], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}}
    if summary := (model.__doc__ or "").strip().partition("\n")[0]:
        found["summary"] = summary
    if model is events.Events:
        found["headers"] = _AMQP_EVENT_HEADERS
    if model is bundles.BundleIndex:
        found |= {"contentType": "application/octet-stream", "description": _BUNDLE}
    return found


def _channels(names: dict[type[BaseModel], str]) -> dict[str, Any]:
    room = {
        "bucket": {"description": "crc32(room) mod 4096; in a message for bots alone, a number beyond these."},
        "room": {"description": "The room's id."},
    }
    buckets = {"bucket": {"description": "crc32(room) mod 4096 of a room in it; 4098, if its rooms have many."}}
    return {
        "socket": _channel("/v1/ws", "gateway", names, (*_CLIENT, *_SERVER)),
        "events": _channel("ev.{bucket}.{room}", "broker", names, (events.Events,), EVENTS, "topic", room),
        "bundles": _channel("ev.{bucket}.bundle", "broker", names, (bundles.BundleIndex,), EVENTS, "topic", buckets),
        "live": _channel("ev.{bucket}.{room}", "broker", names, _LIVE, LIVE, "topic", room),
        "commands": _channel("", "broker", names, (commands.Commands,), BOT_COMMANDS, "fanout"),
        "queries": _channel("", "broker", names, _BOT_QUERIES, BOT_QUERIES, "fanout"),
        "mailbox": {
            "address": None,
            "description": "An exclusive queue of one's own, named `<login>.<16 hex digits>` and given as `reply_to`.",
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": _references(names, (commands.Replies, *_ANSWERS)),
        },
    }  # fmt: skip


def _channel(
    address: str, server: str, names: dict[type[BaseModel], str], models: Models, exchange: str = "", kind: str = "",
    parameters: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {
        "address": address,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": _references(names, models),
    }
    if exchange:
        amqp = {
            "is": "routingKey",
            "exchange": {"name": exchange, "type": kind, "durable": True},
            "bindingVersion": "0.3.0",
        }
        found["bindings"] = {"amqp": amqp}
    if parameters:
        found["parameters"] = parameters
    return found


def _references(names: dict[type[BaseModel], str], models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    return {names[model]: {"$ref": f"#/components/messages/{names[model]}"} for model in models}


def _operations(names: dict[type[BaseModel], str]) -> dict[str, Any]:
    """What a client or bot does: `send` is from there to Warren."""
    return {
        "speak": _operation("send", "socket", names, _CLIENT, "Frames from a client."),
        "hear": _operation("receive", "socket", names, _SERVER, "Frames to a client."),
        "follow": _operation("receive", "events", names, (events.Events,), "What was stored, from one's own queue."),
        "take": _operation("receive", "bundles", names, (bundles.BundleIndex,), "What was stored in many rooms."),
        "show": _operation("send", "live", names, (presence.IsTyping, presence.Partial), "What does not last."),
        "command": {
            **_operation("send", "commands", names, (commands.Commands,), "What is to happen."),
            "reply": {
                "channel": {"$ref": "#/channels/mailbox"},
                "messages": _in("mailbox", names, (commands.Replies,)),
            },
        },
        "ask": {
            **_operation("send", "queries", names, _BOT_QUERIES, "What one wants to know."),
            "reply": {"channel": {"$ref": "#/channels/mailbox"}, "messages": _in("mailbox", names, _ANSWERS)},
        },
    }


def _operation(
    action: str, channel: str, names: dict[type[BaseModel], str], models: Models, summary: str
) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": _in(channel, names, models),
    }


def _in(channel: str, names: dict[type[BaseModel], str], models: Models) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{names[model]}"} for model in models]
