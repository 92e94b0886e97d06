"""Finds the Chromium of the machine: none is downloaded."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The shell first: a Chromium without windows, menus and settings, which takes 40 % less of a processor for a page."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
MISSING = (
    "The tests of the page need a Chromium or Google Chrome, and none was found: "
    "apt-get install chromium-headless-shell (Debian 12 or newer) or chromium, or set WARREN_CHROMIUM to its path."
)


def chromium() -> str | None:
    """Return the path of the browser: WARREN_CHROMIUM, or the first of the usual names; None if there is none."""
    named = os.environ.get("WARREN_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    return next(filter(None, map(shutil.which, NAMES)), str(mac) if mac.exists() else None)
