"""`GET /v1/ws`."""

from fastapi import APIRouter
from starlette.websockets import WebSocket
from warren.contract.frames import SUBPROTOCOL

from warren_gateway.limits import address_of
from warren_gateway.socket import EXTENSION, Socket
from warren_gateway.state import Gateway

router = APIRouter()


@router.websocket("/v1/ws")
async def ws(websocket: WebSocket) -> None:
    """Serve one client; docs/protocol.md describes the frames."""
    gateway: Gateway = websocket.app.state.gateway
    socket: Socket = websocket.scope["extensions"][EXTENSION]
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    client = gateway.client(socket, address_of(websocket.scope))
    gateway.clients.add(client)
    try:
        await client.run(websocket)
    finally:
        gateway.clients.discard(client)
