"""What is unsafe in mesh settings and objects of Istio. Sources: istio.io/api ``mesh/v1alpha1``, ``security/v1``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from authorizer.errors import Place, Problem
from authorizer.gateways.check_manifests import Told, asking, placed, routing
from authorizer.gateways.findings import Expected, finding
from authorizer.gateways.manifests import Document, flag, item, items, name_of, read, text
from authorizer.gateways.site import is_local

_BELIEVED = frozenset({"FORWARD_ONLY", "APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"})
_CLEAN = frozenset({"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"})


def check(documents: Sequence[Document], expected: Expected) -> list[Problem]:
    """Return what is unsafe."""
    found: list[Problem] = []
    providers: set[str] = set()
    asked = False
    meshes = [(document, mesh) for document in documents for mesh in _meshes(document.value)]
    for document, mesh in meshes:
        found += placed(document, _mesh(mesh, expected, providers))
    for document in documents:
        if document.kind == "AuthorizationPolicy" and text(item(document.value, "spec"), "action") == "CUSTOM":
            asked = True
            found += placed(document, _policy(document.value, providers if meshes else None))
        spec = item(document.value, "spec")
        if document.kind == "EnvoyFilter":
            found += placed(document, _patches(document.value))
        elif document.kind == "VirtualService":
            found += placed(document, _virtual(document.value, spec))
        elif document.kind == "HTTPRoute":
            found += placed(document, routing(document.value, spec))
    secured = {text(item(each.value, "spec"), "host") for each in documents if each.kind == "DestinationRule"}
    for document in documents:
        if document.kind == "ServiceEntry" and text(item(document.value, "metadata"), "name") == "authorizer":
            found += placed(document, _entry(document.value, secured))
        if document.kind == "DestinationRule":
            found += placed(document, _rule(document.value))
    if not asked:
        where = documents[0].place if documents else Place("-")
        found.append(finding("AZ910", "no AuthorizationPolicy has the action CUSTOM", where))
    return found


def _meshes(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield mesh settings: in values of Helm, an IstioOperator, the ConfigMap ``istio``, or plain."""
    for holder in (value, item(value, "spec")):
        if mesh := item(holder, "meshConfig"):
            yield mesh
    if value.get("kind") == "ConfigMap" and (inner := text(item(value, "data"), "mesh")):
        yield from (document.value for document in read(inner, "data.mesh"))
    if "extensionProviders" in value:
        yield value


def _mesh(mesh: Mapping[str, Any], expected: Expected, providers: set[str]) -> Told:
    for provider in items(mesh, "extensionProviders"):
        name = text(provider, "name")
        grpc, http = item(provider, "envoyExtAuthzGrpc"), item(provider, "envoyExtAuthzHttp")
        asked = grpc or http
        if not asked:
            continue
        providers.add(name)
        yield from asking(f"provider {name}", asked, expected, default=600.0, body="includeRequestBodyInCheck")
        if http:
            yield from _over_http(f"provider {name}", http, expected)
    if text(item(mesh, "pathNormalization"), "normalization") not in _CLEAN:
        yield "AZ916", "meshConfig: pathNormalization is not MERGE_SLASHES: empty segments reach the API"
    topology = item(item(mesh, "defaultConfig"), "gatewayTopology")
    if text(topology, "forwardClientCertDetails") in _BELIEVED:
        yield "AZ920", "meshConfig: a client's own x-forwarded-client-cert reaches the authorizer and the API"
    hops = topology.get("numTrustedProxies")
    if isinstance(hops, int) and hops > 0:
        yield "AZ919", f"meshConfig: the client's address is {hops} from the right of x-forwarded-for"


