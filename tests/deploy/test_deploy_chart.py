"""The chart: every feature renders, is hardened, is what serve and the gateways take, and wrong values are refused."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from authorizer import cli, settings
from authorizer.app import endpoints
from authorizer.discovery.kubernetes.kinds import KINDS
from authorizer.gateways import mesh, traefik
from authorizer.gateways.site import Site
from tests.deploy import rendering
from tests.deploy.rendering import CASES, CHART, helm, objects, one, pods

pytestmark = pytest.mark.interop
NAMES = [case.name.removesuffix("-values.yaml") for case in CASES]
HARD = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
SERVICE = "x-authorizer.apps.svc"
IDENTITY = tuple(settings.IDENTITY_HEADERS)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_helm_finds_no_fault(case):
    done = helm("lint", "--strict", f"--kube-version={rendering.KUBERNETES}", f"--values={case}", CHART)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_objects_have_names_of_their_own_and_labels(name):
    made = objects(name)
    places = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in made]
    assert len(set(places)) == len(places)
    for each in made:
        if each["metadata"]["name"] != "more":  # an extra object
            assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "x"


@pytest.mark.parametrize("name", NAMES)
def test_every_container_of_ours_is_hardened(name):
    for pod in pods(name):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is (
            name.startswith("discovery") and pod["metadata"]["name"] == "x-authorizer"
        )
        (container,) = (each for each in spec["containers"] if each["name"] != "beside")
        assert container["securityContext"] == HARD
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_mounted_is_there(name):
    for pod in pods(name):
        claims = {"authorizer-state", "state"}  # of a StatefulSet
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        mounts = {mount["name"] for each in pod["spec"]["containers"] for mount in each.get("volumeMounts", [])}
        assert volumes <= mounts <= volumes | claims


@pytest.mark.parametrize("name", [name for name in NAMES if name != "existing-config"])
def test_serve_takes_the_settings(name):
    configs = [each for each in objects(name) if "authorizer.yaml" in each.get("data", {})]
    assert configs
    for config in configs:
        told = settings.load(config["data"]["authorizer.yaml"], "authorizer.yaml")
        assert told.state == "/var/lib/authorizer"
        sidecar = name.startswith("sidecar")
        assert told.ext_authz.listen.startswith("127.0.0.1:" if sidecar else ("0.0.0.0:", "unix:"))


def test_large_numbers_stay_whole():
    told = settings.load(one("extras", "ConfigMap", suffix="-config")["data"]["authorizer.yaml"], "authorizer.yaml")
    assert told.ext_authz.max_message_bytes == 8_388_608


def test_the_control_plane_takes_its_flags():
    (container,) = one("control-plane", "StatefulSet")["spec"]["template"]["spec"]["containers"]
    args = cli.parser(container["args"]).parse_args(container["args"])
    told = settings.load(one("control-plane", "ConfigMap")["data"]["authorizer.yaml"], "authorizer.yaml")
    assert (args.listen, args.key_id) == ("0.0.0.0:9180", "main")
    assert told.control_plane.url == "https://x-authorizer-control-plane.apps.svc:9180"
    assert list(told.control_plane.keys) == [args.key_id]


def test_the_control_plane_is_scraped_with_its_credential():
    (service,) = (
        each
        for each in objects("control-plane")
        if each["metadata"]["name"] == "x-authorizer-control-plane" and each["kind"] == "Service"
    )
    monitor = one("control-plane", "ServiceMonitor", suffix="-control-plane")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == endpoint["scheme"] == service["spec"]["ports"][0]["name"] == "https"
    assert endpoint["authorization"] == {"credentials": {"name": "authorizer-keys", "key": "authorizer.token"}}
    assert endpoint["tlsConfig"] == {
        "serverName": "x-authorizer-control-plane.apps.svc",
        "ca": {"configMap": {"name": "control-ca", "key": "ca.crt"}},
    }
    plain = objects("control-plane-database", "--set=metrics.serviceMonitor.enabled=true")
    (endpoint,) = next(
        each for each in plain if each["kind"] == "ServiceMonitor" and "control" in each["metadata"]["name"]
    )["spec"]["endpoints"]
    assert endpoint.keys() == {"port", "path", "interval", "authorization"}


def test_several_control_planes_share_a_database():
    made = one("control-plane-database", "StatefulSet")["spec"]
    (container,) = made["template"]["spec"]["containers"]
    args = cli.parser(container["args"]).parse_args(container["args"])
    assert (made["replicas"], args.database) == (2, "/etc/authorizer/database/address")
    assert "volumeClaimTemplates" not in made
    volumes = {volume["name"]: volume for volume in made["template"]["spec"]["volumes"]}
    assert volumes["database"]["secret"]["secretName"] == "control-database"
    assert one("control-plane-database", "PodDisruptionBudget", suffix="-control-plane")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one(name):
    for pod in pods(name):
        for container in pod["spec"]["containers"]:
            if container["name"] != "beside":
                assert cli.parser(container["args"]).parse_args(container["args"]).run


def test_the_service_has_a_port_for_each_worker():
    told = settings.load(one("workers", "ConfigMap")["data"]["authorizer.yaml"], "authorizer.yaml")
    expected = [int(address.rpartition(":")[2]) for address in endpoints.of_ext_authz(told)]
    assert expected == [9191, 9194, 9195, 9196]
    ports = one("workers", "Service", suffix="x-authorizer")["spec"]["ports"]
    assert [port["port"] for port in ports if port["name"].startswith("grpc")] == expected


def test_workloads_of_the_modes():
    kinds = {
        name: {each["kind"] for each in objects(name)} & {"Deployment", "StatefulSet", "DaemonSet"} for name in NAMES
    }
    assert kinds["gateway"] == {"Deployment"}
    assert kinds["follower"] == {"StatefulSet"}
    assert kinds["daemonset"] == kinds["daemonset-socket"] == {"DaemonSet"}
    assert kinds["sidecar"] == kinds["sidecar-plain"] == set()
    assert one("daemonset", "Service", suffix="x-authorizer")["spec"]["internalTrafficPolicy"] == "Local"
    assert "replicas" not in one("scaling", "Deployment")["spec"]


def test_discovery_may_list_and_watch_what_it_reads_and_nothing_else():
    for name, role in (("discovery", "ClusterRole"), ("discovery-namespaces", "Role")):
        for each in objects(name):
            if each["kind"] == role:
                granted = {
                    (group, kind) for rule in each["rules"] for group in rule["apiGroups"] for kind in rule["resources"]
                }
                assert granted == {
                    (kind.group, kind.plural) for kind in KINDS if kind.namespaced or role == "ClusterRole"
                }
                assert all(rule["verbs"] == ["list", "watch"] for rule in each["rules"])


def test_discovery_is_told_what_it_may_read():
    told = settings.load(
        one("discovery-namespaces", "ConfigMap")["data"]["authorizer.yaml"], "authorizer.yaml"
    ).discovery
    assert (told.kubernetes, told.namespaces) == ("in-cluster", ("orders", "payments"))
    assert {"authorizer", "x-authorizer"} <= set(told.asked_as)


def printed(files: dict[str, str], kind: str) -> dict:
    (found,) = (each for text in files.values() for each in yaml.safe_load_all(text) if each.get("kind") == kind)
    return found["spec"]


@pytest.mark.parametrize("kind", ["ServiceEntry", "AuthorizationPolicy", "EnvoyFilter"])
def test_istio_gets_what_the_command_prints(kind):
    files = mesh.istio(Site(grpc=(f"{SERVICE}:9191",), identity=IDENTITY))
    assert one("istio", kind)["spec"] == printed(files, kind)


def test_istio_gets_tls_as_the_command_prints_it():
    files = mesh.istio(Site(grpc=(f"{SERVICE}:9191",), identity=IDENTITY, tls=True, client_certificate=True))
    assert one("tls", "DestinationRule")["spec"] == printed(files, "DestinationRule")


def test_a_mesh_is_told_what_the_command_prints():
    asked = Site(grpc=("127.0.0.1:9191",), identity=IDENTITY)
    flags = ("--set=check.timeoutMilliseconds=250", "--set=check.bodyBytes=8192")
    values = yaml.safe_load(one("sidecar", "ConfigMap", *flags, suffix="-sidecar")["data"]["istio.yaml"])
    files = mesh.istio(Site(grpc=asked.grpc, identity=IDENTITY, timeout=0.25, body_bytes=8192))
    assert values["meshConfig"] == yaml.safe_load(files["mesh.yaml"])["meshConfig"]
    assert one("sidecar", "ServiceEntry")["spec"] == printed(files, "ServiceEntry")


@pytest.mark.parametrize("kind", ["Backend", "SecurityPolicy", "ClientTrafficPolicy"])
def test_envoy_gateway_gets_what_the_command_prints(kind):
    files = mesh.envoy_gateway(Site(grpc=(f"{SERVICE}:9191",), identity=IDENTITY, body_bytes=8192))
    text = json.dumps(printed(files, kind)).replace('"name": "gateway"', '"name": "public"')
    expected = text.replace('"name": "authorizer"', '"name": "x-authorizer"')
    made = one("envoy-gateway", kind)
    assert made["spec"] == json.loads(expected)
    assert made["metadata"]["namespace"] == "gateways"


def test_traefik_gets_what_the_command_prints():
    files = traefik.files(Site(http=(f"{SERVICE}:9192",), identity=IDENTITY, body_bytes=65536))
    middlewares = yaml.safe_load(files["authorizer.yaml"])["http"]["middlewares"]
    assert one("forward-auth", "Middleware", suffix="x-authorizer")["spec"] == middlewares["authorizer"]
    assert one("forward-auth", "Middleware", suffix="-clean")["spec"] == middlewares["clean"]


def test_without_identity_headers_there_is_no_empty_list_of_them():
    """Envoy Gateway's schema refuses one."""
    none = ("--set-json=config.identity_headers={}",)
    assert "earlyRequestHeaders" not in one("envoy-gateway", "ClientTrafficPolicy", *none)["spec"]["headers"]
    middleware = one("forward-auth", "Middleware", *none, suffix="x-authorizer")
    assert "authResponseHeaders" not in middleware["spec"]["forwardAuth"]


