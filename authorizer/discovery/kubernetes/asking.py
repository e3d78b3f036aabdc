"""Who is asked before requests reach an API: Istio's AuthorizationPolicy, Envoy Gateway's SecurityPolicy.

Sources: istio.io/api ``security/v1beta1/authorization_policy.proto``; envoyproxy/gateway ``api/v1alpha1``
(securitypolicy_types.go, ext_auth_types.go). A policy of a route takes the place of its gateway's.
"""

from collections.abc import Iterator, Mapping

from authorizer.discovery.kubernetes.kinds import (
    AUTHORIZATION_POLICY,
    GATEWAY,
    GATEWAY_CLASS,
    SECURITY_POLICY,
    SERVICE,
    Kind,
)
from authorizer.discovery.kubernetes.objects import Cluster, Key, annotations, fits, labels, selects
from authorizer.discovery.proto_json import Json, flag, message, messages, text
from authorizer.model import UNASKED

ISTIO_ROOT = "istio-system"
"""The namespace whose policies hold for the whole mesh, if the mesh does not name another."""

_ENVOY_GATEWAY = "gateway.envoyproxy.io/"
_ISTIO = "istio.io/"
_GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"


def of_route(seen: Cluster, kind: Kind, key: Key, route: Json) -> set[str] | None:
    """Return the flags that a SecurityPolicy on a route gives it; None where there is none: its gateways' count."""
    found = [
        policy
        for (namespace, _), policy in seen.of(SECURITY_POLICY)
        if namespace == key[0] and _targets(message(policy, "spec"), kind, key[1], labels(route))
    ]
    if not found:
        return None
    merged = any(text(message(policy, "spec"), "mergeType") for policy in found)
    asked = [policy for policy in found if message(message(policy, "spec"), "extAuth")]
    if not asked:
        return None if merged else {"ext_authz_disabled"}
    return _together([_security(seen, policy) for policy in asked])


def of_gateway(seen: Cluster, key: Key) -> set[str]:
    """Return the flags of a Gateway of the Gateway API."""
    gateway = seen.find(GATEWAY, key)
    if gateway is None:
        return {"ask_unknown"}
    flags = [
        _security(seen, policy)
        for (namespace, _), policy in seen.of(SECURITY_POLICY)
        if namespace == key[0]
        and message(message(policy, "spec"), "extAuth")
        and _targets(message(policy, "spec"), GATEWAY, key[1], labels(gateway))
    ]
    pods = {**labels(gateway), _GATEWAY_LABEL: key[1]}
    flags += [
        _authorization(seen, policy)
        for (namespace, _), policy in seen.of(AUTHORIZATION_POLICY)
        if _custom(policy) and _covers_gateway(message(policy, "spec"), namespace, key, pods)
    ]
    if flags:
        return _together(flags)
    controller = _controller(seen, text(message(gateway, "spec"), "gatewayClassName"))
    known = controller.startswith((_ENVOY_GATEWAY, _ISTIO)) and seen.whole
    return {"ext_authz_absent"} if known else {"ask_unknown"}


def of_pods(seen: Cluster, pods: Mapping[str, str], namespaces: frozenset[str]) -> set[str]:
    """Return the flags of Istio's proxies in pods with (at least) these labels, in one of these namespaces."""
    flags = [
        _authorization(seen, policy)
        for (namespace, _), policy in seen.of(AUTHORIZATION_POLICY)
        if _custom(policy)
        and not _target_refs(message(policy, "spec"))
        and namespace in namespaces | {ISTIO_ROOT}
        and fits(message(message(policy, "spec"), "selector"), pods)
    ]
    if flags:
        return _together(flags)
    return {"ext_authz_absent"} if seen.whole and namespaces else {"ask_unknown"}


def namespaces_of(seen: Cluster, pods: Mapping[str, str]) -> frozenset[str]:
    """Return the namespaces of the services in front of pods with these labels."""
    return frozenset(
        namespace
        for (namespace, _), service in seen.of(SERVICE)
        if pods and selects(pods, {k: str(v) for k, v in message(message(service, "spec"), "selector").items()})
    )


def _together(policies: list[set[str]]) -> set[str]:
    """Return the flags of several policies for one thing: one that asks makes others needless."""
    asking = [flags for flags in policies if not flags & UNASKED]
    return set().union(*(asking or policies))


def _custom(policy: Json) -> bool:
    return text(message(policy, "spec"), "action") == "CUSTOM"


def _target_refs(spec: Json) -> list[Json]:
    single = message(spec, "targetRef")
    return [*messages(spec, "targetRefs"), *([single] if single else [])]


def _targets(spec: Json, kind: Kind, name: str, has: Mapping[str, str]) -> bool:
    for ref in _target_refs(spec):
        if (text(ref, "group"), text(ref, "kind"), text(ref, "name")) == (kind.group, kind.name, name):
            return True
    return any(text(each, "kind") == kind.name and fits(each, has) for each in messages(spec, "targetSelectors"))


def _covers_gateway(spec: Json, namespace: str, key: Key, pods: Mapping[str, str]) -> bool:
    if _target_refs(spec):
        return namespace == key[0] and _targets(spec, GATEWAY, key[1], {})
    selector = message(spec, "selector")
    return namespace in {key[0], ISTIO_ROOT} and fits(selector, pods)


def _controller(seen: Cluster, name: str) -> str:
    found = seen.find(GATEWAY_CLASS, ("", name))
    return text(message(found, "spec"), "controllerName") if found is not None else ""


def _authorization(seen: Cluster, policy: Json) -> set[str]:
    spec = message(policy, "spec")
    rules = messages(spec, "rules")
    if not rules:
        return {"ext_authz_absent"}
    flags = set() if any(not any(rule.values()) for rule in rules) else {"ext_authz_conditional"}
    if annotations(policy).get("istio.io/dry-run", "").lower() == "true":
        flags.add("ext_authz_shadow")
    return flags | ({"asks_another"} if text(message(spec, "provider"), "name") not in seen.providers else set())


def _security(seen: Cluster, policy: Json) -> set[str]:
    asked = message(message(policy, "spec"), "extAuth")
    flags = {"failure_mode_allow"} if flag(asked, "failOpen") else set()
    over_http = message(asked, "http")
    if over_http:
        flags.add("ext_authz_http")
    if any(text(each, "type") == "Accepted" and text(each, "status") == "False" for each in _conditions(policy)):
        flags.add("ext_authz_unread")
    backends = list(_backends(message(asked, "grpc") or over_http))
    return flags | (set() if backends and seen.providers.issuperset(backends) else {"asks_another"})


def _backends(service: Json) -> Iterator[str]:
    single = message(service, "backendRef")
    for ref in [*messages(service, "backendRefs"), *([single] if single else [])]:
        yield text(ref, "name")


def _conditions(policy: Json) -> Iterator[Json]:
    for ancestor in messages(message(policy, "status"), "ancestors"):
        yield from messages(ancestor, "conditions")
