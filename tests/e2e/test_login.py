"""People sign in at an OpenID Connect provider, whose tokens the gateway takes; in Chromium against real servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from conftest import BASE_PORT
from harness.concurrency import run_concurrently
from harness.oidc import CLIENT_ID, CLIENT_SECRET, Provider
from harness.resilient_client import bearer, fresh_room
from harness.stack import READY_WITHIN, Stack
from httpx import AsyncClient
from playwright.async_api import Browser, BrowserContext, expect
from warren_local.service import Service

from e2e.chat_page import ChatPage

PORT = BASE_PORT + 1_000 + 491
ADDRESS = f"http://127.0.0.1:{PORT}"
COOKIE_SECRET = "cookies-only-for-tests-cookies-only-for-tests"
ENDED = "Your session has ended. Sign in again."
SHORT = 20
"""Seconds: long enough to be seen online with it, short enough to be waited for."""


@dataclass
class Site:
    """A provider, a gateway that takes its tokens, and a UI that sends people there."""

    provider: Provider
    gateway: Service
    ui: Service
    urls: list[str] = field(default_factory=list)
    """All addresses that any browser has asked for, forwarding included."""


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    with ExitStack() as running:
        provider = running.enter_context(Provider(f"{ADDRESS}/oauth2callback").running())
        gateway = stack.extra(
            "gateway", 3, WARREN_AUTH="jwt", WARREN_SECRET="", WARREN_JWKS=provider.jwks_url,
            WARREN_ISSUER=provider.issuer, WARREN_AUDIENCE=CLIENT_ID, WARREN_LOG_LEVEL="debug",
        )  # fmt: skip
        env = {
            "WARREN_AUTH": "oidc",
            "WARREN_GATEWAYS": gateway.url,
            "WARREN_OIDC_METADATA_URL": provider.metadata_url,
            "WARREN_OIDC_CLIENT_ID": CLIENT_ID,
            "WARREN_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "WARREN_OIDC_REDIRECT_URI": provider.redirect_uri,
            "WARREN_COOKIE_SECRET": COOKIE_SECRET,
            "WARREN_LOG_LEVEL": "debug",
        }
        log = stack.home / "logs" / "ui-oidc.log"
        ui = Service("ui-oidc", "warren_ui", env, PORT, log, health="/_stcore/health", home=stack.home)
        for service in (gateway, ui):
            running.enter_context(service).wait_ready(READY_WITHIN)
        yield Site(provider, gateway, ui)


class Visitor(ChatPage):
    """A person who signs in at the provider."""

    async def sign_in_as(self, sub: str, name: str) -> None:
        """Go to the provider, say who one is, and come back."""
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_placeholder("User").fill(sub)
        await self.page.get_by_placeholder("Shown as").fill(name)
        await self.page.get_by_role("button", name="Continue").click()
        await self.page.wait_for_url(f"{ADDRESS}/")

    async def is_told(self, sentence: str) -> None:
        """Wait for the sign-in page with this on it."""
        await expect(self.page.get_by_test_id("stAlert")).to_contain_text(sentence)
        await self.page.get_by_role("button", name="Sign in").wait_for()


Visit = Callable[[], Awaitable[Visitor]]


@pytest.fixture
async def visit(browser: Browser, site: Site) -> AsyncIterator[Visit]:
    """Bring people to the sign-in page; in the end no token was in an address."""
    contexts: list[BrowserContext] = []

    async def visit() -> Visitor:
        context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
        contexts.append(context)
        context.on("request", lambda request: site.urls.append(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: site.urls.append(socket.url)))
        return await Visitor.arrive(context, ADDRESS)

    yield visit
    await run_concurrently(*(context.close() for context in contexts))
    assert leaked(site.provider, "\n".join([*site.urls, *site.provider.urls])) == []


def leaked(provider: Provider, text: str) -> list[str]:
    """Return what of the provider's tokens is in the text."""
    parts = {part for token in provider.tokens for part in token.split(".")}
    return [part for part in parts if part in text]