def sidecar(name):
    patch = yaml.safe_load(one(name, "ConfigMap", suffix="-sidecar")["data"]["patch.yaml"])
    return patch["spec"]["template"]["spec"]


def test_the_sidecar_is_a_native_one_that_istio_can_inject():
    data = one("sidecar", "ConfigMap", suffix="-sidecar")["data"]
    patch = yaml.safe_load(data["patch.yaml"])["spec"]["template"]["spec"]
    template = yaml.safe_load(yaml.safe_load(data["istio.yaml"])["sidecarInjectorWebhook"]["templates"]["authorizer"])
    assert template["spec"] == patch
    (container,) = patch["initContainers"]
    assert container["restartPolicy"] == "Always"
    assert container["securityContext"] == HARD
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in patch["volumes"]}
    assert "containers" in sidecar("sidecar-plain")


def test_a_native_sidecar_does_not_wait_for_the_proxy_that_waits_for_it():
    """Istio rewrites probes of ports to ask its proxy (pilot-agent, 15020); kubelet starts that after this container."""
    (container,) = sidecar("sidecar")["initContainers"]
    for name, seconds in (("startupProbe", 1), ("livenessProbe", 30)):
        probe = container[name]
        assert set(probe) == {"exec", "failureThreshold", "periodSeconds", "timeoutSeconds"}
        assert (probe["periodSeconds"], probe["timeoutSeconds"]) == (seconds, 5)
        *python, verb, flag, address = probe["exec"]["command"]
        assert python == ["/usr/bin/python3", "-P", "-m", "authorizer"]
        assert (verb, flag, address) == ("health", "--live", "127.0.0.1:9193")
    (container,) = sidecar("sidecar-plain")["containers"]
    assert "httpGet" in container["startupProbe"]


