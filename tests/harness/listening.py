"""TCP servers of tests that leave nothing open when they end."""

import asyncio


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server, and lose none of those who come at this moment.

    asyncio makes the transport of a connection in the turn of the loop after it was accepted, and fails over that if
    the server is closed by then: the socket stays open until it is collected, in the middle of another test.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(2):  # turns of the loop, until those that were accepted have theirs
        await asyncio.sleep(0)
    server.close()
