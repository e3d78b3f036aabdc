"""Which Services say where they describe their operations, by annotations.

INVARIANT: an annotation chooses a port and a path of its own Service and nothing else. The address is the one that the
API server gave to the Service, so that who may write annotations cannot send the authorizer elsewhere.
"""

import ipaddress
import re
from collections.abc import Iterator

from authorizer.discovery.describing import Place
from authorizer.discovery.kubernetes.kinds import SERVICE
from authorizer.discovery.kubernetes.objects import PREFIX, Cluster, Key, annotations, where
from authorizer.discovery.proto_json import Json, message, messages, text
from authorizer.errors import DiscoveryError

MAX_PLACES = 500
OPENAPI, GRPC = f"{PREFIX}openapi", f"{PREFIX}grpc"

_OPENAPI = re.compile(r"([0-9]{0,5})(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,500})", re.ASCII)
_GRPC = re.compile(r"([0-9]{0,5})()", re.ASCII)


def places(seen: Cluster) -> tuple[Place, ...]:
    """Return the places that annotations name; one that cannot be asked is noted."""
    found: list[Place] = []
    for key, service in seen.of(SERVICE):
        for name, pattern in ((OPENAPI, _OPENAPI), (GRPC, _GRPC)):
            said = annotations(service).get(name)
            if said is None:
                continue
            try:
                found.append(_place(key, service, name, pattern.fullmatch(said)))
            except DiscoveryError as error:
                seen.note(where(SERVICE, key), error.message)
    if len(found) > MAX_PLACES:
        seen.note("Services", f"{len(found) - MAX_PLACES} descriptions are left out: more than {MAX_PLACES} are named")
    return tuple(found[:MAX_PLACES])


def _place(key: Key, service: Json, name: str, said: re.Match[str] | None) -> Place:
    if said is None:
        raise DiscoveryError("AZ602", f"the annotation {name} is not a port{' and a path' if name == OPENAPI else ''}")
    spec = message(service, "spec")
    ports = list(_ports(spec))
    port = int(said[1]) if said[1] else next(iter(ports), 0)
    if port not in ports:
        raise DiscoveryError("AZ602", f"the annotation {name}: the service has no port {port}")
    try:
        address = ipaddress.ip_address(text(spec, "clusterIP"))
    except ValueError:
        raise DiscoveryError("AZ602", f"the annotation {name}: the service has no address of its own") from None
    if text(spec, "type") == "ExternalName":
        raise DiscoveryError("AZ602", f"the annotation {name}: the service is elsewhere")
    authority = f"{f'[{address}]' if address.version == 6 else address}:{port}"
    title, api = f"of {'/'.join(key)}", "/".join(key)
    if name == GRPC:
        return Place(title, api, "grpc", authority)
    return Place(title, api, "url", f"http://{authority}{said[2]}", host=f"{key[1]}.{key[0]}.svc:{port}")


def _ports(spec: Json) -> Iterator[int]:
    for each in messages(spec, "ports"):
        port = each.get("port")
        if isinstance(port, int) and text(each, "protocol") in {"", "TCP"}:
            yield port
