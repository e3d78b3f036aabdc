"""One estate for all benchmarks: 100 roles over 100 resources, a tenant gate, an RS256 token of about 700 bytes."""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct

from authorizer.model import KINDS, Request
from authorizer.pdp.snapshot import Options, Snapshot, build
from authorizer.pdp.sources import compile_documents

ISSUER = "https://idp.example"
HOST = "api.example.com"
PATH = "/tenants/acme/orders/17"
NOW = 1_800_000_000


class World(Struct, frozen=True):
    """Documents compiled, a key pair, and the means to mint tokens."""

    files: dict[str, bytes]
    documents: dict[str, Any]
    jwk: dict[str, Any]
    private: rsa.RSAPrivateKey
    key_id: str = "k1"

    def snapshot(self) -> Snapshot:
        """Return a snapshot whose memo is empty."""
        return build(
            self.documents, dict.fromkeys(KINDS, "bench"), Options(identity_headers={"x-auth-subject": "subject"})
        )

    def token(self, number: int = 0, now: int = NOW) -> str:
        """Return a token that is allowed for a day from ``now``; another for each number."""
        claims = {
            "iss": ISSUER, "sub": "alice", "aud": "orders", "exp": now + 86_400, "iat": now, "tenant": "acme",
            "groups": ["role-7", "role-42"], "scope": "orders.read orders.write", "client_id": "portal",
            "jti": f"{number:024x}",
        }  # fmt: skip
        return jwt.encode(claims, self.private, "RS256", headers={"kid": self.key_id})


def make() -> World:
    """Build the estate."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {
        "kid": "k1",
        "use": "sig",
        "alg": "RS256",
    }
    files = {"policies.yaml": _policies().encode(), "issuers.yaml": _issuers(jwk).encode()}
    return World(files, compile_documents(files).documents(), jwk, private)


def headers(token: str) -> dict[str, str]:
    """Return the header set of a usual request."""
    return {
        "user-agent": "curl/8.0",
        "accept": "*/*",
        "x-request-id": "f3a1e8c0-0000-4000-8000-000000000001",
        "x-forwarded-proto": "https",
        "x-forwarded-for": "10.1.2.3",
        "authorization": f"Bearer {token}",
    }


def request(token: str) -> Request:
    """Return the request as a door would hand it over."""
    return Request(
        method="GET",
        target=f"{PATH}?expand=lines",
        host=HOST,
        scheme="https",
        headers={name: (value,) for name, value in headers(token).items()},
        peer="10.1.2.3",
    )


def public_pem(world: World) -> bytes:
    """Return the public key for verifiers that are compared with ours."""
    return world.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def roles() -> dict[str, list[dict[str, str]]]:
    """Return what each role may do, for policies in other languages."""
    return {
        f"role-{n}": [
            {"method": method, "resource": _resource(n)} for method in (("GET", "POST") if n % 2 == 0 else ("GET",))
        ]
        for n in range(100)
    }


def _resource(number: int) -> str:
    return "orders" if number == 42 else f"res{number}"


def _policies() -> str:
    rights = "".join(
        f"  {_resource(n)}.{verb}: {{fields: [tenant]}}\n" for n in range(100) for verb in ("read", "write")
    )
    routes = "".join(
        f"    GET /tenants/{{tenant}}/{_resource(n)}/{{id}}: {{right: {_resource(n)}.read, resource: {{tenant: path.tenant}}}}\n"
        f"    POST /tenants/{{tenant}}/{_resource(n)}/{{id}}: {{right: {_resource(n)}.write, resource: {{tenant: path.tenant}}}}\n"
        for n in range(100)
    )
    roles = "".join(
        f"  - {{id: role-{n}-{verb}, right: bench/{_resource(n)}.{verb}, to: {{group: role-{n}}}}}\n"
        for n in range(100)
        for verb in (("read", "write") if n % 2 == 0 else ("read",))
    )
    return (
        "kind: Catalog\nfields:\n  tenant: {type: string, scope: [resource, assignee]}\n---\n"
        f"kind: Application\nid: bench\nmodel: pbac+fields\nrights:\n{rights}http:\n  hosts: [{HOST}]\n  routes:\n{routes}---\n"
        "kind: Policies\npolicies:\n"
        "  - {id: gate-tenant, effect: gate, on: bench/*, where: {resource.tenant: {eq: $assignee.tenant}}, reason: wrong_tenant}\n"
        f"{roles}"
    )


def _issuers(jwk: dict[str, Any]) -> str:
    return (
        f"kind: Issuers\nissuers:\n  main:\n    issuer: {ISSUER}\n    audiences: [orders]\n    algorithms: [RS256]\n"
        "    claims: {fields: {tenant: tenant}}\n"
        f"    jwks: {{keys: [{json.dumps(jwk)}]}}\n"
    )
