"""`python -m warren_ui`: Streamlit's server, with what the environment says."""

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from warren_ui import login
from warren_ui.config import Settings, check_files_seldom, read_settings

SCRIPT = Path(__file__).with_name("app.py")


def main() -> None:
    """Serve until SIGTERM; what does not depend on the environment is in .streamlit/config.toml."""
    settings = read_settings("ui", Settings)
    check_files_seldom()
    if settings.cookie_secret is not None:
        # The cookie that remembers a sign-in under way is signed before Streamlit looks at its other secrets.
        os.environ["STREAMLIT_SERVER_COOKIE_SECRET"] = settings.cookie_secret.get_secret_value()
    app(settings).run(
        config={
            "server.address": settings.host,
            "server.port": settings.port,
            "logger.level": settings.log_level,
        }
    )


def app(settings: Settings) -> st.App:
    """Return Streamlit's server."""
    https = (settings.oidc_redirect_uri or "").startswith("https:")
    privacy = Middleware(login.TokensStayPrivate, https=https)
    return st.App(SCRIPT, secrets=login.secrets(settings), middleware=[privacy])


if __name__ == "__main__":
    main()
