"""Into a gateway by WebSocket: frames that are wrong, frames below the frames, at any time."""

import asyncio
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from fuzz.identifiers import ROOMS, USERS
from fuzz.mutate import encoded, mutated
from fuzz.schema_values import SchemaValues
from fuzz.target import Case, shortened
from harness.raw_clients import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawClient, frame, message, raw_connect
from harness.tokens import token
from warren.contract.codes import Close
from warren.contract.frames import AnyClientFrame

WITHIN = 30.0
"""Seconds for the gateway to answer a ping or to close; a bound, not an expectation."""
HALF_WITHIN = 1.0
"""Seconds after which what may be half a frame is given up: the gateway rightly waits for its rest."""
MOST_FRAMES = 12
UNREAD = 32 * 1024
"""Bytes that may be on their way to who has ended the connection, without TCP taking back what that one said last."""
GREETED = 0.85
"""How often a case says a good hello first."""
BELOW = 0.2
"""How often a case does something that is no frame of the protocol's."""
PONG = 0xA
CODES = {*(int(code) for code in Close), 1000, 1001, 1002, 1003, 1007, 1009}
"""What the protocol, and RFC 6455 for what is wrong below it, let a gateway close with."""
SERVER_FRAME = 256 * 1024
"""Bytes of the longest frame from a gateway."""

_FRAMES = [SchemaValues.of(kind) for kind in get_args(AnyClientFrame)]


@dataclass(frozen=True, slots=True)
class _Script:
    said: list[bytes]
    """Frames with their heads, as they go out."""
    below: bool
    drops: bool
    """Whether the connection is dropped without waiting for anything."""

    @property
    def is_flood(self) -> bool:
        """Whether so much is said that the end may come as a reset, before the close is read."""
        return sum(map(len, self.said)) > UNREAD


class Frames:
    """WebSockets to one gateway after the other."""

    name = "frames"
    per_second = 1_000.0
    at_once = 4

    def __init__(self, gateways: list[str]) -> None:
        self._gateways = gateways

    def show(self, case: Case) -> str:
        """Return what the case says, without the heads of frames."""
        return "\n".join(shortened(repr(said)) for said in _script(case.rng).said)

    async def try_(self, case: Case) -> list[str]:
        """Say all of it, and wait for the gateway to answer a ping or to close."""
        script = _script(case.rng)
        client = await raw_connect(self._gateways[case.number % len(self._gateways)])
        try:
            async with asyncio.timeout(HALF_WITHIN if script.below else WITHIN):
                for said in script.said:
                    if not await client.push(said):
                        break
                return [] if script.drops else await _end(client, forgiving=script.below or script.is_flood)
        except TimeoutError:
            return [] if script.below else [f"no pong and no close within {WITHIN} s"]
        finally:
            client.abort()


async def _end(client: RawClient, *, forgiving: bool) -> list[str]:
    """Read on to the answer to a ping, or to the end. `forgiving`: that may come without a close, or with any."""
    await client.push(message(type="ping"))
    found: list[str] = []
    while True:
        try:
            opcode, payload = await client.read_frame()
        except (OSError, EOFError):
            return found if forgiving else [*found, "the connection ended without a close"]
        if opcode == CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            return found if code in CODES or forgiving else [*found, f"closed with {code}"]
        if len(payload) > SERVER_FRAME:
            found.append(f"a frame of {len(payload)} bytes")
        if opcode == TEXT and json.loads(payload)["type"] == "pong":
            return found


def _script(rng: random.Random) -> _Script:
    said = [message(type="hello", token=token(rng.choice(USERS)))] if rng.random() < GREETED else []
    if rng.random() < 0.5:
        said += [message(type="join", room=room, since=rng.choice((0, 0, 3))) for room in rng.sample(ROOMS, 2)]
    below = rng.random() < BELOW
    for _ in range(rng.randint(1, MOST_FRAMES)):
        said.append(rng.choice(_BELOW)(rng) if below and rng.random() < 0.3 else frame(_text(rng)))
    return _Script(said, below, drops=rng.random() < 0.1)


def _text(rng: random.Random) -> bytes:
    return encoded(mutated(rng.choice(_FRAMES).value(rng), rng), rng)


def _fragments(rng: random.Random) -> bytes:
    text, pieces = _text(rng), rng.choice((2, 3, 50))
    size = len(text) // pieces + 1
    cuts = [text[start : start + size] for start in range(0, len(text), size)] or [b""]
    opcodes = [TEXT, *[CONTINUATION] * (len(cuts) - 1)]
    ends = [False] * (len(cuts) - 1) + [rng.random() < 0.8]
    between = frame(b"p", PING) if rng.random() < 0.5 else b""
    return between.join(frame(cut, opcode, fin=fin) for cut, opcode, fin in zip(cuts, opcodes, ends, strict=True))


_BELOW: tuple[Callable[[random.Random], bytes], ...] = (
    _fragments,
    _fragments,
    lambda rng: frame(_text(rng), BINARY),
    lambda rng: frame(rng.randbytes(rng.choice((0, 10, 125))), PING) * rng.choice((1, 10, 1_000)),
    lambda rng: frame(b"", PONG) * rng.choice((1, 1_000)),
    lambda rng: frame(b"x" * 126, PING),  # control frames are shorter
    lambda rng: frame(b"x", PING, fin=False),
    lambda rng: frame(_text(rng), CONTINUATION),
    lambda rng: frame(_text(rng), rng.choice((0x3, 0x7, 0xB, 0xF))),
    lambda rng: frame(_text(rng), TEXT | 0x40),  # a reserved bit
    lambda rng: frame(b"", CONTINUATION, fin=False) * rng.choice((1, 1_000)),
    lambda rng: frame(_text(rng), length=rng.choice((0, 125, 126, 65_535, 65_537, 2**31, 2**63 - 1))),
    lambda rng: frame(struct.pack("!H", rng.choice((0, 999, 1000, 1005, 1006, 2999, 4999, 5000, 65_535))), CLOSE),
    lambda rng: frame(rng.choice((b"", b"\x03", b"\x03\xe8\xff")), CLOSE),
    lambda rng: b"\x81\x02{}",  # without a mask
    lambda rng: rng.randbytes(rng.randint(1, 100)),
)
"""What is no frame of the protocol's, or is one in a way that no browser sends it."""
