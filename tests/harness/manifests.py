"""The Kubernetes manifests as they are rendered, and what belongs together in them."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from warren_local.home import repository

KUBERNETES = repository() / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
WITHIN = 60
"""Seconds to render an overlay; a bound, not an expectation."""
MISSING = (
    "THE KUBERNETES MANIFESTS WERE NOT RENDERED AND NOT CHECKED, because there is no kubectl of 1.21 or later here and "
    "no kustomize of 4.1 or later (set WARREN_KUSTOMIZE to one)"
)

Object = dict[str, Any]


@functools.cache
def renderer() -> list[str] | None:
    """Return the command that renders a folder, None if there is none that knows components."""
    named = os.environ.get("WARREN_KUSTOMIZE")
    for command in ([named, "build"] if named else [], ["kubectl", "kustomize"], ["kustomize", "build"]):
        if command and shutil.which(command[0]) and _renders([*command, str(KUBERNETES / "overlays" / "local")]):
            return command
    return None


def _renders(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=WITHIN).returncode == 0


@functools.cache
def rendered(overlay: str) -> tuple[Object, ...]:
    """Return an overlay's objects."""
    command = renderer()
    assert command is not None
    done = subprocess.run(
        [*command, str(KUBERNETES / "overlays" / overlay)], check=False, capture_output=True, text=True, timeout=WITHIN
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def secrets() -> dict[str, set[str]]:
    """Return the keys of each Secret that secrets.sh prints."""
    done = subprocess.run(["sh", KUBERNETES / "secrets.sh"], check=True, capture_output=True, text=True, timeout=WITHIN)
    return {one["metadata"]["name"]: set(one["stringData"]) for one in yaml.safe_load_all(done.stdout) if one}


def of_kind(objects: tuple[Object, ...], *kinds: str) -> dict[str, Object]:
    """Return the objects of these kinds by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] in kinds}


def pods(objects: tuple[Object, ...]) -> dict[str, Object]:
    """Return the templates of all pods by the name of what makes them, operators' pods with what operators add."""
    found = {
        name: one["spec"]["template"] for name, one in of_kind(objects, "Deployment", "StatefulSet", "Job").items()
    }
    for name in of_kind(objects, "RabbitmqCluster"):
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "rabbitmq"}
        ports = {"amqp": 5672, "management": 15672, "prometheus": 15692, "epmd": 4369, "cluster-rpc": 25672}
        found[name] = {"metadata": {"labels": labels}, "spec": {"containers": [{"ports": _named(ports)}]}}
    for name, one in of_kind(objects, "MongoDBCommunity").items():
        template = one["spec"]["statefulSet"]["spec"]["template"]
        found[name] = {**template, "spec": {"containers": [{"ports": _named({"mongodb": 27017})}]}}
    return found


def _named(ports: Mapping[str, int]) -> list[Object]:
    return [{"name": name, "containerPort": port} for name, port in ports.items()]


def ports(template: Object) -> dict[str, int]:
    """Return the ports of a pod by name."""
    return {
        port["name"]: port["containerPort"]
        for container in template["spec"]["containers"]
        for port in container.get("ports", [])
    }


def selected(objects: tuple[Object, ...], selector: Object) -> set[str]:
    """Return whose pods a selector selects. That of a Service is its labels alone."""
    if not {"matchLabels", "matchExpressions"} & selector.keys():
        selector = {"matchLabels": selector} if selector else {}
    return {name for name, template in pods(objects).items() if _matches(template["metadata"]["labels"], selector)}


def _matches(labels: Mapping[str, str], selector: Object) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions), "only In is understood here"
    return all(labels.get(one["key"]) in one["values"] for one in expressions)


def containers(template: Object) -> Iterator[Object]:
    """Yield the containers of a pod, those that prepare it first."""
    yield from template["spec"].get("initContainers", [])
    yield from template["spec"]["containers"]


def environment(objects: tuple[Object, ...], container: Object) -> dict[str, str]:
    """Return a container's environment, with `secret-<name>-<key>` for secrets, and variables put in."""
    maps = {name: one.get("data", {}) for name, one in of_kind(objects, "ConfigMap").items()}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        reference = source["configMapRef"]
        found |= maps.get(reference["name"], {}) if reference.get("optional") else maps[reference["name"]]
    for variable in container.get("env", []):
        found[variable["name"]] = re.sub(
            r"\$\(([A-Z_]+)\)", lambda name: found[name.group(1)], _value(maps, variable)
        )  # fmt: skip
    return found


def _value(maps: Mapping[str, Mapping[str, str]], variable: Object) -> str:
    match variable:
        case {"value": value}:
            return str(value)
        case {"valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}:
            return maps[name][key]
        case {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}:
            return f"secret-{name}-{key}-of-more-than-32-characters"
        case {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}:
            return "pod-0"
    raise AssertionError(f"what is {variable}?")


def secret_references(template: Object) -> Iterator[Object]:
    """Yield what a pod refers to of Secrets, but for what may be missing."""
    for container in containers(template):
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference and not reference.get("optional"):
                yield reference


@functools.cache
def schemas() -> dict[str, Object]:
    """Return the schemas of custom resources by kind."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in (KUBERNETES / "schemas").glob("*.yaml")}


def crd(crds: Path, one: Object) -> Path:
    """Return where a checkout of CRDs-catalog has the schema of an object."""
    group, version = str(one["apiVersion"]).split("/")
    return crds / group / f"{one['kind'].lower()}_{version}.json"
