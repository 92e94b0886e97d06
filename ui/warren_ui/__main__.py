"""`python -m warren_ui`: become Streamlit's server, so that signals reach it directly."""

import os
import sys
from pathlib import Path

from warren_ui.config import Settings


def main() -> None:
    """Replace this process by `streamlit run`; what does not depend on the environment is in .streamlit/config.toml."""
    settings = Settings()
    options = {
        "server.address": settings.host,
        "server.port": str(settings.port),
        "logger.level": settings.log_level,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    script = Path(__file__).with_name("app.py")
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(script), *flags])  # noqa: S606


if __name__ == "__main__":
    main()