async def test_people_sign_in_chat_reload_and_sign_out(site: Site, visit: Visit, http: AsyncClient) -> None:
    ana = await visit()
    await ana.sign_in_as("248289761001", "Ana Ruiz")
    await ana.is_online()
    room = fresh_room("login")
    await ana.create_room("Garden", room)
    await ana.say("Signed in at last")
    await ana.sees("Signed in at last")
    token = site.provider.tokens[-2]
    stored = await http.get(f"{site.gateway.url}/v1/rooms/{room}/messages", headers=bearer(token))
    (message,) = stored.json()["messages"]
    assert (message["sender"], message["name"]) == ("248289761001", "Ana Ruiz")

    handed_out = len(site.provider.tokens)
    await ana.page.reload()
    await ana.is_in(room)
    await ana.sees("Signed in at last")
    assert len(site.provider.tokens) == handed_out
    readable = await ana.page.evaluate("[document.cookie, {...localStorage}, {...sessionStorage}]")
    assert leaked(site.provider, json.dumps(readable)) == []

    async with ana.page.expect_navigation(url=f"{ADDRESS}/"):  # by way of the provider
        await ana.page.locator(".st-key-sign-out button").click()
    assert any(url.startswith(f"/logout?client_id={CLIENT_ID}&") for url in site.provider.urls)
    await ana.page.reload()
    await ana.page.get_by_role("button", name="Sign in").wait_for()
    assert [cookie.get("name") for cookie in await ana.context.cookies()] == ["_streamlit_xsrf"]
    assert ana.troubles == []


async def test_a_restart_of_the_ui_signs_nobody_out(site: Site, visit: Visit) -> None:
    ana = await visit()
    await ana.sign_in_as("ana", "Ana")
    await ana.is_online()
    await asyncio.to_thread(site.ui.stop)
    site.ui.start()
    await asyncio.to_thread(site.ui.wait_ready, READY_WITHIN)
    await ana.page.reload()
    await ana.is_online()


async def test_a_token_that_expires_leads_to_the_sign_in_page(site: Site, visit: Visit) -> None:
    ana = await visit()
    site.provider.lifetime = SHORT
    try:
        await ana.sign_in_as("ana", "Ana")
    finally:
        site.provider.lifetime = 3_600
    await ana.is_online()
    await ana.is_told(ENDED)
    await ana.page.reload()
    await ana.is_told(ENDED)
    await ana.sign_in_as("ana", "Ana")
    await ana.is_online()


async def test_a_key_that_is_rotated_away_leads_to_the_sign_in_page(site: Site, visit: Visit) -> None:
    ana, ben = await run_concurrently(visit(), visit())
    await ana.sign_in_as("ana", "Ana")
    await ana.is_online()
    site.provider.rotate()
    await ben.sign_in_as("ben", "Ben")
    await ben.is_online()
    await ana.page.reload()
    await ana.is_told("You are signed in with your provider, but not here: the token is signed with a key")
    assert (
        "'ana' has signed in at the provider and is refused by the gateway: the token is signed"
        in site.ui.log.read_text()
    )
    await ana.sign_in_as("ana", "Ana")
    await ana.is_online()


async def test_who_cannot_be_a_user_here_is_told_so(site: Site, visit: Visit) -> None:
    """And so is the operator: who, and why."""
    ana = await visit()
    await ana.sign_in_as("auth0|5f7c8ec7c33c6c004bbafe82", "Ana")
    await ana.is_told("but not here: the token's sub cannot be a user id here.")
    line = next(line for line in site.ui.log.read_text().splitlines() if "auth0|5f7c8ec7c33c6c004bbafe82" in line)
    assert "is refused by the gateway: the token's sub cannot be a user id here" in line


async def test_who_does_not_sign_in_stays_outside(visit: Visit) -> None:
    ana = await visit()
    await ana.page.get_by_role("button", name="Sign in").click()
    await ana.page.get_by_placeholder("User").wait_for()
    await ana.page.goto(f"{ADDRESS}/oauth2callback?error=access_denied&state=made-up")
    await ana.page.get_by_role("button", name="Sign in").wait_for()
    await ana.page.goto(f"{ADDRESS}/oauth2callback?code=made-up&state=made-up")
    await ana.page.get_by_role("button", name="Sign in").wait_for()


async def test_nobody_is_a_guest_here(site: Site, visit: Visit, http: AsyncClient) -> None:
    ana = await visit()
    await ana.page.get_by_role("button", name="Sign in").wait_for()
    await expect(ana.page.get_by_placeholder("Your name")).to_have_count(0)
    refusal = await http.post(f"{site.gateway.url}/v1/guest", json={"name": "Ana"})
    assert (refusal.status_code, refusal.json()["code"]) == (404, "not_found")


async def test_no_token_and_no_secret_is_in_any_log(site: Site, visit: Visit) -> None:
    ana = await visit()
    await ana.sign_in_as("ana", "Ana")
    await ana.is_online()
    logs = site.ui.log.read_text() + site.gateway.log.read_text()
    assert leaked(site.provider, logs) == []
    assert CLIENT_SECRET not in logs
    assert COOKIE_SECRET not in logs
