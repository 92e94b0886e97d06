"""The chat component by itself: a newer token of the same person goes into the living connection."""

from uuid import uuid4

from harness.stack import Stack
from harness.tokens import token
from playwright.async_api import WebSocket, expect
from warren_ui.component import chat_script

from e2e.conftest import Arrive

_MOUNT = """async ({ script, data }) => {
    window.wishes ??= [];
    window.host ??= document.body.appendChild(document.createElement("div"));
    window.chat ??= await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    const setTriggerValue = (_, value) => window.wishes.push(value.wish);
    window.chat.default({ data, parentElement: window.host, setTriggerValue });
}"""
"""As Streamlit calls it, at the mount and at every rerun."""


async def test_a_newer_token_renews_the_connection(arrive: Arrive, stack: Stack) -> None:
    ana = await arrive("Ana Ruiz")
    sockets: list[WebSocket] = []
    ana.page.on("websocket", lambda socket: sockets.append(socket))
    user = f"dora-{uuid4().hex}"
    data = {
        "gateways": [stack.gateways[0].url],
        "user": {"id": user, "name": user},
        "rooms": [],
        "active": None,
        "token": token(user, expires_in=8),
    }
    await ana.page.evaluate(_MOUNT, {"script": chat_script(), "data": data})
    status = ana.page.get_by_test_id("status").last
    await expect(status).to_have_attribute("data-state", "online")
    # Half-way to the end it asks the page for a rerun, which brings a newer token if there is one.
    await ana.page.wait_for_function("window.wishes.includes('refresh')")
    (socket,) = sockets
    newer = {**data, "token": token(user)}
    async with socket.expect_event("framereceived", lambda frame: '"renewed"' in frame):
        await ana.page.evaluate(_MOUNT, {"script": "", "data": newer})
    assert sockets == [socket]
    await expect(status).to_have_attribute("data-state", "online")
