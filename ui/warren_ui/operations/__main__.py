"""`python -m warren_ui.operations`: the operations page, a server of its own. Not for the world: it asks nobody who
they are."""

import sys
from pathlib import Path

import streamlit as st

from warren_ui.config import check_files_seldom, read_settings
from warren_ui.operations.config import Settings
from warren_ui.operations.watch import watch

SCRIPT = Path(__file__).with_name("page.py")
STARTED = Path(__file__).parents[1] / "__main__.py"
"""Streamlit reads .streamlit/config.toml beside what was started: here, as if it had been the chat."""


def main() -> None:
    """Watch from now on, so that the first visitor sees what was before, and serve until SIGTERM."""
    settings = read_settings("operations", Settings)
    check_files_seldom()
    watch()
    sys.argv = [str(STARTED)]
    config = {"server.address": settings.host, "server.port": settings.port, "logger.level": settings.log_level}
    st.App(SCRIPT).run(config=config)


if __name__ == "__main__":
    main()
