"""`GET /v1/ws`: a socket whose handshake is answered gets its connection; who came without one is told."""

from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response
from warren.contract.codes import Close, Code
from warren.supervise import failed

from warren_gateway.context import AppContext
from warren_gateway.http.errors import problem_response
from warren_gateway.transports.websocket_handshake import ServeSocket
from warren_gateway.transports.websocket_protocol import Socket

router = APIRouter()


def serving(gateway: AppContext) -> ServeSocket:
    """Return what has this gateway serve sockets; docs/protocol.md describes the frames."""

    def serve(socket: Socket, address: str, ended: Callable[[], None], early: bytes) -> None:
        try:
            connection = gateway.open(socket, address, frame_bucket=socket.frame_bucket)
        except Exception as error:
            failed("connection", error)
            ended()
            socket.end(Close.FAILED, "something went wrong here")
            return

        def close() -> None:
            try:
                gateway.close(connection)
            finally:
                ended()

        socket.serve(connection, close, early)

    return serve


@router.get("/v1/ws", include_in_schema=False)
async def no_upgrade() -> Response:
    """Tell whoever looks for the reason: a proxy on the way does not pass WebSockets on."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    return problem_response(426, Code.INVALID, "this is a WebSocket: the request came without its upgrade", upgrade)
