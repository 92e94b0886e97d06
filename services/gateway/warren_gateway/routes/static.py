"""What a gateway serves that is the same for everybody: `GET /client.js` and `GET /asyncapi.json`."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any

import warren_client
from fastapi import APIRouter, Header, Response
from pydantic_core import to_json
from warren.contract import asyncapi
from warren.contract.codes import Code

from warren_gateway.http.errors import responses

router = APIRouter()


@dataclass(frozen=True)
class File:
    """A body, of this media type, that pages of any origin may load."""

    body: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """Names the body."""
        return f'"{sha256(self.body).hexdigest()[:32]}"'

    def response(self, if_none_match: str) -> Response:
        """Return it, or that what the client has is the same."""
        headers = {
            "ETag": self.etag,
            "Cache-Control": "no-cache",  # asked for again each time, and not sent again until it has changed
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if self.etag in if_none_match:
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


CLIENT = File(warren_client.script().encode(), "text/javascript")
ASYNCAPI = File(to_json(asyncapi.document()), "application/json")
IfNoneMatch = Annotated[str, Header()]


def _answers(file: File, what: str) -> dict[str, Any]:
    return {
        "response_class": Response,
        "responses": {
            **responses(Code.TOO_MANY),
            200: {"description": what, "content": {file.media_type: {}}},
            304: {"description": "What the client has is the same."},
        },
    }


@router.get("/client.js", **_answers(CLIENT, "An ES module."))
async def client_js(if_none_match: IfNoneMatch = "") -> Response:
    """Return the browser's client, as one ES module; docs/embedding.md says how to use it."""
    return CLIENT.response(if_none_match)


@router.get("/asyncapi.json", **_answers(ASYNCAPI, "An AsyncAPI 3 document."))
async def asyncapi_json(if_none_match: IfNoneMatch = "") -> Response:
    """Return what goes over WebSockets and over the broker, for generators and for people; docs/bots.md explains it."""
    return ASYNCAPI.response(if_none_match)
