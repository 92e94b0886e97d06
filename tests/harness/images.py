"""What is in the images that deploy/docker/Dockerfile builds, without an engine to build them."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from warren_local.home import repository

ROOT = repository()
DOCKER = ROOT / "deploy" / "docker"
PACKAGES = {
    "warren-core": ROOT / "libs/warren",
    "warren-client": ROOT / "libs/client",
    "warren-gateway": ROOT / "services/gateway",
    "warren-persistence": ROOT / "services/persistence",
    "warren-presence": ROOT / "services/presence",
    "warren-ui": ROOT / "ui",
}
"""Warren's own packages that are in images, and where they lie."""
IMAGES = {
    "gateway": "warren-gateway",
    "persistence": "warren-persistence",
    "presence": "warren-presence",
    "ui": "warren-ui",
    "operator": "warren-core[broker]",
    "echo": "warren-core[bot]",
    "bots": "warren-core[bots]",
}
"""What is installed in each image; `bots` is for every bot that has no list of its own."""


def listed(name: str) -> dict[str, str]:
    """Return the packages, with versions, in an image's list, of those that this Python on this system takes."""
    lines = (DOCKER / f"{name}.txt").read_text().splitlines()
    wanted = [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in wanted}


def needed(image: str) -> tuple[set[str], set[str]]:
    """Return the names of Warren's packages and of the others in an image, found by following what each requires."""
    ours: set[str] = set()
    others: set[str] = set()
    _follow(Requirement(IMAGES[image]), set(), ours, others)
    return ours, others


def _follow(wanted: Requirement, seen: set[str], ours: set[str], others: set[str]) -> None:
    name = canonicalize_name(wanted.name)
    (ours if name in PACKAGES else others).add(name)
    for extra in ("", *sorted(wanted.extras)):
        if f"{name}[{extra}]" not in seen:
            seen.add(f"{name}[{extra}]")
            for requirement in _requirements(name, extra):
                _follow(requirement, seen, ours, others)


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    """Yield what a package requires, with an extra or without one."""
    for requirement in map(Requirement, _declared(name, extra)):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _declared(name: str, extra: str) -> Iterable[str]:
    if name not in PACKAGES:
        return metadata.requires(name) or ()
    project = tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text())["project"]
    found: list[str] = project["optional-dependencies"][extra] if extra else project.get("dependencies", [])
    return found


def locked() -> dict[str, str]:
    """Return the entries of requirements.lock by their `name==version`."""
    text = (ROOT / "requirements.lock").read_text()
    return {entry.split()[0]: entry for entry in re.split(r"\n(?=[a-z0-9])", text)}


def furnish(folder: Path, ours: Iterable[str], others: Iterable[str]) -> None:
    """Make a folder that holds these packages and no others, by links to where they are installed."""
    for name in ours:
        for package in PACKAGES[name].glob("warren*/__init__.py"):
            (folder / package.parent.name).symlink_to(package.parent)
    for name in others:
        installed = metadata.distribution(name)
        files = {file.parts for file in installed.files or () if ".." not in file.parts and len(file.parts)}
        _link(Path(str(installed.locate_file(""))), folder, files)


def _link(source: Path, target: Path, files: set[tuple[str, ...]]) -> None:
    for top in {parts[0] for parts in files} - {"__pycache__"}:
        inside = {parts[1:] for parts in files if parts[0] == top and len(parts) > 1}
        if inside and not (source / top / "__init__.py").exists() and not top.endswith(".dist-info"):
            (target / top).mkdir(exist_ok=True)  # several packages may have modules in it
            _link(source / top, target / top, inside)
        elif not (target / top).exists():
            (target / top).symlink_to(source / top)
