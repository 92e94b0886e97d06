"""A small OpenID Connect provider: one client, a login form that believes everybody, RS256 ID tokens, keys that rotate.

Strict where a client could be sloppy: redirect URI, client secret, PKCE and nonce are required and checked. Written by
hand since the maintained provider for tests, oidc-provider-mock, has one key without an id and tokens of one lifetime.
"""

import base64
import hashlib
import html
import itertools
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from harness.tokens import SigningKey

CLIENT_ID = "warren-chat"
CLIENT_SECRET = "client-secret-only-for-tests"
FORM = """<!doctype html><title>Provider</title><form method="post">{hidden}
<input name="sub" placeholder="User"><input name="name" placeholder="Shown as"><button>Continue</button></form>"""

Fields = dict[str, str]


class Provider:
    """Serves an issuer at `issuer`; what happens there is written down."""

    def __init__(self, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        self.lifetime = 3_600
        """Seconds that an ID token is good for."""
        self.urls: list[str] = []
        """Paths and queries that were asked for."""
        self.tokens: list[str] = []
        """All tokens that were handed out, of any kind."""
        self._serial = itertools.count(1)
        self._codes: dict[str, Fields] = {}
        self.rotate()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._get(self, dict(parse_qsl(urlsplit(self.path).query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                provider._post(self, dict(parse_qsl(body)))

            def log_message(self, format: str, *args: object) -> None:
                provider.urls.append(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.metadata_url = f"{self.issuer}/.well-known/openid-configuration"
        self.jwks_url = f"{self.issuer}/keys"

    def rotate(self) -> None:
        """Sign with a new key from now on, and take the old one back."""
        self._key = SigningKey(f"key-{next(self._serial)}", "RS256")

    @contextmanager
    def running(self) -> Iterator["Provider"]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    # --- what it answers

    def _get(self, asked: BaseHTTPRequestHandler, fields: Fields) -> None:
        match urlsplit(asked.path).path:
            case "/.well-known/openid-configuration":
                _json(asked, 200, self._metadata())
            case "/keys":
                _json(asked, 200, {"keys": [self._key.jwk]})
            case "/authorize" if self._asks_properly(fields):
                hidden = "".join(
                    f'<input type="hidden" name="{name}" value="{html.escape(fields[name])}">'
                    for name in ("state", "nonce", "code_challenge")
                )
                _answer(asked, 200, FORM.format(hidden=hidden).encode(), {"Content-Type": "text/html"})
            case "/logout" if fields.get("post_logout_redirect_uri") == self.redirect_uri:
                _answer(asked, 302, b"", {"Location": self.redirect_uri})
            case "/favicon.ico":
                _answer(asked, 204, b"", {})
            case _:
                _json(asked, 400, {"error": "invalid_request"})

    def _post(self, asked: BaseHTTPRequestHandler, fields: Fields) -> None:
        match urlsplit(asked.path).path:
            case "/authorize":
                code = secrets.token_urlsafe(24)
                self._codes[code] = fields
                back = urlencode({"code": code, "state": fields["state"]})
                _answer(asked, 303, b"", {"Location": f"{self.redirect_uri}?{back}"})
            case "/token":
                grant = self._codes.pop(fields.get("code", ""), None)
                if grant is None or not self._redeems(asked, fields, grant):
                    _json(asked, 400, {"error": "invalid_grant"})
                else:
                    _json(asked, 200, self._issue(grant))
            case _:
                _json(asked, 400, {"error": "invalid_request"})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "end_session_endpoint": f"{self.issuer}/logout",
            "jwks_uri": self.jwks_url,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _asks_properly(self, fields: Fields) -> bool:
        return (
            fields.get("client_id") == CLIENT_ID
            and fields.get("redirect_uri") == self.redirect_uri
            and fields.get("response_type") == "code"
            and "openid" in fields.get("scope", "").split()
            and fields.get("code_challenge_method") == "S256"
            and all(fields.get(name) for name in ("state", "nonce", "code_challenge"))
        )

    def _redeems(self, asked: BaseHTTPRequestHandler, fields: Fields, grant: Fields) -> bool:
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        login = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        return (
            asked.headers.get("Authorization") == f"Basic {login}"
            and fields.get("grant_type") == "authorization_code"
            and fields.get("redirect_uri") == self.redirect_uri
            and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == grant["code_challenge"]
        )

    def _issue(self, grant: Fields) -> dict[str, Any]:
        said = {"name": grant.get("name"), "aud": CLIENT_ID, "nonce": grant["nonce"]}
        token = self._key.token(grant["sub"], expires_in=self.lifetime, issuer=self.issuer, **said)
        access = secrets.token_urlsafe(32)
        self.tokens += [token, access]
        return {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime, "id_token": token}


def _json(asked: BaseHTTPRequestHandler, status: int, body: object) -> None:
    _answer(asked, status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _answer(asked: BaseHTTPRequestHandler, status: int, body: bytes, headers: Fields) -> None:
    asked.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        asked.send_header(name, value)
    asked.end_headers()
    asked.wfile.write(body)
