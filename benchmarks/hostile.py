"""What a bad request costs beside a good one of the same size: `./dev bench hostile`.

Processor time of the process that reads it (its event loop's thread) for each, in microseconds, one after the other in
one run: a request on a connection of its own, a frame on a WebSocket of its own after its hello, a message on a shard's
queue. What is refused should cost no more than three times what is right.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
import uvloop
from harness.broker_client import BrokerClient, connect_broker, send_command
from harness.raw_clients import CLOSE, TEXT, frame, raw_open, raw_sign_in
from harness.resilient_client import fresh_room, make_room
from harness.stack import Stack
from harness.tokens import token
from warren.contract.frames import FRAME_LIMIT
from warren.contract.topology import COMMANDS, shard, shard_key

from benchmarks.cpu import loop_seconds
from benchmarks.warren import running_stack

Cases = Mapping[str, bytes]
Send = Callable[[bytes], Awaitable[None]]
SIZE = FRAME_LIMIT - 512
MESSAGE = 1_000_000
"""Bytes of a message on the broker, about."""
WITHIN = 60.0
ROOMY = {f"WARREN_{what}_{how}": "100000" for what in ("REFUSALS", "PERSON_JOINS") for how in ("PER_SECOND", "BURST")}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="of each, a tenth of it for messages of 1 MB")
    uvloop.run(bench(parser.parse_args().times))


async def bench(times: int) -> None:
    """Measure each kind."""
    ann, room = token("ann"), fresh_room("hostile")
    async with running_stack(1, 1, **ROOMY) as stack, httpx.AsyncClient() as http:
        gateway = stack.gateways[0].url
        await make_room(http, gateway, room, ann)
        print(f"{'':44}{'good us':>10}{'bad us':>10}{'ratio':>8}", flush=True)
        for name, cases in requests(room).items():
            await compare(stack.gateways[0].pid, name, cases, times, lambda data: request(gateway, data))
        for name, cases in frames(room).items():
            await compare(stack.gateways[0].pid, name, cases, times, lambda data: say(gateway, ann, data))
        await messages(stack, room, max(3, times // 10))


async def compare(pid: int | None, name: str, cases: Cases, times: int, send: Send) -> None:
    """Print what each bad one costs beside the good one."""
    spent = {case: await cost(pid, data, times, send) for case, data in cases.items()}
    good = spent.pop("good")
    for case, bad in spent.items():
        print(f"{f'{name}: {case}':44}{good:10.0f}{bad:10.0f}{bad / good:8.2f}", flush=True)


async def cost(pid: int | None, data: bytes, times: int, send: Send) -> float:
    """Return microseconds of the process for one."""
    assert pid is not None
    await send(data)
    before = loop_seconds(pid)
    for _ in range(times):
        await send(data)
    return (loop_seconds(pid) - before) / times * 1e6


async def request(gateway: str, data: bytes) -> None:
    """Send a request, and read to the end of the connection."""
    reader, writer = await raw_open(gateway)
    try:
        writer.write(data)
        async with asyncio.timeout(WITHIN):
            with suppress(OSError):
                await reader.read()
                while not reader.at_eof():
                    await reader.read()
    finally:
        writer.transport.abort()


async def say(gateway: str, who: str, data: bytes) -> None:
    """Sign in, say a frame, and wait for what is said to it, or for the end."""
    client = await raw_sign_in(gateway, who)
    try:
        await client.push(data)
        async with asyncio.timeout(WITHIN):
            opcode = None
            while opcode not in (TEXT, CLOSE):
                opcode, _ = await client.read_frame()
    finally:
        client.abort()


def posted(path: str, body: bytes, *headers: str) -> bytes:
    """Return a request; the connection ends with its answer."""
    head = [f"POST {path} HTTP/1.1", "Host: gateway", "Connection: close", "Content-Type: application/json",
            f"Content-Length: {len(body)}", *headers, "", ""]  # fmt: skip
    return "\r\n".join(head).encode() + body


def filled(before: str, part: str, after: str, size: int = SIZE, separator: str = ",") -> bytes:
    """Return so many parts that it is of about this size; `#` in them is a number."""
    count = (size - len(before) - len(after)) // (len(part.replace("#", "12345")) + len(separator))
    return (before + separator.join(part.replace("#", str(number)) for number in range(count)) + after).encode()


def long_text(fields: Mapping[str, Any], size: int = SIZE) -> bytes:
    """Return fields with the longest text, and spaces up to the size."""
    return json.dumps({**fields, "text": "\U0001f407" * 4_000}).encode().ljust(size)


def requests(room: str) -> dict[str, Cases]:
    """Return the requests of each route."""
    ann = f"Authorization: Bearer {token('ann')}"
    said, poll, guest = f"/v1/rooms/{room}/messages", "/v1/poll", "/v1/guest"
    rooms = filled('{"wait":0,"cursors":{', f'"{room[:20]}-#":{{"since":1,"epoch":"{"e" * 60}"}}', "}}", 20_000)
    return {
        "guest": {
            "good": posted(guest, b'{"name":"Ann"}'.ljust(1_024)),
            "unknown fields": posted(guest, filled('{"name":"Ann",', '"#":1', "}", 1_024)),
            "63 KB of unknown fields": posted(guest, filled('{"name":"Ann",', '"#":1', "}")),
            "lists in lists": posted(guest, b"[" * 1_024),
            "100 headers": posted(guest, b'{"name":"Ann"}', *(f"h{number}: x" for number in range(90))),
            "2,000 headers": posted(guest, b'{"name":"Ann"}', *("h: x" for _ in range(2_000))),
        },
        "message over HTTP": {
            "good": posted(said, long_text({}), ann),
            "unknown fields": posted(said, filled('{"text":"x",', '"#":1', "}"), ann),
            "empty lists": posted(said, filled('{"text":[', "[]", "]}"), ann),
            "as many lists as are read": posted(said, filled('{"text":[', '["aaaaaaaaaaaa"]', "]}", 34_000), ann),
            "a text too long": posted(said, json.dumps({"text": "x" * (SIZE - 20)}).encode(), ann),
            "a lone surrogate": posted(said, json.dumps({"text": "\ud83d" * 4_000}).encode().ljust(SIZE), ann),
            "no token": posted(said, long_text({})),
        },
        "poll": {
            "good": posted(poll, rooms, ann),
            "cursors of wrong rooms": posted(poll, filled('{"wait":0,"cursors":{', '"A#":{}', "}}", 20_000), ann),
            "unknown fields in a cursor": posted(poll, filled('{"cursors":{"a":{', '"#":1', "}}}", 20_000), ann),
        },
    }  # fmt: skip


def frames(room: str) -> dict[str, Cases]:
    """Return the frames, large ones and small ones."""
    send = {"type": "send", "room": room, "key": "k"}
    head = json.dumps(send)[:-1] + ","
    large = {
        "good": long_text(send),
        "unknown fields": filled(head, '"#":1', "}"),
        "empty lists": filled(head + '"text":[', "[]", "]}"),
        "as many lists as are read": filled(head + '"text":[', '["aaaaaaaaaaaa"]', "]}", 34_000),
        "as many fields as are read": filled(head, '"aaaaaaaa#":1', "}", 34_000),
        "a text too long": json.dumps({**send, "text": "x" * (SIZE - 200)}).encode(),
        "a lone surrogate": json.dumps({**send, "text": "\ud83d" * 4_000}).encode().ljust(SIZE),
        "a number of 60,000 digits": (head + '"reply_to":' + "9" * 60_000 + "}").encode(),
    }
    small = {
        "good": b'{"type":"ping"}',
        "an unknown type": b'{"type":"zork"}',
        "a field missing": b'{"type":"join"}',
        "a lone surrogate": rb'{"type":"join","room":"\ud83d"}',
    }
    return {
        "frame of 64 KiB": {case: frame(data) for case, data in large.items()},
        "frame": {case: frame(data) for case, data in small.items()},
    }


def batch(commands: Sequence[Mapping[str, Any]]) -> bytes:
    """Return commands as one message."""
    return json.dumps({"commands": commands}, ensure_ascii=False).encode()


async def messages(stack: Stack, room: str, times: int) -> None:
    """Compare messages of 1 MB to the writer."""
    number = shard(room)
    good = [send_command(room, "ann", "\U0001f407" * 4_000) for _ in range(40)]
    bad = {
        "empty lists": filled('{"commands":[', "[]", "]}", 600_000),
        "as many lists as are read": filled('{"commands":[[', '["aa"]', "]]}", 700_000),
        "unknown fields": filled('{"commands":[{', '"aaaaaaaaaaaaa#":1', "}]}", MESSAGE),
        "40 bad commands": batch([{**one, "key": "\u00fc"} for one in good]),
        "a number of 1,000,000 digits": b'{"commands":[' + b"9" * MESSAGE + b"]}",
    }  # fmt: skip
    async with connect_broker(stack.amqp_url("gateway"), operator_url=stack.rabbitmq.url) as broker:

        async def commanded(data: bytes) -> None:
            await broker.publish(COMMANDS, shard_key(number), data)
            await behind(broker, room)

        fresh = iter(range(10_000))

        async def stored(_: bytes) -> None:
            renewed = [{**one, "key": f"{next(fresh)}", "id": f"{next(fresh)}"} for one in good]
            await broker.publish(COMMANDS, shard_key(number), batch(renewed))
            await broker.replies(len(renewed))
            await behind(broker, room)

        pid = stack.persistence[0].pid
        right = await cost(pid, b"", times, stored)
        for case, data in bad.items():
            wrong = await cost(pid, data, times, commanded)
            print(f"{f'message of 1 MB: {case}':44}{right:10.0f}{wrong:10.0f}{wrong / right:8.2f}", flush=True)


async def behind(broker: BrokerClient, room: str) -> None:
    """Wait until what was sent to the room's writer before is done with."""
    await broker.command(send_command(room, "ann", "behind it"))
    await broker.replies(1)


if __name__ == "__main__":
    main()
