"""A web site with a few pages, at an origin of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.listening import stop_listening

TYPES = {"html": "text/html", "js": "text/javascript", "json": "application/json"}


class WebSite:
    """Serves `pages`, by path, and what is put there later."""

    def __init__(self, **pages: str) -> None:
        self.pages = {f"/{name.replace('_', '.')}": text for name, text in pages.items()}
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["WebSite"]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            await stop_listening(server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode().partition("?")[0]
            text = self.pages.get(path)
            body = (text or "").encode()
            status = "200 OK" if text is not None else "204 No Content"  # browsers ask for icons
            kind = TYPES.get(path.rpartition(".")[2], "text/html")
            fields = f"Content-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body)
            await writer.drain()
