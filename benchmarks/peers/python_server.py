"""A chat server as python-socketio's documentation would have it, ready for several processes: the AioPika manager.

A message is stored by a majority before it is emitted, and emitted before it is acked. The manager emits to the
sockets of this process at once, and publishes to RabbitMQ for the others, of which the benchmark has none.
"""

import os
from datetime import UTC, datetime
from typing import Any

import socketio
import uvicorn
from motor.motor_asyncio import AsyncIOMotorClient

server: Any = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    client_manager=socketio.AsyncAioPikaManager(os.environ["PEER_AMQP_URL"]),
)
mongo: Any = AsyncIOMotorClient(os.environ["PEER_MONGO_URL"], w="majority")
messages = mongo.get_default_database().messages


@server.event  # type: ignore[untyped-decorator]
async def join(sid: str, room: str) -> dict[str, str]:
    """Put a connection into a room."""
    await server.enter_room(sid, room)
    return {"room": room}


@server.event  # type: ignore[untyped-decorator]
async def send(sid: str, said: dict[str, str]) -> dict[str, str]:
    """Store, emit, ack."""
    sent = datetime.now(UTC)
    message = {"room": said["room"], "key": said["key"], "sender": sid, "text": said["text"]}
    try:
        stored = await messages.insert_one({**message, "sent": sent})
    except Exception as error:  # whatever it is, the benchmark shall name it
        return {"error": repr(error)}
    number = str(stored.inserted_id)
    await server.emit("message", {"id": number, **message, "sent": sent.isoformat()}, room=said["room"])
    return {"id": number}


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(server),
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        loop="uvloop",
        http="httptools",
        ws_per_message_deflate=False,
        log_level="warning",
    )
