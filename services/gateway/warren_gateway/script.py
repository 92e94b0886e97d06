"""`GET /client.js`: the browser's client, which pages of any origin may load."""

from hashlib import sha256
from typing import Annotated

import warren_client
from fastapi import APIRouter, Header, Response
from warren.contract.codes import Code

from warren_gateway.problems import responses

router = APIRouter()

BODY = warren_client.script().encode()
ETAG = f'"{sha256(BODY).hexdigest()[:32]}"'
HEADERS = {
    "ETag": ETAG,
    "Cache-Control": "no-cache",  # asked for again each time, and not sent again until it has changed
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@router.get(
    "/client.js",
    response_class=Response,
    responses={
        **responses(Code.TOO_MANY),
        200: {"description": "An ES module.", "content": {"text/javascript": {}}},
        304: {"description": "What the client has is the same."},
    },
)
async def client_js(if_none_match: Annotated[str, Header()] = "") -> Response:
    """Return the browser's client, as one ES module; docs/embedding.md says how to use it."""
    if ETAG in if_none_match:
        return Response(status_code=304, headers=HEADERS)
    return Response(BODY, media_type="text/javascript", headers=HEADERS)
