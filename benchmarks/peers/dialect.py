"""How a socket.io server is spoken to over a bare WebSocket: engine.io protocol 4, socket.io protocol 5, as text.

The first digit is engine.io's packet type (0 open, 1 close, 2 ping, 3 pong, 4 message), the second one, in messages,
socket.io's (0 connect, 1 disconnect, 2 event, 3 ack, 4 refusal). The digits after it number what is to be acked.
"""

from collections.abc import Sequence

from pydantic_core import from_json

from benchmarks.load import Acked, Answer, Delivered, Failed, Heard, Proceed, Ready

PATH = "/socket.io/?EIO=4&transport=websocket"
JOIN = 0
"""The ack number of a join; messages are numbered from 1."""


class SocketIODialect:
    """The events `join`, `send` and `message` of the peers' servers."""

    def hello(self, room: str, member: int) -> Sequence[Sequence[str]]:
        """Await the open packet, connect to the main namespace, and once connected join the room."""
        return [[], ["40"], [f'42{JOIN}["join","{room}"]']]

    def send(self, room: str, key: str, text: str) -> str:
        """Say something; the ack is numbered as the key is."""
        return f'42{key[1:]}["send",{{"room":"{room}","key":"{key}","text":"{text}"}}]'

    def hear(self, payload: bytes) -> Heard:
        """Understand a packet."""
        if payload == b"2":
            return Answer("3")
        if payload.startswith((b"0{", b"40")):
            return Proceed()
        if payload.startswith(b"42"):
            event, message = from_json(payload[2:])
            return Delivered(message["room"], (message["key"],)) if event == "message" else None
        if payload.startswith(b"43"):
            return _acked(payload)
        return Failed(f"the server said {payload.decode()}")


def _acked(payload: bytes) -> Heard:
    start = payload.index(b"[")
    number = int(payload[2:start])
    (answer,) = from_json(payload[start:])
    if "error" in answer:
        return Failed(answer["error"])
    return Ready() if number == JOIN else Acked(f"b{number}")
