"""The files that the pages name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
FOLDERS = ("services", "libs", "ui", "bots", "deploy", "tests", "benchmarks")
FILES = [
    str(path.relative_to(ROOT))
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".js") and "node_modules" not in path.parts
]
YOURS = {"hello.py"}
"""What the tutorial has its reader write."""


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(\w[\w/]*\.(?:py|js))`", (ROOT / page).read_text())) - YOURS
    assert [name for name in sorted(named) if not any(f"/{path}".endswith(f"/{name}") for path in FILES)] == []
