"""All objects of a cluster that are known, each findable, and what is told of them besides APIs."""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from authorizer.discovery.kubernetes.kinds import ENDPOINT_SLICE, KINDS, NAMESPACE, SERVICE, Kind
from authorizer.discovery.proto_json import Json, message, messages, text, texts
from authorizer.errors import DiscoveryError

Key = tuple[str, str]
"""Namespace and name."""

PREFIX = "authorizer/"
BINDINGS = ("workspace", "application", "policy-set")
"""What an annotation with PREFIX binds an API to."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_MAX_BOUND = 200


class Cluster(Struct, frozen=True):
    """The objects of each kind. ``whole``: there is none that could not be seen.

    ``providers`` are the names under which the authorizer is asked. ``notes`` collects what cannot be told as an API;
    it is the one part that changes while a cluster is read.
    """

    objects: Mapping[Kind, Mapping[Key, Json]]
    providers: frozenset[str]
    whole: bool
    notes: dict[str, None]
    answering: frozenset[Key]

    def of(self, kind: Kind) -> Iterator[tuple[Key, Json]]:
        """Yield the objects of a kind in order of their names."""
        found = self.objects.get(kind, {})
        for key in sorted(found):
            yield key, found[key]

    def find(self, kind: Kind, key: Key) -> Json | None:
        """Return one object."""
        return self.objects.get(kind, {}).get(key)

    def note(self, where: str, what: str) -> None:
        """Remember what the reader of a catalogue should know."""
        self.notes[f"{where}: {what}"] = None


def cluster(objects: Mapping[Kind, Mapping[Key, Json]], providers: Iterable[str], *, whole: bool) -> Cluster:
    """Put objects together."""
    answering = frozenset(
        (namespace, service)
        for (namespace, _), value in objects.get(ENDPOINT_SLICE, {}).items()
        if value.get("ready") and (service := labels(value).get("kubernetes.io/service-name"))
    )
    return Cluster(objects, frozenset(providers), whole, {}, answering)


def by_kind(objects: Iterable[tuple[Kind, Json]]) -> dict[Kind, dict[Key, Json]]:
    """Sort objects; of two with one name the last counts, as when they are applied. Raises DiscoveryError AZ602."""
    found: dict[Kind, dict[Key, Json]] = {kind: {} for kind in KINDS}
    for kind, value in objects:
        found[kind][key_of(kind, value)] = value
    return found


def key_of(kind: Kind, value: Json) -> Key:
    """Return an object's namespace and name. Raises DiscoveryError AZ602 for one without a name."""
    metadata = message(value, "metadata")
    name = text(metadata, "name")
    if not name:
        raise DiscoveryError("AZ602", f"a {kind.name} has no name")
    return (text(metadata, "namespace") or "default") if kind.namespaced else "", name


def labels(value: Json) -> Mapping[str, str]:
    """Return the labels of an object."""
    found = message(message(value, "metadata"), "labels")
    return {name: said for name, said in found.items() if isinstance(said, str)}


def annotations(value: Json) -> Mapping[str, str]:
    """Return the annotations of an object that are kept."""
    found = message(message(value, "metadata"), "annotations")
    return {name: said for name, said in found.items() if isinstance(said, str)}


def where(kind: Kind, key: Key) -> str:
    """Name an object for people."""
    return f"{kind.name} {key[0]}/{key[1]}" if key[0] else f"{kind.name} {key[1]}"


def strange(seen: Cluster, place: str, holder: Json, known: frozenset[str]) -> set[str]:
    """Note the fields of ``holder`` that nobody here knows; return the flag of it."""
    unknown = sorted(name for name in holder if name not in known)
    for name in unknown:
        seen.note(place, f"the field {name!r} is not known")
    return {"field_unread"} if unknown else set()


def selects(selector: Mapping[str, object], has: Mapping[str, str]) -> bool:
    """Tell whether plain labels (``matchLabels``) select an object."""
    return all(has.get(name) == said for name, said in selector.items())


def fits(selector: Json, has: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector selects an object. Raises DiscoveryError AZ602 for an operator that is unknown."""
    return selects(message(selector, "matchLabels"), has) and all(
        _holds(each, has) for each in messages(selector, "matchExpressions")
    )


def _holds(expression: Json, has: Mapping[str, str]) -> bool:
    said = has.get(text(expression, "key"))
    match text(expression, "operator"):
        case "In":
            return said in texts(expression, "values")
        case "NotIn":
            return said not in texts(expression, "values")
        case "Exists":
            return said is not None
        case "DoesNotExist":
            return said is None
        case other:
            raise DiscoveryError("AZ602", f"a selector has the operator {other!r}")


def bound(seen: Cluster, values: Iterable[tuple[str, Json | None]], namespace: str) -> tuple[tuple[str, str], ...]:
    """Return what annotations bind an API to; the first object that says so counts, its namespace comes last."""
    sources = [*values, (f"Namespace {namespace}", seen.find(NAMESPACE, ("", namespace)))]
    found: dict[str, str] = {}
    for place, value in sources:
        said = annotations(value) if value is not None else {}
        for name in BINDINGS:
            to = said.get(PREFIX + name)
            if to is None or name in found:
                continue
            if to and len(to) <= _MAX_BOUND and to.isprintable():
                found[name] = to
            else:
                seen.note(place, f"the annotation {PREFIX}{name} is not a name")
    return tuple((name.replace("-", "_"), found[name]) for name in BINDINGS if name in found)


def service_flags(seen: Cluster, key: Key) -> set[str]:
    """Return what stands in the way of a service."""
    service = seen.find(SERVICE, key)
    if service is None:
        return {"backend_unknown"}
    if text(message(service, "spec"), "type") == "ExternalName":
        return {"outside"}
    # In files there are no slices at all: then nothing is known.
    return {"no_endpoints"} if seen.answering and key not in seen.answering else set()


def host_name(name: str) -> bool:
    """Tell whether this could be a host, which may begin with ``*.``."""
    return name == "*" or _NAME.fullmatch(name.removeprefix("*.").lower()) is not None


def common_host(one: str, other: str) -> str | None:
    """Return the hosts that both patterns name, None for none. ``*`` or an empty text names all."""
    one, other = one.lower() or "*", other.lower() or "*"
    if other in {one, "*"}:
        return one
    if one == "*":
        return other
    for wide, narrow in ((one, other), (other, one)):
        if wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]):
            return narrow
    return None
