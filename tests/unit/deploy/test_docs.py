"""What docs/deploy.md tells people to type and to expect agrees with what is there."""

import re
import subprocess
import tomllib

import pytest
import yaml
from harness.images import DOCKER, PACKAGES, ROOT
from harness.manifests import KUBERNETES

PAGE = (ROOT / "docs" / "deploy.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
HEAD = (ROOT / "docker-compose.yml").read_text().split("\nname:")[0]
BLOCKS = re.findall(r"```(?:bash|console)\n(.*?)```", PAGE, re.DOTALL)


def values(path: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (KUBERNETES / path).read_text()))


@pytest.mark.parametrize("block", BLOCKS)
def test_commands_can_be_read_by_a_shell(block: str) -> None:
    script = re.sub(r"^\$ ", "", block, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-n"], input=script, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_is_named_is_there() -> None:
    for path in set(re.findall(r"(?<![\w./])(?:deploy|overlays|components|base|production)/[\w./*-]+\w", PAGE + HEAD)):
        found = [*ROOT.glob(path), *KUBERNETES.glob(path), *KUBERNETES.glob(f"overlays/{path}")]
        assert found, path
    for component in re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE):
        assert (KUBERNETES / "components" / component / "kustomization.yaml").exists(), component


def test_services_profiles_and_volumes_are_docker_composes() -> None:
    for service in re.findall(r"--scale (\w+)=", PAGE + HEAD):
        assert service in COMPOSE["services"]
    for profile in re.findall(r"--profile (\w+)", PAGE + HEAD):
        assert any(profile in service.get("profiles", []) for service in COMPOSE["services"].values())
    for words in re.findall(r"docker compose (?:up --wait|logs -f|run --rm) ((?:[a-z]+ ?)+)", PAGE + HEAD):
        assert words.split()[0] in COMPOSE["services"]


def test_figures_are_the_manifests() -> None:
    (threshold,) = values("components/keda/scalers.yaml", r'warren_connections.*\n +threshold: "(\d+)"')
    assert f"{int(threshold):,} each" in PAGE
    (drain,) = values("base/kustomization.yaml", r"WARREN_DRAIN_SECONDS=(\d+)")
    (grace,) = values("base/gateway.yaml", r"terminationGracePeriodSeconds: (\d+)")
    assert f"over {drain} seconds\n  (`WARREN_DRAIN_SECONDS`) and has {grace} to end" in PAGE


def test_versions_are_the_packages() -> None:
    versions = {
        tomllib.loads((path / "pyproject.toml").read_text())["project"]["version"] for path in PACKAGES.values()
    }
    (version,) = versions
    assert set(re.findall(r"warren-[\w$]+:([\d.]+)", PAGE)) == {version}
    assert values("base/kustomization.yaml", r"newTag: (\S+)\}") == {version}
    assert set(re.findall(r"WARREN_VERSION:-([\d.]+)", (ROOT / "docker-compose.yml").read_text())) == {version}
    assert re.findall(r"^ARG VERSION=(.+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE) == [version]
