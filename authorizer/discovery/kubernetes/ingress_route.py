"""Traefik's IngressRoute as APIs, and the Middlewares that it, an Ingress or an HTTPRoute names.

Source: traefik/traefik ``pkg/provider/kubernetes`` (crd/kubernetes_http.go, ingress/annotations.go).
What an entry point does for all its routers is told by Traefik's API only.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from authorizer.discovery.kubernetes.kinds import INGRESS_ROUTE, MIDDLEWARE, SERVICE
from authorizer.discovery.kubernetes.objects import (
    Cluster,
    Key,
    bound,
    host_name,
    service_flags,
    strange,
    where,
)
from authorizer.discovery.kubernetes.services import name_of
from authorizer.discovery.proto_json import Json, message, messages, text
from authorizer.discovery.traefik_middlewares import flags_of, seen_by
from authorizer.discovery.traefik_rules import Matcher, alternatives, ways
from authorizer.errors import DiscoveryError
from authorizer.model import Api, ApiRoute

_SPEC = frozenset({"entryPoints", "routes", "tls", "parentRefs"})
_ROUTE = frozenset({"kind", "match", "priority", "services", "middlewares", "syntax", "observability"})
_PROVIDER = "kubernetescrd"
_MAX_NAME = 63 + 1 + 253
"""Characters of a namespace, a hyphen and a name (RFC 1123, as Kubernetes reads it)."""

_ANNOTATION = "traefik.ingress.kubernetes.io/router.middlewares"

_Found = dict[tuple[tuple[str, ...], tuple[str, ...]], list[ApiRoute]]


def read(seen: Cluster, key: Key, value: Json) -> Iterator[Api]:
    """Yield the APIs of one IngressRoute. Raises DiscoveryError AZ602 for one that is not as its schema says."""
    place, spec = where(INGRESS_ROUTE, key), message(value, "spec")
    flags = strange(seen, place, spec, _SPEC)
    # The rule of a parent holds too, and its middlewares come first.
    child = bool(messages(spec, "parentRefs"))
    flags |= {"delegate"} if child else set()
    found: _Found = {}
    behind: dict[tuple[str, ...], list[Key]] = {}
    for rule in sorted(messages(spec, "routes"), key=_priority):
        services, names, more = _services(seen, key[0], rule)
        behind.setdefault(names, services)
        passed = [_named(each, key[0]) for each in messages(rule, "middlewares")]
        asking = flags_of(lambda name: _find(seen, name), passed, seen.providers)
        if child and "ext_authz_absent" in asking:
            asking = asking - {"ext_authz_absent"} | {"ask_unknown"}
        more |= strange(seen, place, rule, _ROUTE) | asking
        for matchers in _alternatives(seen, place, rule):
            for hosts, route in ways(matchers, ",".join(names), more):
                if not all(map(host_name, hosts)):
                    seen.note(place, "a host is no name of a host")
                    flags.add("host_unread")
                sees = seen_by(lambda name: _find(seen, name), passed, route)
                found.setdefault((hosts, names), []).append(replace(route, seen=sees))
    if not found:
        found[(), ()] = []
        flags.add("routes_missing")
    for (hosts, names), routes in found.items():
        owners = [(where(SERVICE, service), seen.find(SERVICE, service)) for service in behind.get(names, ())]
        yield Api(
            id="/".join(("kubernetes", INGRESS_ROUTE.name, *key, ",".join(hosts), ",".join(names) or "-")),
            name=owners[0][0].rpartition("/")[2] if len(owners) == len(names) == 1 else key[1],
            hosts=hosts,
            routes=tuple(dict.fromkeys(routes)),
            sources=(f"kubernetes {place}",),
            flags=tuple(sorted(flags)),
            bound=bound(seen, [(place, value), *owners], key[0]),
        )


def of_ingress(seen: Cluster, said: Mapping[str, str]) -> set[str]:
    """Return the flags of the middlewares that an annotation of an Ingress names; none where there is no annotation."""
    named = said.get(_ANNOTATION)
    if named is None:
        return set()
    return _told(seen, [each.strip() for each in named.split(",")])


def of_reference(seen: Cluster, namespace: str, ref: Json) -> set[str]:
    """Return the flags of the Middleware that a filter of an HTTPRoute names; none for another kind of object."""
    if (text(ref, "group"), text(ref, "kind")) != (MIDDLEWARE.group, MIDDLEWARE.name):
        return set()
    return _told(seen, [f"{namespace}/{text(ref, 'name')}"])


def _told(seen: Cluster, names: Sequence[str]) -> set[str]:
    # That these do not ask says nothing of others on the way.
    return flags_of(lambda name: _find(seen, name), names, seen.providers) - {"ext_authz_absent"}


# --- what is matched, and where it goes --------------------------------------


def _priority(rule: Json) -> int:
    """Order as Traefik does: the highest priority first, which is the length of the rule unless it is given."""
    given = rule.get("priority")
    return -(given if isinstance(given, int) and given else len(text(rule, "match")))


def _alternatives(seen: Cluster, place: str, rule: Json) -> list[tuple[Matcher, ...]]:
    kind, why = text(rule, "kind"), ""
    try:
        if kind in {"", "Rule"}:
            return alternatives(text(rule, "match"))
        why = f"a route of the kind {kind!r} is not known"
    except DiscoveryError as error:
        why = error.message
    seen.note(place, why)
    return [(("?", ()),)]


def _services(seen: Cluster, namespace: str, rule: Json) -> tuple[list[Key], tuple[str, ...], set[str]]:
    """Return the services, the names of all that gets requests, and what is to be known of them."""
    services: list[Key] = []
    names: list[str] = []
    flags: set[str] = set()
    for each in messages(rule, "services"):
        kind, target = text(each, "kind") or SERVICE.name, (text(each, "namespace") or namespace, text(each, "name"))
        if kind != SERVICE.name or "@" in target[1]:
            names.append(target[1] if "@" in target[1] else f"{kind} {target[0]}/{target[1]}")
            flags.add("backend_unread")
            continue
        port = each.get("port")
        services.append(target)
        names.append(name_of(target, port) + (f":{port}" if isinstance(port, str) else ""))
        flags |= service_flags(seen, target)
    if len(names) != 1:
        flags.add("weighted" if names else "no_backend")
    return services, tuple(dict.fromkeys(names)), flags


# --- middlewares -------------------------------------------------------------


def _named(ref: Json, namespace: str) -> str:
    """Return the name under which ``_find`` finds what an IngressRoute or a chain names."""
    name = text(ref, "name")
    return name if "@" in name else f"{text(ref, 'namespace') or namespace}/{name}"


def _find(seen: Cluster, name: str) -> Json:
    """Find ``namespace/name`` or ``namespace-name@kubernetescrd``; empty for what is elsewhere, or cannot be read."""
    key = _key(seen, name)
    held = seen.find(MIDDLEWARE, key) if key is not None else None
    if key is None or held is None:
        return {}
    try:
        spec = message(held, "spec")
        chained = [_named(each, key[0]) for each in messages(message(spec, "chain"), "middlewares")]
        text(message(spec, "forwardAuth"), "address")
    except DiscoveryError as error:
        seen.note(where(MIDDLEWARE, key), error.message)
        return {}
    return {**spec, "chain": {"middlewares": chained}} if chained else spec


def _key(seen: Cluster, name: str) -> Key | None:
    bare, at, provider = name.partition("@")
    if not at:
        namespace, _, own = name.partition("/")
        return namespace, own
    if provider != _PROVIDER or len(bare) > _MAX_NAME:
        return None
    # A hyphen may be a part of either name: one that could be two middlewares is none.
    parts = [(bare[:cut], bare[cut + 1 :]) for cut, sign in enumerate(bare) if sign == "-"]
    found = [key for key in parts if seen.find(MIDDLEWARE, key) is not None]
    return found[0] if len(found) == 1 else None
