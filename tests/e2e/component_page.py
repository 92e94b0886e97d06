"""The chat component by itself, in a page that does for it what Streamlit's does, at a third of the cost.

Nothing of it is Streamlit's but the names of two buttons. Signing in, new rooms, and what reruns of the script do to
the chat have their tests at the real page.
"""

import json
from pathlib import Path

import warren_ui.component
from harness.web_site import WebSite
from warren_ui.component import chat_script
from warren_ui.session import COOKIE

_PAGE = """<!doctype html><meta charset="utf-8"><title>Warren</title>
<style>
    body {{ margin: 0; }}
    nav {{ position: absolute; z-index: 1; bottom: 0; }}
    #chat {{
        --st-background-color: #ffffff; --st-secondary-background-color: #f0f2f6; --st-text-color: #31333f;
        --st-primary-color: #0f766e; --st-font: sans-serif;
    }}
</style>
<nav>
    <span class="st-key-browse-rooms"><button>Browse rooms</button></span>
    <span class="st-key-message-somebody"><button>Message somebody</button></span>
</nav>
<div id="chat"></div>
<script type="module">
    import mount from "/chat.js";
    const gateways = {gateways};
    const token = document.cookie.split("; ").find((one) => one.startsWith("{cookie}="))?.split("=")[1] ?? "";
    const parentElement = document.querySelector("#chat").attachShadow({{ mode: "open" }});
    parentElement.append(Object.assign(document.createElement("style"), {{ textContent: {style} }}));
    const ask = async (path) => {{
        for (const gateway of gateways) {{
            const headers = {{ Authorization: `Bearer ${{token}}` }};
            const answer = await fetch(gateway + path, {{ headers }}).catch(() => null);
            if (answer?.ok) return answer.json();
        }}
        return null;
    }};
    let user = null, turn = 0;
    const run = async (what) => {{
        user ??= await ask("/v1/me");
        const rooms = (user && (await ask("/v1/rooms")))?.rooms ?? null;
        const find = what ? {{ what, turn: ++turn }} : null;
        const data = {{ gateways, token, user, rooms, active: null, find }};
        mount({{ data, parentElement, setTriggerValue: () => run() }});
    }};
    for (const [key, what] of [["browse-rooms", "browse"], ["message-somebody", "talk"]]) {{
        document.querySelector(`.st-key-${{key}} button`).onclick = () => run(what);
    }}
    run();
</script>"""


def component_page(gateways: list[str]) -> WebSite:
    """Return the page for these gateways, not served yet."""
    site = WebSite()
    style = Path(warren_ui.component.__file__).with_name("chat.css").read_text(encoding="utf-8")
    page = _PAGE.format(gateways=json.dumps(gateways), cookie=COOKIE, style=json.dumps(style))
    site.pages = {"/": page, "/chat.js": chat_script()}
    return site
