"""Who sends a request, by each kind of credential, through the whole decision."""

import asyncio
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from authorizer.jose import sign
from authorizer.jose.dpop import token_hash
from authorizer.jose.encoding import encode_base64url
from authorizer.model import Decision, Request
from authorizer.pdp import proofs
from authorizer.pdp.api_keys import make
from authorizer.pdp.certificates import Place
from authorizer.pdp.credentials import KeyPlaces
from authorizer.pdp.proofs import Proofs
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests.forge.proofs import sign_proof, thumbprint_of

NOW = 1_800_000_000.0
PEM = sign.generate("ES256")
PUBLIC = sign.public_jwk(PEM, "ES256")
PROVER = sign.generate("ES256")
THUMBPRINT = thumbprint_of(PROVER)
KEY, KEY_ID, KEY_HASH = make(bytes(range(42)), b"")


def certified(*uris):
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web")])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(start).not_valid_after(start + timedelta(days=1)).add_extension(names, critical=False)
        .sign(key, None)
    )  # fmt: skip
    return made.public_bytes(Encoding.DER)


DER = certified("spiffe://acme.example/web")
OTHER = certified("spiffe://acme.example/web")
BOUND = encode_base64url(sha256(DER).digest())


def pem(der):
    lines = b64encode(der).decode()
    return quote(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n", safe="")


DOCUMENTS = f"""
kind: Application
id: api
model: pbac
rights: {{read: {{}}}}
http: {{hosts: [api.example], routes: {{GET /: {{right: read}}, GET /open: {{right: read}}}}}}
---
kind: Policies
policies:
  - {{id: ann, right: api/read, to: {{person: ann}}}}
  - {{id: job, right: api/read, to: {{client: job}}}}
  - {{id: mesh, right: api/read, to: {{group: mesh}}}}
---
kind: Issuers
issuers:
  main: {{issuer: "https://login.example", audiences: [api], algorithms: [ES256], jwks_file: keys.json}}
  strict: {{issuer: "https://strict.example", audiences: [api], algorithms: [ES256], jwks_file: keys.json, namespace: strict/,
    binding: required}}
---
kind: ApiKeys
keys: {{{KEY_ID}: {{hash: "{KEY_HASH}", is: {{client: [job]}}, expires: 2027-01-31T00:00:00Z}}}}
---
kind: Certificates
certificates: {{mesh: {{trust_domain: acme.example, is: {{group: [mesh]}}}}}}
"""


def snapshot(**options):
    compiled = compile_documents({"a.yaml": DOCUMENTS.encode(), "keys.json": json.dumps({"keys": [PUBLIC]}).encode()})
    return build(compiled.documents(), {"policy": "1"}, Options(**options))


SNAPSHOT = snapshot()


def token(issuer="https://login.example", **claims):
    body = {"iss": issuer, "aud": "api", "sub": "ann", "iat": int(NOW), "exp": int(NOW) + 600} | claims
    return sign.sign(body, PEM, "ES256", PUBLIC["kid"])


def proof(of, key=PROVER, **claims):
    body = {"jti": "1", "htm": "GET", "htu": "https://api.example/", "iat": int(NOW), "ath": token_hash(of)} | claims
    return sign_proof(key, body)


class Store:
    """Remembers digests as a real store does; ``down`` makes it unable to tell."""

    def __init__(self):
        self.shown = {}
        self.holders = []
        self.down = False

    async def meet(self, need):
        if self.down:
            return None
        self.holders.append(need.holder)
        fresh = need.digest not in self.shown
        self.shown.setdefault(need.digest, need.until)
        return fresh


ASKED = Request(method="GET", target="/", host="api.example")


def ask(headers, using=SNAPSHOT, store=None, now=NOW, **request):
    asked = replace(ASKED, headers={k: (v,) for k, v in headers.items()})
    return decided(Authorizer(using, clock=lambda: now, meet=(store or Store()).meet).check(replace(asked, **request)))


def decided(decision):
    return decision if isinstance(decision, Decision) else asyncio.run(waited(decision))


async def waited(decision):
    return await decision


DPOP = token(cnf={"jkt": THUMBPRINT})
ANOTHER = token(cnf={"jkt": BOUND})
CERTIFIED = token(cnf={"x5t#S256": BOUND})
TWICE = token(cnf={"jkt": THUMBPRINT, "x5t#S256": BOUND})


@pytest.mark.parametrize(
    ("headers", "request_", "code"),
    [
        ({"authorization": f"Bearer {token()}"}, {}, "allowed"),
        ({"authorization": f"DPoP {token()}", "dpop": proof(token())}, {}, "token_not_bound"),
        ({"authorization": f"DPoP {DPOP}", "dpop": proof(DPOP)}, {}, "allowed"),
        ({"authorization": f"Bearer {DPOP}", "dpop": proof(DPOP)}, {}, "proof_scheme"),
        ({"authorization": f"Bearer {DPOP}"}, {}, "proof_scheme"),
        ({"authorization": f"DPoP {DPOP}"}, {}, "proof_missing"),
        ({"authorization": f"DPoP {DPOP}", "dpop": proof(DPOP, htm="POST")}, {}, "proof_request"),
        ({"authorization": f"DPoP {DPOP}", "dpop": proof(DPOP, htu="https://evil.example/")}, {}, "proof_request"),
        ({"authorization": f"DPoP {DPOP}", "dpop": proof(token())}, {}, "proof_token"),
        ({"authorization": f"DPoP {DPOP}", "dpop": proof(DPOP) + "A"}, {}, "proof_signature"),
        ({"authorization": f"DPoP {ANOTHER}", "dpop": proof(ANOTHER)}, {}, "proof_key"),
        ({"authorization": f"Bearer {CERTIFIED}"}, {"certificate": pem(DER)}, "allowed"),
        ({"authorization": f"Bearer {CERTIFIED}"}, {}, "certificate_missing"),
        ({"authorization": f"Bearer {CERTIFIED}"}, {"principal": "spiffe://acme.example/web"}, "certificate_missing"),
        ({"authorization": f"Bearer {CERTIFIED}"}, {"certificate": pem(OTHER)}, "certificate_other"),
        ({"authorization": f"Bearer {CERTIFIED}"}, {"certificate": "garbage"}, "certificate_missing"),
        ({"authorization": f"Bearer {CERTIFIED}"}, {"certificate": pem(DER), "transport": "http"}, "certificate_missing"),
        ({"authorization": f"DPoP {TWICE}", "dpop": proof(TWICE)}, {"certificate": pem(DER)}, "allowed"),
        ({"authorization": f"DPoP {TWICE}", "dpop": proof(TWICE)}, {}, "certificate_missing"),
        ({"authorization": f"Bearer {TWICE}"}, {"certificate": pem(DER)}, "proof_scheme"),
        ({"authorization": f"Bearer {token(cnf={'kid': 'x'})}"}, {}, "token_unbound"),
        ({"authorization": f"Bearer {token(cnf={})}"}, {}, "token_unbound"),
        ({"authorization": f"Bearer {token(cnf={'jkt': 'short'})}"}, {}, "token_unbound"),
        ({"authorization": f"Bearer {token(cnf={'jkt': encode_base64url(bytes(31))})}"}, {}, "token_unbound"),
        ({"authorization": f"Bearer {token(cnf={'jkt': THUMBPRINT, 'kid': 'x'})}"}, {}, "token_unbound"),
        ({"authorization": f"Bearer {token('https://strict.example')}"}, {}, "token_not_bound"),
        ({"x-api-key": KEY}, {}, "allowed"),
        ({"x-api-key": KEY[:-1] + "A"}, {}, "api_key_unknown"),
        ({"x-api-key": KEY, "authorization": f"Bearer {token()}"}, {}, "credential_repeated"),
        ({}, {"certificate": pem(DER)}, "allowed"),
        ({}, {"principal": "spiffe://acme.example/web"}, "allowed"),
        ({}, {"principal": "spiffe://other.example/web"}, "no_credential"),
        ({}, {"certificate": pem(DER), "transport": "http"}, "no_credential"),
        ({"x-forwarded-client-cert": "URI=spiffe://acme.example/web"}, {}, "no_credential"),
        ({}, {}, "no_credential"),
    ],
)  # fmt: skip
def test_credentials(headers, request_, code):
    assert ask(headers, **request_).reason.code == code


def test_a_proof_counts_once():
    store = Store()
    headers = {"authorization": f"DPoP {DPOP}", "dpop": proof(DPOP)}
    assert [ask(headers, store=store).reason.code for _ in range(2)] == ["allowed", "proof_replayed"]
    assert list(store.shown.values()) == [NOW + 65], "for as long as it could be shown"
    assert ask(headers | {"dpop": proof(DPOP, jti="2")}, store=store).allowed
    store.down = True
    denied = ask(headers | {"dpop": proof(DPOP, jti="3")}, store=store)
    assert (denied.reason.code, denied.reason.status) == ("proof_store", 503)


def test_proofs_of_a_subject_are_its_own_whatever_key_made_them():
    store, other = Store(), sign.generate("ES256")
    for subject, key in (("ann", PROVER), ("ann", other), ("bob", PROVER)):
        bound = token(sub=subject, cnf={"jkt": thumbprint_of(key)})
        ask({"authorization": f"DPoP {bound}", "dpop": proof(bound, key)}, store=store)
    ann, again, bob = store.holders
    assert len(ann) == 8
    assert ann == again != bob
    assert len(store.shown) == 2, "a proof is known by its key alone, whoever shows it"


def test_without_a_store_no_proof_is_accepted():
    request = Request(
        method="GET", target="/", host="api.example",
        headers={"authorization": (f"DPoP {DPOP}",), "dpop": (proof(DPOP),)},
    )  # fmt: skip
    assert decided(Authorizer(SNAPSHOT, clock=lambda: NOW).check(request)).reason.code == "proof_store"


def test_two_proofs_are_none():
    shown = {"authorization": (f"DPoP {DPOP}",), "dpop": (proof(DPOP), proof(DPOP, jti="2"))}
    decision = decided(Authorizer(SNAPSHOT, clock=lambda: NOW, meet=Store().meet).check(replace(ASKED, headers=shown)))
    assert decision.reason.code == "proof_repeated"


def test_challenges_name_the_scheme():
    missing = ask({"authorization": f"DPoP {DPOP}"}).challenge
    assert missing.startswith('DPoP realm="api", error="invalid_dpop_proof", error_description="')
    assert 'algs="ES256 ' in missing
    assert ask({"authorization": "DPoP garbage"}).challenge.startswith('DPoP realm="api", error="invalid_token"')
    assert ask({"authorization": f"Bearer {CERTIFIED}"}).challenge.startswith(
        'Bearer realm="api", error="invalid_token"'
    )


@pytest.mark.parametrize(
    ("binding", "issuers", "expected"),
    [
        ("required", "main, strict", 'Bearer realm="api", DPoP realm="api", algs="ES256"'),
        ("required", "", 'Bearer realm="api", DPoP realm="api", algs="ES256"'),
        ("optional", "main, strict", 'Bearer realm="api"'),
        ("optional", "strict", 'Bearer realm="api", DPoP realm="api", algs="ES256"'),
    ],
)
def test_where_tokens_have_to_be_bound_the_challenge_says_so(binding, issuers, expected):
    listed = f"issuers: [{issuers}], " if issuers else ""
    text = DOCUMENTS.replace("hosts: [api.example], ", f"hosts: [api.example], {listed}")
    text = text.replace("main: {issuer", f"main: {{binding: {binding}, issuer")
    keys = json.dumps({"keys": [PUBLIC]}).encode()
    documents = compile_documents({"a.yaml": text.encode(), "keys.json": keys}).documents()
    using = build(documents, {}, Options(proofs=Proofs(algorithms=frozenset({"ES256"}))))
    assert ask({}, using).challenge == expected


def test_nonces_of_this_and_the_last_lifetime_are_accepted():
    wanted = Proofs(nonce_key=b"k" * 32)
    using = snapshot(proofs=wanted)
    first = ask({"authorization": f"DPoP {DPOP}", "dpop": proof(DPOP)}, using)
    assert (first.reason.code, 'error="use_dpop_nonce"' in first.challenge) == ("proof_nonce", True)
    assert dict(first.response) == {"dpop-nonce": proofs.nonce(wanted, NOW)}
    for at, code in [(NOW, "allowed"), (NOW - 60, "allowed"), (NOW - 120, "proof_nonce"), (NOW + 60, "proof_nonce")]:
        shown = proof(DPOP, jti=str(at), nonce=proofs.nonce(wanted, at))
        assert ask({"authorization": f"DPoP {DPOP}", "dpop": shown}, using).reason.code == code
    # Another process with the key knows it too; with another key it brings one of its own.
    shown = proof(DPOP, jti="n", nonce=proofs.nonce(wanted, NOW))
    for key, code in ((b"k" * 32, "allowed"), (b"n" * 32, "proof_nonce")):
        again = ask({"authorization": f"DPoP {DPOP}", "dpop": shown}, snapshot(proofs=Proofs(nonce_key=key)))
        assert (again.reason.code, "dpop-nonce" in dict(again.response)) == (code, code == "proof_nonce")


def test_where_a_header_tells_of_certificates_the_check_itself_does_not():
    using = snapshot(
        certificates={"grpc": Place(form="xfcc", header="x-forwarded-client-cert", hops=1), "http": Place()}
    )
    told = f"Hash={sha256(DER).hexdigest()};URI=spiffe://acme.example/web"
    assert ask({"authorization": f"Bearer {CERTIFIED}", "x-forwarded-client-cert": told}, using).allowed
    assert ask({"x-forwarded-client-cert": f"URI=spiffe://evil.example/x,{told}"}, using).allowed
    assert ask({"x-forwarded-client-cert": f"{told},URI=spiffe://evil.example/x"}, using).reason.code == "no_credential"
    assert ask({}, using, certificate=pem(DER), principal="spiffe://acme.example/web").reason.code == "no_credential"
    assert (
        ask({"x-forwarded-client-cert": told, "x-forwarded_client-cert": told}, using).reason.code
        == "header_underscore"
    )


def test_keys_are_looked_for_where_the_operator_says():
    using = snapshot(key_places=KeyPlaces("", "key"))
    assert ask({"x-api-key": KEY}, using).reason.code == "no_credential"
    assert ask({}, using, target=f"/?key={KEY}").allowed


def test_an_expired_key_is_refused_although_it_is_remembered():
    authorizer_now = [NOW]
    request = Request(method="GET", target="/", host="api.example", headers={"x-api-key": (KEY,)})
    authorizer = Authorizer(SNAPSHOT, clock=lambda: authorizer_now[0])
    assert authorizer.check(request).allowed
    authorizer_now[0] = 1_801_353_600.0
    assert authorizer.check(request).reason.code == "api_key_expired"
