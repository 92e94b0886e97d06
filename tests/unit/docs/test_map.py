"""docs/map.md names every module there is, and none that is gone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "map.md").read_text()
MAPPED = (
    "services/gateway/warren_gateway", "services/persistence/warren_persistence", "services/presence/warren_presence",
    "libs/warren/warren", "libs/client/warren_client", "ui/warren_ui", "bots", "deploy/local/warren_local",
)  # fmt: skip


def has_code(module: Path) -> bool:
    """Whether a module is more than the docstring of its package."""
    return any(not isinstance(statement, ast.Expr) for statement in ast.parse(module.read_text()).body)


def modules(folder: str) -> Iterator[str]:
    """Yield the modules under a folder that have anything in them."""
    for path in (ROOT / folder).rglob("*"):
        place = path.relative_to(ROOT)
        besides = {"__pycache__", "node_modules", "examples"} & set(place.parts) or path.name.startswith("test_")
        if not besides and (path.suffix in (".js", ".ts") or (path.suffix == ".py" and has_code(path))):
            yield str(place)


def named() -> list[str]:
    """Return what the first column of each table names, under the folder of its heading."""
    found = []
    for section in re.split(r"^#{2,3} ", PAGE, flags=re.MULTILINE)[1:]:
        if folder := re.match(r"`([\w/]+)/`", section):
            cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
            found += [f"{folder[1]}/{name}" for cell in cells for name in re.findall(r"`(.+?)`", cell)]
    return found


@pytest.mark.parametrize("folder", MAPPED)
def test_every_module_is_named_once(folder: str) -> None:
    ours = [name for name in named() if name.startswith(f"{folder}/")]
    assert sorted(ours) == sorted(modules(folder))


def test_nothing_else_is_named() -> None:
    assert [name for name in named() if not name.startswith(tuple(f"{folder}/" for folder in MAPPED))] == []


def test_the_files_and_folders_that_the_text_names_are_there() -> None:
    text = "\n".join(line for line in PAGE.splitlines() if not line.startswith(("| `", "#")))
    for name in re.findall(r"`((?:tests|deploy)/[\w/]+)`", text):
        assert (ROOT / name).is_dir(), name
    harness = re.findall(r"`(\w+\.py)`", text)
    assert harness
    for name in harness:
        assert (ROOT / "tests" / "harness" / name).exists(), name


@pytest.mark.parametrize("page", ["README.md", "docs/development.md"])
def test_who_looks_for_it_finds_it(page: str) -> None:
    assert re.search(r"\]\((docs/)?map\.md\)", (ROOT / page).read_text())
