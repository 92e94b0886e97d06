"""The Kubernetes manifests: valid, and all that has to agree in them and with the code does."""

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
import yaml
from harness import replica_set
from harness.manifests import (
    KUBERNETES,
    MISSING,
    OVERLAYS,
    Object,
    containers,
    crd,
    environment,
    of_kind,
    pods,
    ports,
    rendered,
    renderer,
    schemas,
    secret_references,
    secrets,
    selected,
)
from harness.prometheus import RULES
from harness.settings import SETTINGS, known, read
from kubernetes_validate import utils
from prometheus_client import REGISTRY
from warren.contract.nodes import host_of, node_urls
from warren.contract.topology import QUEUES, SHARDS
from warren.contract.users import login_of
from warren.ops import mongo
from warren_gateway.__main__ import SHUTDOWN_WITHIN
from warren_local.home import repository

if renderer() is None:
    pytest.skip(MISSING, allow_module_level=True)

VERSIONS = ("1.31", "1.37")
"""The oldest Kubernetes that the manifests are for, and the newest whose schemas are at hand."""
SERVERS = {"rabbitmq": 5672, "mongodb": 27017}
NAMESPACE = "warren"
A_BOT: Object = {
    "kind": "Deployment",
    "metadata": {"name": "remind", "namespace": NAMESPACE},
    "spec": {
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "remind", "app.kubernetes.io/component": "bot"}},
            "spec": {"containers": [{"name": "bot", "ports": [{"name": "metrics", "containerPort": 8000}]}]},
        }
    },
}
"""What docs/deploy.md says of bots, which are not of this repository's manifests."""
WATCHED = {"gateway", "persistence", "presence"}


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    """Return the objects of each overlay."""
    return rendered(request.param)


def custom(one: Object) -> bool:
    return one["kind"] in schemas()


