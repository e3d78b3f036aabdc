"""What is unsafe in objects of Envoy Gateway.

Sources: gateway.envoyproxy.io ``v1alpha1``; Gateway API GEP-713 (a policy of a route replaces that of the Gateway).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from authorizer.errors import Place, Problem
from authorizer.gateways.check_manifests import Told, asking, placed, routing
from authorizer.gateways.findings import Expected, finding
from authorizer.gateways.manifests import Document, flag, item, items, name_of, text
from authorizer.gateways.site import is_local


def check(documents: Sequence[Document], expected: Expected) -> list[Problem]:
    """Return what is unsafe in objects of Envoy Gateway and in the routes beside them."""
    found: list[Problem] = []
    policies = [document for document in documents if document.kind == "SecurityPolicy"]
    guards = [document for document in policies if item(item(document.value, "spec"), "extAuth")]
    for document in policies:
        found += placed(document, _security(document.value, expected, elsewhere=bool(guards)))
    for document in documents:
        spec = item(document.value, "spec")
        if document.kind == "ClientTrafficPolicy":
            found += placed(document, _traffic(document.value, spec))
        elif document.kind == "Backend" and text(item(document.value, "metadata"), "name") == "authorizer":
            found += placed(document, _backend(document.value, spec))
        elif document.kind == "HTTPRoute":
            found += placed(document, routing(document.value, spec))
    if not guards:
        where = documents[0].place if documents else Place("-")
        found.append(finding("AZ910", "no SecurityPolicy has extAuth", where))
    if not any(document.kind == "ClientTrafficPolicy" for document in documents) and documents:
        said = "no ClientTrafficPolicy is among the files: how paths and headers are read cannot be told"
        found.append(finding("AZ932", said, documents[0].place))
    return found


def _security(value: Mapping[str, Any], expected: Expected, *, elsewhere: bool) -> Told:
    where, spec = name_of(value), item(value, "spec")
    asked = item(spec, "extAuth")
    if not asked:
        targets = [*items(spec, "targetRefs"), item(spec, "targetRef")]
        if elsewhere and any(text(each, "kind") in {"HTTPRoute", "GRPCRoute"} for each in targets):
            yield "AZ913", f"{where}: it replaces the Gateway's policy for its route, and has no extAuth"
        return
    yield from asking(where, asked, expected, default=10.0, body="bodyToExtAuth")
    listed = [name.lower() for name in asked.get("headersToExtAuth", []) if isinstance(name, str)]
    if listed and "authorization" not in listed:
        yield "AZ933", f"{where}: headersToExtAuth lacks authorization"
    if http := item(asked, "http"):
        if text(http, "path").rstrip("/") != "/authz/envoy":
            yield "AZ929", f"{where}: path has to be /authz/envoy"
        upstream = {name.lower() for name in http.get("headersToBackend", []) if isinstance(name, str)}
        if lacking := [name for name in expected.identity if name not in upstream]:
            yield "AZ921", f"{where}: headersToBackend lacks {', '.join(lacking)}"


def _traffic(value: Mapping[str, Any], spec: Mapping[str, Any]) -> Told:
    where, path, headers = name_of(value), item(spec, "path"), item(spec, "headers")
    if flag(path, "disableMergeSlashes"):
        yield "AZ916", f"{where}: empty path segments reach the API (disableMergeSlashes)"
    if text(path, "escapedSlashesAction") == "KeepUnchanged":
        yield "AZ916", f"{where}: encoded slashes reach the API (escapedSlashesAction)"
    if text(headers, "withUnderscoresAction") == "Allow":
        yield "AZ917", f"{where}: header names with underscores reach the API (withUnderscoresAction)"
    mode = text(item(headers, "xForwardedClientCert"), "mode")
    if mode in {"ForwardOnly", "AppendForward", "AlwaysForwardOnly"}:
        yield "AZ920", f"{where}: a client's own x-forwarded-client-cert reaches the authorizer and the API ({mode})"
    detection = item(spec, "clientIPDetection")
    if item(detection, "customHeader"):
        yield "AZ918", f"{where}: the client's address is what a header says (customHeader)"
    hops = item(detection, "xForwardedFor").get("numTrustedHops")
    if isinstance(hops, int) and hops > 0:
        yield "AZ919", f"{where}: the client's address is {hops} from the right of x-forwarded-for"


def _backend(value: Mapping[str, Any], spec: Mapping[str, Any]) -> Told:
    tls = item(spec, "tls")
    if flag(tls, "insecureSkipVerify"):
        yield "AZ924", f"{name_of(value)}: any certificate is taken for the authorizer's (insecureSkipVerify)"
    hosts = [
        text(item(each, "ip"), "address") or text(item(each, "fqdn"), "hostname") for each in items(spec, "endpoints")
    ]
    remote = [host for host in hosts if host and not is_local(f"{host}:0")]
    if remote and not tls:
        yield "AZ923", f"{name_of(value)}: plain text to {', '.join(remote)}"
