"""What each kind of credential costs: remembered, seen for the first time, proved.

Compared with the bare signature check of the library underneath are the checks of a token (``verified``), and the whole
of a first look: the same, the identity that policies ask for, and what remembers it.
"""

import gc
import json
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter_ns

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authorizer.jose import jws, sign
from authorizer.jose.algorithms import PublicKey
from authorizer.jose.dpop import token_hash
from authorizer.model import Decision, Identity, Request
from authorizer.pdp import tokens
from authorizer.pdp.api_keys import make
from authorizer.pdp.authentication import authenticate
from authorizer.pdp.memo import Memo
from authorizer.pdp.needs import NOTHING_LEARNT, Introspect, Learnt, Told
from authorizer.pdp.proofs import Proofs
from authorizer.pdp.snapshot import Options, Snapshot, build
from authorizer.pdp.sources import compile_documents
from tests.bench.report import Row, lower_is_better
from tests.forge.proofs import sign_proof, thumbprint_of

NOW = 1_800_000_000
ISSUER = "https://login.example"
ROUNDS, TIMES = 25, 80
KEY, KEY_ID, KEY_HASH = make(bytes(range(42)), bytes(32))

POLICIES = f"""
kind: Application
id: api
http: {{hosts: [api.example], routes: {{GET /: {{scopes: [read]}}}}}}
---
kind: Issuers
issuers:
  main:
    issuer: {ISSUER}
    audiences: [api]
    algorithms: [RS256, ES256, EdDSA]
    jwks_file: keys.json
    introspection: {{endpoint: "{ISSUER}/introspect", client: us, seconds: 60s}}
---
kind: ApiKeys
keys: {{{KEY_ID}: {{hash: "{KEY_HASH}", is: {{client: [job]}}, scopes: [read]}}}}
"""


