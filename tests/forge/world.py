"""The requests of tests/cases/credentials.yaml, and an authorizer that must answer them as written there."""

import itertools
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from authorizer.jose import sign
from authorizer.jose.dpop import token_hash
from authorizer.jose.encoding import encode_base64url
from authorizer.pdp.api_keys import make
from authorizer.pdp.certificates import Place
from authorizer.pdp.needs import Introspect, Need, Told
from authorizer.pdp.proofs import Proofs, Spend
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests.forge.proofs import sign_proof, thumbprint_of

TABLE = yaml.safe_load((Path(__file__).parents[1] / "cases" / "credentials.yaml").read_text())
CASES: list[dict[str, Any]] = TABLE["cases"]
HOST = "api.example"
ISSUER = "https://login.example"
CERTIFICATE_HEADER = "x-client-cert"
_TIMES = frozenset({"exp", "nbf", "iat", "auth_time"})

POLICIES = """
kind: Catalog
acr: [pwd, phr]
---
kind: Application
id: api
http:
  hosts: [api.example]
  routes:
    GET /read: {scopes: [read]}
    GET /write: {scopes: [read, write]}
    GET /login: {authenticated: true, require: {acr: phr, max_age: 5m}}
    GET /mesh: {groups: [mesh]}
---
kind: Application
id: partners
http: {hosts: [api.example], client_by: api_key, routes: {GET /partners: {scopes: [read]}}}
---
kind: Application
id: inside
http: {hosts: [api.example], client_by: certificate, routes: {GET /inside: {scopes: [read]}}}
---
kind: Issuers
issuers:
  main:
    issuer: https://login.example
    audiences: [api]
    algorithms: [ES256]
    jwks_file: keys.json
    introspection: {endpoint: "https://login.example/introspect", client: gateway}
---
kind: Certificates
certificates: {mesh: {trust_domain: acme.example, is: {group: [mesh]}}}
"""


@dataclass
class World:
    """What the cases are made with."""

    now: float
    pem: bytes
    other: bytes
    prover: bytes
    certificates: Mapping[str, bytes]
    tokens: Mapping[str, str]
    keys: Mapping[str, str]
    documents: dict[str, bytes]

    def headers(self, case: Mapping[str, Any], number: int) -> list[tuple[str, str]]:
        """Return the lines that the client of a case sends."""
        lines = []
        for name, value in case.get("send", {}).items():
            if name == "x-api-key":
                lines.append((name, self.keys.get(value, value)))
                continue
            scheme, _, named = value.partition(" ")
            both = f"{self.tokens['good']},{scheme} {self.tokens['good']}" if "," in value else named
            if named in self.tokens:
                both = self.tokens[named]
            lines.append((name, f"{scheme} {both}".strip()))
        if "proof" in case:
            lines.append(("dpop", self.proof(case, number)))
        return lines

    def proof(self, case: Mapping[str, Any], number: int) -> str:
        told = dict(case["proof"])
        pem = self.other if told.pop("signer", "") else self.prover
        claims = {
            "jti": str(number),
            "htm": "GET",
            "htu": f"https://{HOST}{case.get('target', '/read')}",
            "ath": token_hash(self.tokens[told.pop("of")]),
            "iat": int(self.now),
        }
        told |= {name: int(self.now) + told[name] for name in _TIMES & told.keys()}
        return sign_proof(pem, claims | told)

    def escaped(self, shows: str) -> str:
        """Return a certificate as gateways pass it on in ``pem`` and ``source``."""
        lines = b64encode(self.certificates[shows]).decode()
        return quote(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n", safe="")

    def told(self, shows: str, form: str) -> str:
        """Return what a gateway tells of a certificate in a form of ``client_certificate``."""
        der = self.certificates[shows]
        if form == "client-cert":
            return f":{b64encode(der).decode()}:"
        if form == "xfcc":
            return f'By=spiffe://acme.example/gateway;Hash={sha256(der).hexdigest()};Cert="{self.escaped(shows)}"'
        return self.escaped(shows)

    def authorizer(self, form: str = "pem", header: str = CERTIFICATE_HEADER, nonce_key: bytes = b"") -> Authorizer:
        """Return an authorizer of its own, which remembers proofs; gRPC doors tell certificates in ``source``."""
        shown: set[bytes] = set()
        opaque = TABLE["opaque"]

        async def meet(need: Need) -> object:
            if isinstance(need, Introspect):
                said = opaque[need.token]
                return Told(said, time.time() + 30) if isinstance(said, dict) else said
            assert isinstance(need, Spend)
            fresh = need.digest not in shown
            shown.add(need.digest)
            return fresh

        told = Place(form=form, header=header)
        options = Options(
            proofs=Proofs(algorithms=frozenset({"ES256"}), lifetime=300.0, nonce_key=nonce_key),
            certificates={"grpc": Place(form="source") if form == "source" else told, "http": told},
        )
        return Authorizer(build(compile_documents(self.documents).documents(), {"policy": "1"}, options), meet=meet)


def world(now: float, issuer: str = ISSUER) -> World:
    """Make new keys, and everything from them."""
    pem, other, prover = (sign.generate("ES256") for _ in range(3))
    public = sign.public_jwk(pem, "ES256", "main")
    certificates = {"client": _certified("spiffe://acme.example/web"), "other": _certified("spiffe://evil.example/web")}
    bindings = {
        "key": {"jkt": thumbprint_of(prover)},
        "certificate": {"x5t#S256": encode_base64url(sha256(certificates["client"]).digest())},
    }
    tokens = {}
    for name, told in TABLE["tokens"].items():
        claims = {"iss": issuer, "aud": "api", "sub": "ann", "iat": int(now), "exp": int(now) + 3600}
        claims |= {key: value for key, value in told.items() if key not in {"bound", "signer"}}
        claims |= {key: int(now) + told[key] for key in _TIMES & told.keys()}
        claims |= {"cnf": bindings[told["bound"]]} if "bound" in told else {}
        tokens[name] = sign.sign(claims, other if told.get("signer") else pem, "ES256", "main")
    seeds = itertools.count()
    made = {name: make(bytes([next(seeds)]) * 42, b"") for name in TABLE["keys"]}
    rows = {made[name][1]: {"hash": made[name][2], **row} for name, row in TABLE["keys"].items()}
    rows = json.loads(json.dumps(rows, default=lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")))
    documents = {
        "a.yaml": POLICIES.replace(ISSUER, issuer).encode(),
        "keys.yaml": yaml.safe_dump({"kind": "ApiKeys", "keys": rows}).encode(),
        "keys.json": json.dumps({"keys": [public]}).encode(),
    }
    texts = {name: text for name, (text, _, _) in made.items()}
    return World(now, pem, other, prover, certificates, tokens, texts, documents)


def _certified(uri: str) -> bytes:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + timedelta(days=900))
    return builder.add_extension(names, critical=False).sign(key, None).public_bytes(Encoding.DER)
