"""A server of a test that ends while somebody comes leaves no socket open."""

import asyncio
import gc
import socket
import warnings

from harness.listening import stop_listening


async def test_who_comes_at_the_last_moment_is_served() -> None:
    served = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.set()
        writer.transport.abort()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for turns in range(6):
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            with socket.create_connection(server.sockets[0].getsockname()):
                for _ in range(turns):
                    await asyncio.sleep(0)
                await stop_listening(server)
        await served.wait()
        gc.collect()
    assert [str(one.message) for one in told] == []