def policies(objects: tuple[Object, ...]) -> list[Object]:
    return [one["spec"] for one in of_kind(objects, "NetworkPolicy").values()]


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """Have each of Kubernetes' schemas, megabytes of JSON, read once instead of for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_kubernetes_own_is_valid(objects: tuple[Object, ...], version: str) -> None:
    for one in objects:
        if not custom(one):
            kubernetes_validate.validate(one, version, strict=True)


def test_custom_resources_are_valid(objects: tuple[Object, ...]) -> None:
    for one in filter(custom, objects):
        jsonschema.validate(one, schemas()[one["kind"]], jsonschema.Draft202012Validator)


if "WARREN_CRDS" in os.environ:  # else it is not there to be skipped: deploy/kubernetes/schemas/README.md

    def test_custom_resources_are_valid_for_their_operators(objects: tuple[Object, ...]) -> None:
        for one in filter(custom, objects):
            schema = json.loads(crd(Path(os.environ["WARREN_CRDS"]), one).read_text())
            jsonschema.validate(one, schema, jsonschema.Draft7Validator)


def test_schemas_refuse_what_they_do_not_name() -> None:
    used = {one["kind"] for overlay in OVERLAYS for one in rendered(overlay) if custom(one)}
    assert used == set(schemas())
    for overlay in OVERLAYS:
        for one in filter(custom, rendered(overlay)):
            wrong: Any = {**one, "spec": {**one["spec"], "maxReplicas": 3}}
            with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
                jsonschema.validate(wrong, schemas()[one["kind"]], jsonschema.Draft202012Validator)


def test_everything_is_in_one_namespace(objects: tuple[Object, ...]) -> None:
    assert {one["metadata"].get("namespace") for one in objects if one["kind"] != "Namespace"} == {NAMESPACE}
    assert of_kind(objects, "Namespace").keys() == {NAMESPACE}


@pytest.mark.parametrize("service", SETTINGS)
def test_services_are_given_settings_that_they_take(
    objects: tuple[Object, ...], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = pods(objects)[service]["spec"]["containers"]
    env = environment(objects, container)
    assert {name for name in env if name.startswith("WARREN_")} <= known(service)
    settings = read(service, env, monkeypatch)
    if service in ("gateway", "ui", "operations"):
        return
    assert re.fullmatch(
        rf"mongodb://{service}:secret-warren-store-{service}-[^@]+@mongodb-0\.mongodb-svc:27017.*/warren\?replicaSet=\w+",
        settings.model_dump()["mongo_url"],
    )


def test_page_and_gateways_agree_on_who_signs_in_and_where(objects: tuple[Object, ...]) -> None:
    gateway, ui = (environment(objects, pods(objects)[name]["spec"]["containers"][0]) for name in ("gateway", "ui"))
    assert (gateway["WARREN_AUTH"], ui["WARREN_AUTH"]) in (("guest", "guest"), ("jwt", "oidc"))
    assert ui["WARREN_GATEWAY_INTERNAL"] == "http://gateway:8000"
    for route in of_kind(objects, "Gateway").values():
        (host,) = {listener["hostname"] for listener in route["spec"]["listeners"]}
        assert ui["WARREN_GATEWAYS"] == gateway["WARREN_ORIGINS"] == f"https://{host}"
        assert ui["WARREN_OIDC_REDIRECT_URI"] == f"https://{host}/oauth2callback"
        assert gateway["WARREN_AUDIENCE"] == ui["WARREN_OIDC_CLIENT_ID"]


def test_each_may_use_its_own_login_alone(objects: tuple[Object, ...]) -> None:
    for name in (*SETTINGS, "declare"):
        keys = {(one["name"], one["key"]) for one in secret_references(pods(objects)[name])}
        user = "operator" if name == "declare" else name
        assert {key for secret, key in keys if secret in ("warren-broker", "warren-store")} <= {user}


def test_secrets_are_references_and_all_of_them_are_made(objects: tuple[Object, ...]) -> None:
    assert not of_kind(objects, "Secret")
    made = secrets()
    for template in pods(objects).values():
        for reference in secret_references(template):
            assert reference["key"] in made[reference["name"]]
    for database in of_kind(objects, "MongoDBCommunity").values():
        for user in database["spec"]["users"]:
            assert user["passwordSecretRef"]["key"] in made[user["passwordSecretRef"]["name"]]
    for broker in of_kind(objects, "RabbitmqCluster").values():
        for reference in secret_references(broker["spec"]["override"]["statefulSet"]["spec"]["template"]):
            assert reference["key"] in made[reference["name"]]


def test_services_lead_to_ports_of_pods(objects: tuple[Object, ...]) -> None:
    for service in of_kind(objects, "Service").values():
        (name,) = selected(objects, service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            assert ports(pods(objects)[name])[port["targetPort"]] == port["port"]


def test_the_operations_page_looks_at_all_replicas_and_is_not_the_worlds(objects: tuple[Object, ...]) -> None:
    (container,) = pods(objects)["operations"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "warren_ui.operations"]
    services = of_kind(objects, "Service")
    targets = environment(objects, container)["WARREN_TARGETS"].split(",")
    watched = set()
    for service, url in (target.split("=", 1) for target in targets):
        parts = urlsplit(url)
        spec = services[str(parts.hostname)]["spec"]
        assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
        assert selected(objects, spec["selector"]) == {service}
        assert parts.port in {port["port"] for port in spec["ports"]}
        watched.add(service)
    assert watched == WATCHED
    assert "type" not in services["operations"]["spec"]
    for route in of_kind(objects, "HTTPRoute").values():
        assert "operations" not in json.dumps(route["spec"])


def test_gateways_know_each_other(objects: tuple[Object, ...]) -> None:
    (container,) = pods(objects)["gateway"]["spec"]["containers"]
    peers = urlsplit(environment(objects, container)["WARREN_PEERS"])
    spec = of_kind(objects, "Service")[str(peers.hostname)]["spec"]
    # Who is not ready must be found, too: the others are asked because none may be.
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert selected(objects, spec["selector"]) == {"gateway"}
    assert [port["port"] for port in spec["ports"]] == [peers.port]


def test_services_listen_where_their_image_says(objects: tuple[Object, ...]) -> None:
    dockerfile = (repository() / "deploy" / "docker" / "Dockerfile").read_text()
    (port,) = re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE)
    for name in SETTINGS:
        template = pods(objects)[name]
        assert ports(template) == {"http": int(port)}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert template["spec"]["containers"][0][probe]["httpGet"]["port"] == "http"


def test_each_node_of_a_cluster_is_named() -> None:
    """As the cluster operator names them: pods `NAME-server-N`, found by the headless Service `NAME-nodes`."""
    objects = rendered("production")
    ((name, cluster),) = of_kind(objects, "RabbitmqCluster").items()
    wanted = {f"{name}-server-{number}.{name}-nodes:5672" for number in range(cluster["spec"]["replicas"])}
    users = {"declare": "operator"} | {service: service for service in WATCHED}
    for pod, user in users.items():
        (container,) = pods(objects)[pod]["spec"]["containers"]
        urls = node_urls(environment(objects, container)["WARREN_AMQP_URL"])
        assert {host_of(url) for url in urls} == wanted
        assert {login_of(url) for url in urls} == {user}


def test_everything_that_selects_selects_something(objects: tuple[Object, ...]) -> None:
    for name, one in of_kind(objects, "PodDisruptionBudget", "Deployment", "StatefulSet").items():
        assert selected(objects, one["spec"]["selector"]) == {name}
    for name, template in pods(objects).items():
        for spread in template["spec"].get("topologySpreadConstraints", []):
            assert selected(objects, spread["labelSelector"]) == {name}
    with_bot = (*objects, A_BOT)
    for monitor in of_kind(objects, "PodMonitor").values():
        for name in selected(with_bot, monitor["spec"]["selector"]) or {"nothing"}:
            assert {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} <= ports(pods(with_bot)[name]).keys()


def test_the_operator_of_prometheus_takes_the_same_alerts() -> None:
    rules = KUBERNETES / "components" / "monitoring" / "rules.yaml"
    same = yaml.safe_load(rules.read_text())["spec"] == yaml.safe_load(RULES.read_text())
    assert same, f"make {rules} anew; it says how"


def test_a_budget_for_all_that_must_not_go_at_once(objects: tuple[Object, ...]) -> None:
    lasting = of_kind(objects, "Deployment", "RabbitmqCluster", "MongoDBCommunity")
    assert of_kind(objects, "PodDisruptionBudget").keys() == lasting.keys()


def test_routes_lead_to_services_and_not_to_what_is_not_the_worlds(objects: tuple[Object, ...]) -> None:
    services = {
        (name, port["port"]) for name, one in of_kind(objects, "Service").items() for port in one["spec"]["ports"]
    }
    for route in of_kind(objects, "HTTPRoute").values():
        listeners = {
            (name, one["name"])
            for name, gateway in of_kind(objects, "Gateway").items()
            for one in gateway["spec"]["listeners"]
        }
        assert {(one["name"], one["sectionName"]) for one in route["spec"]["parentRefs"]} <= listeners
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                assert (backend["name"], backend["port"]) in services
                assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
                paths = {match["path"]["value"] for match in rule["matches"]}
                wanted = {"/v1", "/client.js", "/openapi.json", "/asyncapi.json"}
                assert paths == (wanted if backend["name"] == "gateway" else {"/"})


def test_no_more_replicas_than_shards_and_nobody_else_counts_them(objects: tuple[Object, ...]) -> None:
    deployments = of_kind(objects, "Deployment")
    scalers = of_kind(objects, "ScaledObject")
    for name, one in deployments.items():
        assert ("replicas" in one["spec"]) != (name in scalers)
    for name, scaler in scalers.items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert name in deployments
        if name != "gateway":
            assert scaler["spec"]["maxReplicaCount"] == SHARDS


def test_scalers_ask_for_what_there_is(objects: tuple[Object, ...]) -> None:
    metrics = {sample.name for metric in REGISTRY.collect() for sample in metric.samples} | {"warren_connections"}
    queues = {queue.name for queue in QUEUES}
    for name, scaler in of_kind(objects, "ScaledObject").items():
        (trigger,) = scaler["spec"]["triggers"]
        query = trigger["metadata"]["query"]
        assert f'namespace="{NAMESPACE}"' in query
        assert set(re.findall(r"\bwarren_\w+", query)) <= metrics
        for pattern in re.findall(r'queue=~"([^"]+)"', query):
            found = {queue for queue in queues if re.fullmatch(pattern, queue)}
            assert len(found) == SHARDS
            wanted = "warren.commands." if name == "persistence" else "warren.presence."
            assert all(queue.startswith(wanted) for queue in found)


def test_a_pod_has_the_time_to_end_in_order(objects: tuple[Object, ...]) -> None:
    template = pods(objects)["gateway"]
    drain = float(environment(objects, template["spec"]["containers"][0])["WARREN_DRAIN_SECONDS"])
    assert drain > 0
    assert template["spec"]["terminationGracePeriodSeconds"] >= drain + SHUTDOWN_WITHIN + 10


def test_pods_are_restricted(objects: tuple[Object, ...]) -> None:
    """Pod Security Standards, `restricted`, and a root that is not written to."""
    for template in (one["spec"]["template"] for one in of_kind(objects, "Deployment", "StatefulSet", "Job").values()):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all(volume.keys() & {"emptyDir", "configMap"} for volume in spec["volumes"])
        for container in containers(template):
            confined = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["securityContext"] == confined
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}
    (namespace,) = of_kind(objects, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_are_those_of_docker_compose(objects: tuple[Object, ...]) -> None:
    compose = yaml.safe_load((repository() / "docker-compose.yml").read_text())
    known_images = {re.sub(r"\$\{\w+:-(.*)\}", r"\1", one["image"]) for one in compose["services"].values()}
    brokers = (one["spec"]["image"] for one in of_kind(objects, "RabbitmqCluster").values())
    templates = (one["spec"]["template"] for one in of_kind(objects, "Deployment", "StatefulSet", "Job").values())
    for image in (*brokers, *(container["image"] for template in templates for container in containers(template))):
        assert image.removeprefix("registry.example.org/") in known_images
    for database in of_kind(objects, "MongoDBCommunity").values():
        assert f"mongo:{database['spec']['version'].rpartition('.')[0]}" in known_images


def test_the_databases_users_have_the_rights_that_are_tried() -> None:
    rights = json.loads((repository() / "deploy" / "mongodb" / "rights.json").read_text())
    (database,) = of_kind(rendered("production"), "MongoDBCommunity").values()
    db = rights["database"]
    assert database["spec"]["security"]["roles"] == [role | {"db": db} for role in rights["roles"]]
    users = {user["name"]: (user["db"], user["roles"]) for user in database["spec"]["users"]}
    assert users.pop("operator") == ("admin", [{"name": "root", "db": "admin"}])
    wanted = {
        user["user"]: (db, [one if isinstance(one, dict) else {"role": one, "db": db} for one in user["roles"]])
        for user in rights["users"]
    }
    assert users == {
        name: (at, [{"name": one["role"], "db": one["db"]} for one in roles]) for name, (at, roles) in wanted.items()
    }


def test_policies_name_pods_and_ports_that_exist() -> None:
    objects = (*rendered("production"), A_BOT)
    everything = pods(objects)
    for policy in policies(objects):
        subjects = selected(objects, policy["podSelector"])
        assert subjects
        for rule in policy.get("ingress", []):
            for subject in subjects:
                numbers = ports(everything[subject])
                assert {port["port"] for port in rule["ports"]} <= {*numbers, *numbers.values()}
        for rule in (*policy.get("ingress", []), *policy.get("egress", [])):
            for peer in (*rule.get("from", []), *rule.get("to", [])):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    assert selected(objects, peer["podSelector"])


def allowed(objects: tuple[Object, ...], source: str, target: str, port: int) -> bool:
    """Whether policies let `source` out to `target`, and let it in there."""
    out = any(
        target in selected(objects, peer["podSelector"]) and {"port": port} in rule["ports"]
        for policy in policies(objects)
        if source in selected(objects, policy["podSelector"])
        for rule in policy.get("egress", [])
        for peer in rule.get("to", [])
        if "podSelector" in peer and "namespaceSelector" not in peer
    )
    into = any(
        source in selected(objects, peer["podSelector"])
        and {one["port"] for one in rule["ports"]}
        & {port, *(n for n, p in ports(pods(objects)[target]).items() if p == port)}
        for policy in policies(objects)
        if target in selected(objects, policy["podSelector"])
        for rule in policy.get("ingress", [])
        for peer in rule.get("from", [])
        if "podSelector" in peer and "namespaceSelector" not in peer
    )
    assert out == into, f"{source} to {target}: out {out}, in {into}"
    return out


def test_each_reaches_what_it_uses_and_nothing_else() -> None:
    objects = rendered("production")
    for policy in policies(objects):
        if selected(objects, policy["podSelector"]) == pods(objects).keys() and "Ingress" in policy["policyTypes"]:
            assert "ingress" not in policy
            break
    else:
        pytest.fail("nothing forbids everything")
    for name in (*SETTINGS, "declare"):
        env = environment(objects, pods(objects)[name]["spec"]["containers"][0])
        uses = {"rabbitmq": "WARREN_AMQP_URL" in env, "mongodb": "WARREN_MONGO_URL" in env}
        assert {server: allowed(objects, name, server, port) for server, port in SERVERS.items()} == uses
        for other in set(SETTINGS) - {name}:
            watches = name == "operations" and other in WATCHED
            assert allowed(objects, name, other, 8000) == (watches or (name, other) == ("ui", "gateway"))
    assert allowed(objects, "gateway", "gateway", 8000)
    assert allowed((*objects, A_BOT), "remind", "rabbitmq", 5672)
    assert allowed(objects, "mongodb", "mongodb", 27017)
    assert allowed(objects, "rabbitmq", "rabbitmq", 25672)


def test_the_members_of_the_database_are_those_that_are_tried() -> None:
    (database,) = of_kind(rendered("production"), "MongoDBCommunity").values()
    assert database["spec"]["automationConfig"]["replicaSet"]["settings"] == replica_set.SETTINGS
    assert database["spec"]["additionalMongodConfig"]["setParameter"] == replica_set.PARAMETERS


def _settings(conf: str) -> dict[str, str]:
    """Return what a rabbitmq.conf says, but for what depends on the machine."""
    found = dict(re.findall(r"^([\w.]+) = (.*)$", conf, re.MULTILINE))
    return {
        name: value for name, value in found.items() if name not in ("load_definitions", "disk_free_limit.absolute")
    }


def test_without_kubernetes_clusters_are_set_up_alike() -> None:
    """What docs/cluster.md has people write into rabbitmq.conf, the replica set's settings and mongod.conf."""
    page = (repository() / "docs" / "cluster.md").read_text()
    (conf,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    (broker,) = of_kind(rendered("production"), "RabbitmqCluster").values()
    ours = _settings(broker["spec"]["rabbitmq"]["additionalConfig"])
    assert {name: value for name, value in _settings(conf).items() if not name.startswith("cluster_formation.")} == ours
    said = re.findall(r"^config\.settings\.(\w+) = (\d+)", page, re.M)
    assert {name: int(value) for name, value in said} == replica_set.SETTINGS
    (mongod,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert yaml.safe_load(mongod) == {"setParameter": replica_set.PARAMETERS}


def test_a_driver_leaves_a_halted_primary_before_there_is_another() -> None:
    """So that what waits for it is done as soon as can be; and an operation outlasts the election."""
    election, catch_up = replica_set.SETTINGS.values()
    assert election > mongo.HEARTBEAT + mongo.SELECTION_TIMEOUT
    assert (election * 1.15 + catch_up) * 1.5 < mongo.OPERATION_TIMEOUT  # members wait up to 15 % longer, at random


def test_the_example_is_marked_where_it_must_be_changed() -> None:
    text = (KUBERNETES / "overlays" / "production" / "kustomization.yaml").read_text()
    marked = re.split(r"^ *# CHANGE", text, flags=re.MULTILINE)
    assert "example.org" not in marked[0]
    assert "CHANGE-ME" not in json.dumps(rendered("production"))
