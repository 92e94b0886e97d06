"""`GET /v1/ws`: a handshake comes in, and a socket with its connection is what comes of it."""

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket
from warren.contract.codes import Close, Code
from warren.contract.frames import SUBPROTOCOL
from warren.supervise import contained

from warren_gateway.connections.limits import address_of
from warren_gateway.context import AppContext
from warren_gateway.http.errors import problem_response
from warren_gateway.http.rate_limits import PLACE, Place
from warren_gateway.transports.websocket_handshake import EXTENSION, Handshake

router = APIRouter()


@router.websocket("/v1/ws")
async def ws(websocket: WebSocket) -> None:
    """Let one client in; docs/protocol.md describes the frames. Its connection stays when this has returned."""
    gateway: AppContext = websocket.app.state.gateway
    handshake: Handshake = websocket.scope["extensions"][EXTENSION]
    place: Place = websocket.scope["extensions"][PLACE]
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    if (handed_over := handshake.hand_over(gateway.coalescer)) is None:
        return
    socket, early = handed_over
    with contained("connection", lambda: socket.end(Close.FAILED, "something went wrong here")):
        connection = gateway.open(socket, address_of(websocket.scope), frame_bucket=socket.frame_bucket)
        leave = place.keep()

        def ended() -> None:
            try:
                gateway.close(connection)
            finally:
                leave()

        socket.serve(connection, ended, early)


@router.get("/v1/ws", include_in_schema=False)
async def no_upgrade() -> Response:
    """Tell whoever looks for the reason: a proxy on the way does not pass WebSockets on."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return problem_response(426, Code.INVALID, "this is a WebSocket: the request came without its upgrade", upgrade)
