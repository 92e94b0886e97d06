"""`GET /v1/ws`: a WebSocket comes in, and its frames go out to a connection."""

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket
from warren.contract.codes import Code
from warren.contract.frames import SUBPROTOCOL

from warren_gateway.connections.connection import Connection
from warren_gateway.connections.limits import address_of
from warren_gateway.context import AppContext
from warren_gateway.http.errors import problem_response
from warren_gateway.transports.websocket_protocol import EXTENSION, Socket

router = APIRouter()


@router.websocket("/v1/ws")
async def ws(websocket: WebSocket) -> None:
    """Serve one client; docs/protocol.md describes the frames."""
    gateway: AppContext = websocket.app.state.gateway
    socket: Socket = websocket.scope["extensions"][EXTENSION]
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    with gateway.serving(socket, address_of(websocket.scope), frame_bucket=socket.frame_bucket) as connection:
        await _run(websocket, connection)


@router.get("/v1/ws", include_in_schema=False)
async def no_upgrade() -> Response:
    """Tell whoever looks for the reason: a proxy on the way does not pass WebSockets on."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return problem_response(426, Code.INVALID, "this is a WebSocket: the request came without its upgrade", upgrade)


async def _run(websocket: WebSocket, connection: Connection) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await connection.receive(message.get("text"))
