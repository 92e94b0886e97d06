"""What the UI is told about signing in, and what its middleware keeps private."""

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from warren_ui.config import Settings
from warren_ui.login import TokensStayPrivate, secrets, without_hint

OIDC = {
    "auth": "oidc",
    "oidc_metadata_url": "https://login.example.org/.well-known/openid-configuration",
    "oidc_client_id": "chat",
    "oidc_client_secret": "shared with the provider",
    "oidc_redirect_uri": "https://chat.example.org/oauth2callback",
    "cookie_secret": "c" * 32,
}


def test_guests_are_the_default_and_need_nothing() -> None:
    assert secrets(Settings()) is None


def test_streamlit_is_told_all_that_it_needs() -> None:
    assert secrets(Settings.model_validate(OIDC)) == {
        "auth": {
            "redirect_uri": "https://chat.example.org/oauth2callback",
            "cookie_secret": "c" * 32,
            "client_id": "chat",
            "client_secret": "shared with the provider",
            "server_metadata_url": "https://login.example.org/.well-known/openid-configuration",
            "expose_tokens": ["id"],
        }
    }


@pytest.mark.parametrize("missing", sorted(set(OIDC) - {"auth"}))
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(ValidationError, match=f"WARREN_{missing.upper()}"):
        Settings.model_validate({name: value for name, value in OIDC.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth", "jwt"),
        ("cookie_secret", "short"),
        ("oidc_metadata_url", "login.example.org"),
        ("oidc_redirect_uri", "https://chat.example.org/"),
        ("oidc_redirect_uri", "/oauth2callback"),
    ],
)
def test_what_makes_no_sense_is_refused_without_being_repeated(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({**OIDC, name: SecretStr(value) if "secret" in name else value})
    assert "shared with the provider" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://p/logout?client_id=a%20b&id_token_hint=e.y.J&x=", "https://p/logout?client_id=a+b&x="),
        ("https://p/logout?id_token_hint=e.y.J", "https://p/logout"),
        ("https://p/authorize?state=%7E1&scope=a%20b", "https://p/authorize?state=%7E1&scope=a%20b"),
        ("/", "/"),
    ],
)
def test_only_the_token_is_taken_out_of_an_address(before: str, after: str) -> None:
    assert without_hint(before) == after


@pytest.mark.parametrize("https", [True, False])
async def test_cookies_are_for_encrypted_connections_alone_where_there_are_such(https: bool) -> None:
    async def leave(request: Request) -> RedirectResponse:
        response = RedirectResponse("https://p/logout?id_token_hint=e.y.J")
        response.set_cookie("first", "1")
        response.set_cookie("second", "1", secure=True)
        return response

    app = Starlette(routes=[Route("/", leave)], middleware=[Middleware(TokensStayPrivate, https=https)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ui") as http:
        answer = await http.get("/")
    assert answer.headers["location"] == "https://p/logout"
    first, second = (cookie.lower().count("; secure") for cookie in answer.headers.get_list("set-cookie"))
    assert (first, second) == (int(https), 1)
