"""Signing in at an OpenID Connect provider: what Streamlit needs for it, and what it would do wrong by itself."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from warren_ui.config import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from streamlit.runtime.secrets import SecretsValue

HINT = "id_token_hint"


def secrets(settings: Settings) -> "dict[str, SecretsValue] | None":
    """Return what Streamlit would else read from its secrets.toml, None if people sign in as guests.

    Handed over in memory: no file has to be kept private.
    """
    if not settings.oidc or settings.oidc_client_secret is None or settings.cookie_secret is None:
        return None
    return {
        "auth": {
            "redirect_uri": settings.oidc_redirect_uri or "",
            "cookie_secret": settings.cookie_secret.get_secret_value(),
            "client_id": settings.oidc_client_id or "",
            "client_secret": settings.oidc_client_secret.get_secret_value(),
            "server_metadata_url": settings.oidc_metadata_url or "",
            "expose_tokens": ["id"],
        }
    }


class TokensStayPrivate:
    """Middleware that keeps the ID token out of addresses, and cookies off unencrypted connections.

    When somebody signs out Streamlit would name the ID token to the provider in the address (`id_token_hint`), from
    where it gets into histories and logs; here it opens the gateways. The provider asks the person instead.
    """

    def __init__(self, app: "ASGIApp", https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass everything on, and look through the headers of each answer."""

        async def sent(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [self._header(name, value) for name, value in message.get("headers", [])]
            await send(message)

        await self._app(scope, receive, sent)

    def _header(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        match name.lower():
            case b"location":
                return name, without_hint(value.decode("latin-1")).encode("latin-1")
            case b"set-cookie" if self._https and b"; secure" not in value.lower():
                return name, value + b"; Secure"
        return name, value


def without_hint(url: str) -> str:
    """Return an address without the token that names whose session is to end."""
    parts = urlsplit(url)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in fields if name != HINT]
    return url if kept == fields else parts._replace(query=urlencode(kept)).geturl()
