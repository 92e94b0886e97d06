"""The JavaScript that is put together from modules: an export that stays would be a page that is never built."""

import re

from warren_client import enclosed, script
from warren_ui.component import chat_script

EXPORT = re.compile(r"(?:^|\*/)\s*(export\b.*)", re.MULTILINE)


def exports(text: str) -> list[str]:
    """Return what begins an export: at the start of a line, or behind a comment."""
    return EXPORT.findall(text)


def test_only_what_streamlit_calls_is_exported_by_the_chat() -> None:
    assert exports(enclosed()) == []
    (only,) = exports(chat_script())
    assert only.startswith("export default function mount(")


def test_the_client_exports_what_pages_use() -> None:
    (only,) = exports(script())
    assert "WarrenClient" in only
