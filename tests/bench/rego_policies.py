"""Six Rego policies of the shapes that estates have, each with its data and the input of one request that it allows."""

import base64
import json
from typing import Any

from msgspec import Struct


class Case(Struct, frozen=True):
    """A policy; ``data.bench.allow`` is true for ``input``."""

    source: str
    data: dict[str, Any]
    input: dict[str, Any]


def cases() -> dict[str, Case]:
    """Return the policies by name."""
    return {
        "rbac": _rbac(),
        "jwt_paths": _jwt_paths(),
        "tenants": _tenants(),
        "admission": _admission(),
        "large": _large(),
        "ip_lists": _ip_lists(),
    }


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _token(**claims: object) -> str:
    return ".".join([_segment({"alg": "RS256", "kid": "k1"}), _segment(claims), "c2lnbmF0dXJl" * 28])


def _request(path: str, token: str = "", method: str = "GET") -> dict[str, Any]:
    """Return the input document as Envoy's plugin of OPA builds it."""
    headers = {
        ":authority": "api.example.com",
        ":method": method,
        ":path": path,
        "accept": "*/*",
        "user-agent": "curl/8.0",
        "x-forwarded-proto": "https",
        "x-request-id": "f3a1e8c0-0000-4000-8000-000000000001",
    }
    if token:
        headers["authorization"] = f"Bearer {token}"
    http = {
        "headers": headers,
        "host": "api.example.com",
        "id": "17",
        "method": method,
        "path": path,
        "protocol": "HTTP/1.1",
    }
    peer = {"address": {"socketAddress": {"address": "10.1.2.3", "portValue": 40000}}}
    return {
        "attributes": {"request": {"http": http}, "source": peer, "destination": peer},
        "parsed_path": path.partition("?")[0].strip("/").split("/"),
        "parsed_query": {},
        "truncated_body": False,
        "version": {"encoding": "protojson", "ext_authz": "v3"},
    }


def _rbac() -> Case:
    roles = {
        f"role-{n}": [
            {"method": method, "path": ["tenants", "*", "orders" if n == 42 else f"res{n}", "*"]}
            for method in (("GET", "POST") if n % 2 == 0 else ("GET",))
        ]
        for n in range(100)
    }
    source = """package bench

default allow := false

http := input.attributes.request.http

token := t if {
    startswith(http.headers.authorization, "Bearer ")
    t := substring(http.headers.authorization, 7, -1)
}

claims := payload if [_, payload, _] := io.jwt.decode(token)

allow if {
    claims.tenant == input.parsed_path[1]
    some group in claims.groups
    some perm in data.roles[group]
    perm.method == http.method
    count(perm.path) == count(input.parsed_path)
    every i, seg in perm.path { matches(seg, input.parsed_path[i]) }
}

matches("*", _)

matches(wanted, found) if wanted == found
"""
    token = _token(iss="https://idp.example", sub="alice", aud="orders", tenant="acme", groups=["role-7", "role-42"])
    return Case(source, {"roles": roles}, _request("/tenants/acme/orders/17?expand=lines", token))


def _jwt_paths() -> Case:
    source = """package bench

default allow := false

claims := payload if {
    [_, encoded] := split(input.attributes.request.http.headers.authorization, " ")
    [_, payload, _] := io.jwt.decode(encoded)
}

scopes := {scope | some scope in split(claims.scope, " ")}

method := input.attributes.request.http.method

allow if {
    claims.iss == "https://idp.example"
    "orders" in claims.aud
    permitted
}

permitted if {
    method == "GET"
    input.parsed_path = ["v1", "orders", _]
    "orders.read" in scopes
}

permitted if {
    method in {"POST", "PUT"}
    input.parsed_path = ["v1", "orders", _, "lines"]
    "orders.write" in scopes
}

permitted if {
    input.parsed_path[0] == "v1"
    input.parsed_path[1] == "customers"
    input.parsed_path[2] == claims.sub
}

permitted if {
    startswith(input.attributes.request.http.path, "/v1/public/")
}
"""
    scope = "openid profile orders.read orders.write"
    token = _token(iss="https://idp.example", sub="c-17", aud=["orders", "billing"], scope=scope)
    return Case(source, {}, _request("/v1/customers/c-17/addresses", token))