def test_rules_and_dashboard_are_those_of_deploy():
    root = CHART.parents[1] / "deploy"
    rules = yaml.safe_load((root / "prometheus/authorizer.rules.yml").read_text(encoding="utf-8"))
    assert one("monitoring", "PrometheusRule")["spec"] == rules
    shown = one("monitoring", "ConfigMap", suffix="-dashboards")["data"]["authorizer.json"]
    assert json.loads(shown) == json.loads((root / "grafana/authorizer.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["replicaCuont=3"], "replicaCuont"),
        (["image.tagg=1"], "tagg"),
        (["metrics.serviceMonitor.enable=true"], "enable"),
        (["mode=ambient"], "mode"),
        (["replicaCount=two"], "replicaCount"),
        (["workers=0"], "workers"),
        (["ports.admin=80"], "admin"),
        (["ports.admin=9191"], "three different"),
        (["check.timeoutMilliseconds=600000"], "timeoutMilliseconds"),
        (["check.timeoutMilliseconds=0"], "timeoutMilliseconds"),
        (["image.digest=sha256:12"], "digest"),
        (["istio.selector=null", "istio.enabled=true"], "selector"),
        (["networkPolicy.gateways[0].podSelectors=x"], "podSelectors"),
        (["policies.documents.notes\\.txt=x"], "notes.txt"),
        (["controlPlane.url=https://control.example"], "exclude"),
        (["controlPlane.url=ftp://control.example"], "url"),
        (["policies.existingConfigMap="], "no source of policies"),
        (["policies.existingConfigMap=", "controlPlane.url=https://control.example"], "existingSecret"),
        (["policies.existingConfigMap=", "controlPlane.deploy.enabled=true", "controlPlane.existingSecret=a"], "signing.pem"),
        (["controlPlane.deploy.replicas=2"], "database.existingSecret"),
        (["controlPlane.deploy.replicas=0"], "replicas"),
        (["forwardAuth.enabled=true"], "believes nobody"),
        (["traefik.enabled=true"], "forwardAuth.enabled"),
        (["mode=daemonset", "persistence.enabled=true"], "mode gateway"),
        (["mode=sidecar", "autoscaling.enabled=true"], "mode gateway"),
        (["mode=sidecar", "envoyGateway.enabled=true"], "loopback"),
        (["daemonset.hostPath=/run/authorizer"], "mode daemonset"),
        (["mode=daemonset", "daemonset.hostPath=/run/authorizer", "istio.enabled=true"], "name the Service"),
        (["workers=2", "istio.enabled=true"], "scale pods"),
        (["mode=sidecar", "rbac.discovery=true"], "one catalogue"),
        (["serviceAccount.name=theirs"], "set create to false"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_wrong_values_are_refused(flags, told):
    base = [
        "template",
        "x",
        CHART,
        f"--kube-version={rendering.KUBERNETES}",
        "--set=policies.existingConfigMap=policies",
    ]
    done = helm(*base, *(f"--set={flag}" for flag in flags))
    assert done.returncode != 0
    assert told in done.stderr


def test_every_value_has_a_rule_and_every_rule_a_value():
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

    def paths(value: object, rule: dict, at: str = "") -> None:
        if rule.get("additionalProperties") is not False or not isinstance(value, dict):
            return
        known = rule["properties"].keys()
        ours = {"global"} if not at else set()  # Helm's own
        if at not in {".resources", ".controlPlane.deploy.resources"} and not at.startswith(".probes."):
            assert known - ours == value.keys(), at
        for name, item in value.items():
            paths(item, rule["properties"][name], f"{at}.{name}")

    paths(values, schema)


def test_manifests_fit_the_schemas_of_kubernetes(tmp_path):
    schemas = Path(rendering._CACHE / "schemas")
    if not schemas.exists():
        pytest.skip("needs the schemas of Kubernetes: make check-deploy fetches them")
    kubeconform = rendering.tool("kubeconform")
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    known = {"networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"}
    custom = {
        each["kind"]
        for name in NAMES
        for each in objects(name)
        if "." in each["apiVersion"].partition("/")[0] and each["apiVersion"] not in known
    }
    (tmp_path / "all.yaml").write_text("\n---\n".join(rendering.text(case) for case in CASES), encoding="utf-8")
    done = subprocess.run(
        [kubeconform, "-strict", f"-kubernetes-version={rendering.KUBERNETES}", f"-schema-location={location}",
         f"-skip={','.join(sorted(custom))}", "-summary", tmp_path / "all.yaml"],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Invalid: 0, Errors: 0" in done.stdout