def run() -> dict[str, Row]:
    """Measure in interleaved rounds; medians of rounds."""
    pems = {"RS256": _rsa(), "ES256": sign.generate("ES256"), "EdDSA": sign.generate("EdDSA")}
    private = {algorithm: sign.load_private(pem, algorithm) for algorithm, pem in pems.items()}
    public = [sign.public_jwk(pem, algorithm, algorithm) for algorithm, pem in pems.items()]
    documents = compile_documents({"a.yaml": POLICIES.encode(), "keys.json": json.dumps({"keys": public}).encode()})
    prover = sign.generate("ES256")
    options = Options(pepper=bytes(32), proofs=Proofs(lifetime=300.0))

    def fresh() -> Snapshot:
        return build(documents.documents(), {}, options)

    def token(algorithm: str, number: int = 0, **more: object) -> str:
        claims = {
            "iss": ISSUER, "aud": "api", "sub": "alice", "iat": NOW, "exp": NOW + 3600, "groups": ["role-7", "role-42"],
            "scope": "read write", "client_id": "portal", "jti": f"{number:024x}",
        } | more  # fmt: skip
        return sign.sign_with(claims, private[algorithm], algorithm, algorithm)

    snapshot, another = fresh(), fresh()
    known = _request(authorization=f"Bearer {token('RS256')}")
    key = _request(**{"x-api-key": KEY})
    opaque = _request(authorization="Bearer an-opaque-token-of-usual-length-0123456789")
    told: Learnt = {
        Introspect(ISSUER, "an-opaque-token-of-usual-length-0123456789"): Told(
            {"aud": "api", "sub": "ann", "scope": "read"}, NOW + 30
        )
    }
    bound = token("ES256", cnf={"jkt": thumbprint_of(prover)})
    claims = {"htm": "GET", "htu": "https://api.example/", "iat": NOW, "ath": token_hash(bound)}
    proved = [
        _request(authorization=f"DPoP {bound}", dpop=sign_proof(prover, claims | {"jti": str(number)}))
        for number in range(TIMES)
    ]
    for request, learnt in ((known, NOTHING_LEARNT), (key, NOTHING_LEARNT), (opaque, told)):
        assert isinstance(authenticate(snapshot, request, NOW, learnt), Identity)
    assert not isinstance(authenticate(snapshot, proved[0], NOW, NOTHING_LEARNT), (Identity, Decision))

    def look(request: Request) -> object:
        return authenticate(snapshot, request, NOW, NOTHING_LEARNT)

    memo = Memo(tokens=4 * TIMES)  # soon full, as that of a process that has run for a while

    def verified(token: str) -> object:
        return tokens._verify(token, snapshot.trust, NOW)

    def first_look(token: str) -> object:
        return tokens.verify(token, snapshot.trust, snapshot.facts, memo, NOW)

    measures: dict[str, tuple[Callable[..., object], Sequence[object]]] = {
        "hit": (look, [known] * TIMES * 10),
        "opaque_hit": (look, [opaque] * TIMES * 10),
        "api_key_hit": (look, [key] * TIMES * 10),
        "api_key_miss": (lambda request: _forgetful(another, request), [key] * TIMES),
        "dpop": (look, proved),
        "ES256_raw_for_dpop": (_raw(private["ES256"].public_key()), [jws.parse(bound)] * TIMES),
    }
    found: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        for name, (call, each) in measures.items():
            found.setdefault(name, []).append(_measure(call, each))
        for algorithm in pems:
            unseen = [token(algorithm, turn * TIMES + number) for number in range(TIMES)]
            parsed = [jws.parse(each) for each in unseen]
            found.setdefault(f"{algorithm}_raw", []).append(_measure(_raw(private[algorithm].public_key()), parsed))
            found.setdefault(f"{algorithm}_verified", []).append(_measure(verified, unseen))
            found.setdefault(algorithm, []).append(_measure(first_look, unseen))
    assert isinstance(look(opaque), Identity), "what was to be remembered is"
    median = {name: statistics.median(times) for name, times in found.items()}
    rows = {
        name: Row(
            value=round(median[name], 2),
            unit="us",
            baseline=f"{limit:g} us",
            ratio=lower_is_better(median[name], limit),
        )
        for name, limit in (("hit", 2.0), ("opaque_hit", 5.0), ("api_key_hit", 5.0), ("api_key_miss", 20.0))
    }
    looks = [(name, f"{algorithm}_raw") for algorithm in pems for name in (f"{algorithm}_verified", algorithm)]
    for name, raw in [*looks, ("dpop", "ES256_raw_for_dpop")]:
        rows[name] = Row(
            value=round(median[name], 2),
            unit="us",
            baseline=f"1.5 times the signature check alone: {median[raw]:.1f} us",
            ratio=lower_is_better(median[name], 1.5 * median[raw]),
            note=f"{median[name] / median[raw]:.2f} times",
        )
    return {f"credentials.{name}": row for name, row in rows.items()}


def _forgetful(snapshot: Snapshot, request: Request) -> object:
    snapshot.memo._young.clear()
    snapshot.memo._old.clear()
    return authenticate(snapshot, request, NOW, NOTHING_LEARNT)


def _request(**headers: str) -> Request:
    told = {name: (value,) for name, value in headers.items()}
    return Request(method="GET", target="/", host="api.example", headers=told)


def _raw(public: PublicKey) -> Callable[[jws.Jws], None]:
    """Return the check of the library underneath, with all that it needs made beforehand but an ECDSA signature."""
    pkcs1, sha256, ecdsa = padding.PKCS1v15(), hashes.SHA256(), ec.ECDSA(hashes.SHA256())
    if isinstance(public, rsa.RSAPublicKey):
        return lambda token: public.verify(token.signature, token.signed, pkcs1, sha256)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return lambda token: public.verify(
            encode_dss_signature(int.from_bytes(token.signature[:32]), int.from_bytes(token.signature[32:])),
            token.signed,
            ecdsa,
        )
    return lambda token: public.verify(token.signature, token.signed)


def _rsa() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _measure(call: Callable[..., object], each: Sequence[object]) -> float:
    """Return the median of one call in microseconds."""
    times = []
    gc.collect()
    for one in each:
        started = perf_counter_ns()
        call(one)
        times.append(perf_counter_ns() - started)
    return sorted(times)[len(times) // 2] / 1000