def _tenants() -> Case:
    tenants = {
        f"tenant-{n}": {
            "plan": "enterprise" if n % 3 == 0 else "basic",
            "suspended": n % 50 == 7,
            "members": {f"user-{n}-{m}": ["viewer", "editor"] if m % 2 else ["viewer"] for m in range(20)},
        }
        for n in range(300)
    }
    source = """package bench

default allow := false

tenant := data.tenants[input.parsed_path[1]]

subject := input.attributes.request.http.headers["x-subject"]

roles := tenant.members[subject]

actions := {"GET": "viewer", "POST": "editor", "PUT": "editor", "DELETE": "owner"}

allow if {
    not tenant.suspended
    actions[input.attributes.request.http.method] in roles
    not restricted
}

restricted if {
    input.parsed_path[2] == "exports"
    tenant.plan != "enterprise"
}
"""
    request = _request("/tenants/tenant-42/documents/9", method="POST")
    request["attributes"]["request"]["http"]["headers"]["x-subject"] = "user-42-3"
    return Case(source, {"tenants": tenants}, request)


def _admission() -> Case:
    source = """package bench

default allow := false

allow if count(deny) == 0

pod := input.review.object

containers contains c if some c in pod.spec.containers

containers contains c if some c in pod.spec.initContainers

deny contains msg if {
    some c in containers
    not trusted(c.image)
    msg := sprintf("container %s: image %s comes from an untrusted registry", [c.name, c.image])
}

trusted(image) if {
    some registry in data.registries
    startswith(image, concat("", [registry, "/"]))
}

deny contains msg if {
    some c in containers
    endswith(c.image, ":latest")
    msg := sprintf("container %s: a tag is due", [c.name])
}

deny contains msg if {
    some c in containers
    c.securityContext.privileged
    msg := sprintf("container %s is privileged", [c.name])
}

deny contains msg if {
    some c in containers
    some kind in ["cpu", "memory"]
    not c.resources.limits[kind]
    msg := sprintf("container %s has no limit of %s", [c.name, kind])
}

deny contains msg if {
    some label in data.labels
    not pod.metadata.labels[label]
    msg := sprintf("label %s is missing", [label])
}

deny contains msg if {
    some volume in pod.spec.volumes
    volume.hostPath
    msg := sprintf("volume %s is of the host", [volume.name])
}
"""
    containers = [
        {
            "name": f"c{n}",
            "image": f"registry-{n}.example.com/team/app:1.{n}",
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
            "securityContext": {"runAsNonRoot": True},
        }
        for n in range(3)
    ]
    pod = {
        "metadata": {"name": "p", "labels": {"app": "p", "owner": "team", "cost-centre": "17"}},
        "spec": {"containers": containers, "volumes": [{"name": "tmp", "emptyDir": {}}]},
    }
    data = {"registries": [f"registry-{n}.example.com" for n in range(5)], "labels": ["app", "owner", "cost-centre"]}
    return Case(source, data, {"review": {"kind": {"kind": "Pod"}, "operation": "CREATE", "object": pod}})


def _large() -> Case:
    """Return some 50 kB: 330 rules, one an endpoint."""
    head = """package bench

default allow := false

method := input.attributes.request.http.method

path := input.parsed_path

groups := input.groups

"""
    rules = []
    for n in range(330):
        verb = ("GET", "POST", "DELETE")[n % 3]
        rules.append(
            f'allow if {{\n    method == "{verb}"\n    path[0] == "service-{n}"\n    path[1] == "items"\n    '
            f'"group-{n % 17}" in groups\n    count(path) < {4 + n % 3}\n}}\n'
        )
    request = _request("/service-283/items/17", method="POST")
    return Case(head + "\n".join(rules), {}, request | {"groups": ["group-3", "group-11"]})


def _ip_lists() -> Case:
    source = """package bench

default allow := false

client := input.attributes.source.address.socketAddress.address

allow if {
    not blocked
    some range in data.allowed[input.parsed_path[0]]
    net.cidr_contains(range, client)
}

blocked if {
    some range in data.blocked
    net.cidr_contains(range, client)
}
"""
    allowed = {f"api-{n}": [f"10.{n}.{m}.0/24" for m in range(10)] for n in range(20)}
    blocked = [f"192.168.{n}.0/24" for n in range(30)]
    return Case(source, {"allowed": allowed, "blocked": blocked}, _request("/api-1/x"))