def _over_http(where: str, http: Mapping[str, Any], expected: Expected) -> Told:
    if text(http, "pathPrefix").rstrip("/") != "/authz/envoy":
        yield "AZ929", f"{where}: pathPrefix has to be /authz/envoy"
    upstream = {name.lower() for name in http.get("headersToUpstreamOnAllow", []) if isinstance(name, str)}
    if lacking := [name for name in expected.identity if not _listed(upstream, name)]:
        yield "AZ921", f"{where}: headersToUpstreamOnAllow lacks {', '.join(lacking)}"
    if any(_listed(upstream, name) for name in ("authorization", "cookie", "host")):
        yield "AZ922", f"{where}: headersToUpstreamOnAllow takes more than who the caller is"
    if not http.get("includeRequestHeadersInCheck"):
        yield "AZ933", f"{where}: no header but Authorization is sent (includeRequestHeadersInCheck)"


def _listed(names: set[str], name: str) -> bool:
    return any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in names)


def _policy(value: Mapping[str, Any], providers: set[str] | None) -> Told:
    where, spec = name_of(value), item(value, "spec")
    annotations = item(item(value, "metadata"), "annotations")
    if str(annotations.get("istio.io/dry-run", "")).lower() == "true":
        yield "AZ915", f"{where}: a dry run, its denials are not obeyed"
    rules = items(spec, "rules")
    if not rules:
        yield "AZ910", f"{where}: it has no rule, so it asks about nothing"
    elif all(any(rule.values()) for rule in rules):
        yield "AZ914", f"{where}: its rules have conditions; what they do not select passes unasked"
    name = text(item(spec, "provider"), "name")
    if providers is not None and name not in providers:
        yield "AZ910", f"{where}: the provider {name or '-'} is none of extensionProviders"


def _patches(value: Mapping[str, Any]) -> Told:
    where = name_of(value)
    for patch in items(item(value, "spec"), "configPatches"):
        config = item(item(item(patch, "patch"), "value"), "typed_config")
        if flag(config, "failure_mode_allow"):
            yield "AZ911", f"{where}: requests pass when no answer comes (failure_mode_allow)"
        if config.get("normalize_path") is False or config.get("merge_slashes") is False:
            yield "AZ916", f"{where}: paths are not cleaned"
        if config.get("use_remote_address") is False:
            yield "AZ918", f"{where}: a client may claim another address (use_remote_address)"
        chain = item(item(item(item(patch, "match"), "listener"), "filterChain"), "filter")
        removes = text(item(patch, "patch"), "operation") == "REMOVE"
        if removes and "ext_authz" in text(item(chain, "subFilter"), "name"):
            yield "AZ913", f"{where}: it takes the question to the authorizer out"


def _entry(value: Mapping[str, Any], secured: set[str]) -> Told:
    spec = item(value, "spec")
    hosts = [host for host in spec.get("hosts", []) if isinstance(host, str)]
    remote = [text(each, "address") for each in items(spec, "endpoints")]
    remote = [host for host in remote if not host.startswith("unix:") and not is_local(f"{host}:0")]
    if remote and not secured.intersection(hosts):
        yield "AZ923", f"{name_of(value)}: plain text to {', '.join(remote)} (no DestinationRule with TLS)"


def _rule(value: Mapping[str, Any]) -> Told:
    spec = item(value, "spec")
    tls = item(item(spec, "trafficPolicy"), "tls")
    if "authorizer" not in text(spec, "host"):
        return
    if text(tls, "mode") in {"", "DISABLE"}:
        yield "AZ923", f"{name_of(value)}: plain text to the authorizer"
    elif text(tls, "mode") != "ISTIO_MUTUAL" and (
        flag(tls, "insecureSkipVerify") or not tls.get("caCertificates") or not tls.get("subjectAltNames")
    ):
        yield "AZ924", f"{name_of(value)}: any certificate is taken for the authorizer's"


def _virtual(value: Mapping[str, Any], spec: Mapping[str, Any]) -> Told:
    if any(item(rule, "rewrite") and set(item(rule, "rewrite")) != {"authority"} for rule in items(spec, "http")):
        yield "AZ930", f"{name_of(value)}: the API sees another path than the one that is decided (rewrite)"
