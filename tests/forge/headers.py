"""Forged headers: algorithms, keys and key ids, types, critical extensions."""

import base64
import datetime as dt
import json
import zlib
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authorizer.jose.jwk import public_members
from tests.forge.material import ISSUER, PARTNER, Attack, Forge, compact


def algorithms(f: Forge) -> Iterator[Attack]:
    for name in ("none", "None", "NONE", "nOnE", "none ", " none", "none\x00", "n\u043ene", "null", ""):
        header = {"alg": name, "kid": "rs"}
        bare = f.token(header).rsplit(".", 1)[0]
        yield Attack("alg-none", f"{name!r} empty signature", f"{bare}.", "token_algorithm")
        yield Attack("alg-none", f"{name!r} no third part", bare, "token_malformed")
        yield Attack("alg-none", f"{name!r} junk signature", f"{bare}.AAAA", "token_algorithm")
        yield Attack("alg-none", f"{name!r} valid signature", f.token(header), "token_algorithm")
    yield Attack("alg-missing", "absent", f.token({"kid": "rs"}), "token_algorithm")
    for value in (None, 0, 256, True, [], ["RS256"], {}, {"RS256": 1}):
        yield Attack("alg-missing", repr(value), f.token({"alg": value, "kid": "rs"}), "token_algorithm")
    for value in (
        "rs256",
        "Rs256",
        "RS256 ",
        "RS-256",
        "RSA256",
        "RS1",
        "SHA256",
        "sha256WithRSAEncryption",
        "RS256\n",
    ):
        yield Attack("alg-missing", repr(value), f.token({"alg": value, "kid": "rs"}), "token_algorithm")
    for value in ("RSA-OAEP", "RSA1_5", "dir", "A128KW", "ECDH-ES", "PBES2-HS256+A128KW", "ES256K", "Ed448"):
        yield Attack("alg-missing", f"{value} is not for this", f.token({"alg": value, "kid": "rs"}), "token_algorithm")


def mismatches(f: Forge) -> Iterator[Attack]:
    rows = [
        ("RS384 with an RS256 key", "RS384", "rs", "rs"),
        ("RS512 with an RS256 key", "RS512", "rs", "rs"),
        ("PS256 with an RS256 key", "PS256", "rs", "rs"),
        ("PS256 key, not in the allow-list", "PS256", "ps", "ps"),
        ("RS256 with a PS256 key", "RS256", "ps", "ps"),
        ("ES256 names an RSA key", "ES256", "rs", "es"),
        ("RS256 names an EC key", "RS256", "es", "rs"),
        ("EdDSA names an EC key", "EdDSA", "es", "ed"),
        ("ES256 names an Ed25519 key", "ES256", "ed", "es"),
        ("ES384 with a P-256 key", "ES384", "es", "es"),
        ("ES512 with a P-256 key", "ES512", "es", "es"),
    ]
    for name, algorithm, kid, key in rows:
        token = f.token({"alg": algorithm, "kid": kid}, key=key, family=algorithm)
        yield Attack("alg-key-mismatch", name, token, "token_algorithm")
    for kid, algorithm in (("enc", "RS256"), ("ops", "ES256"), ("oaep", "RS256"), ("twin", "RS256")):
        token = f.token({"alg": algorithm, "kid": kid}, key=kid, family=algorithm)
        yield Attack("alg-key-mismatch", f"key '{kid}' is not for this", token, "token_key")
    partner = f.token({"alg": "ES256", "kid": "partner"}, key="partner", family="ES256")
    yield Attack("alg-key-mismatch", "another issuer's key", partner, "token_key")
    claim = f.token({"alg": "RS256", "kid": "rs"}, f.with_claims(iss=PARTNER))
    yield Attack("alg-key-mismatch", "another issuer's name", claim, "token_algorithm")


def confusion(f: Forge) -> Iterator[Attack]:
    public = f.keys["rs"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pkcs1 = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    jwk = f.jwks["rs"]
    secrets = {
        "PEM": pem,
        "PEM without its last newline": pem.rstrip(),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM body": b"".join(pem.splitlines()[1:-1]),
        "PKCS1 PEM": pkcs1,
        "PKCS1 PEM stripped": pkcs1.strip(),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "PKCS1 DER": public.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        "OpenSSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": compact(jwk),
        "JWK with spaces": json.dumps(jwk).encode(),
        "JWK sorted": json.dumps(jwk, sort_keys=True).encode(),
        "JWK set": compact({"keys": [jwk]}),
        "n text": jwk["n"].encode(),
        "n bytes": base64.urlsafe_b64decode(jwk["n"] + "=="),
        "key id": b"rs",
        "empty": b"",
    }
    for name, secret in secrets.items():
        token = f.token({"alg": "HS256", "kid": "rs"}, key=secret)
        yield Attack("rs-hs-confusion", f"HS256 {name}", token, "token_algorithm")
    for algorithm in ("HS384", "HS512", "hs256"):
        token = f.token({"alg": algorithm, "kid": "rs"}, key=pem, family=algorithm)
        yield Attack("rs-hs-confusion", f"{algorithm} PEM", token, "token_algorithm")
    token = f.token({"alg": "RS256", "kid": "rs"}, key=pem)
    yield Attack("rs-hs-confusion", "RS256 in the header, an HMAC beneath", token, "token_signature")
    token = f.token({"alg": "HS256", "kid": "secret"}, key="secret")
    yield Attack("rs-hs-confusion", "the symmetric key of the set", token, "token_algorithm")
    token = f.token({"alg": "RS256", "kid": "secret"}, key="secret")
    yield Attack("rs-hs-confusion", "the symmetric key of the set, as RS256", token, "token_key")
    point = f.keys["es"].public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    token = f.token({"alg": "HS256", "kid": "es"}, key=point)
    yield Attack("rs-hs-confusion", "HS256 EC point", token, "token_algorithm")


def injected_keys(f: Forge) -> Iterator[Attack]:
    attacker = public_members(f.keys["attacker"].public_key())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.example")])
    certificate = base64.b64encode(_certificate(f.keys["attacker"], name)).decode()
    url = "http://127.0.0.1:9/keys.json"
    rows: dict[str, dict[str, Any]] = {
        "jwk": {"jwk": attacker},
        "jwk with our kid": {"jwk": attacker | {"kid": "rs"}},
        "jwk empty": {"jwk": {}},
        "jku": {"jku": url},
        "jku of the issuer": {"jku": f"{ISSUER}/keys"},
        "jku file": {"jku": "file:///dev/zero"},
        "x5u": {"x5u": url},
        "x5c": {"x5c": [certificate]},
        "x5c and x5t": {"x5c": [certificate], "x5t": "AAAA"},
    }
    for what, header in rows.items():
        for kid in ({"kid": "rs"}, {"kid": "attacker"}, {}):
            token = f.token({"alg": "RS256"} | kid | header, key="attacker")
            yield Attack("key-injection", f"{what}, {kid}", token, "token_header")
    token = f.token({"alg": "RS256", "kid": "rs", "jwk": f.jwks["rs"]})
    yield Attack("key-injection", "our own key", token, "token_header")
    token = f.token({"alg": "RS256", "kid": "rs", "x5t": 1})
    yield Attack("key-injection", "x5t is a number", token, "token_header")
    token = f.token({"alg": "RS256", "kid": "rs"}, key="attacker")
    yield Attack("key-injection", "just signed by another", token, "token_signature")


def _certificate(key: Any, name: x509.Name) -> bytes:
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + dt.timedelta(days=900))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def key_ids(f: Forge) -> Iterator[Attack]:
    texts = [
        "unknown",
        "RS",
        "rs ",
        " rs",
        "rs\x00",
        "rs\n",
        "rs/",
        "rs#1",
        "../rs",
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "C:\\nul",
        "rs' OR '1'='1",
        "x' UNION SELECT 'AAAA'; --",
        "$(id)",
        "| id",
        "{{7*7}}",
        "http://127.0.0.1:9/",
        "%72%73",
        "__proto__",
        "partner",
        "0",
        "x" * 256,
        "r\u0455",
    ]
    for kid in texts:
        yield Attack("kid-injection", repr(kid[:40]), f.token({"alg": "RS256", "kid": kid}), "token_key")
    for kid in ("", "x" * 257, "x" * 2500, None, 0, 1, True, [], ["rs"], {}, {"rs": "rs"}):
        yield Attack("kid-injection", repr(kid)[:40], f.token({"alg": "RS256", "kid": kid}), "token_key")
    yield Attack("kid-injection", "huge", f.token({"alg": "RS256", "kid": "x" * 9000}), "token_too_large")
    yield Attack("kid-injection", "absent, two keys fit", f.token({"alg": "RS256"}), "token_key")


def types(f: Forge) -> Iterator[Attack]:
    kinds = [
        "dpop+jwt",
        "application/dpop+jwt",
        "DPoP+JWT",
        "secevent+jwt",
        "logout+jwt",
        "entity-statement+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "kb+jwt",
        "vc+sd-jwt",
        "dc+sd-jwt",
        "rt+jwt",
        "id+jwt",
        "JOSE",
        "JOSE+JSON",
        "JWE",
        "at+jwt ",
        "at+jwt;x",
        "application/application/at+jwt",
        "xat+jwt",
        "jwt\x00",
        "at jwt",
    ]
    for kind in kinds:
        yield Attack("claims", f"typ {kind!r}", f.token({"alg": "RS256", "kid": "rs", "typ": kind}), "token_type")
    for kind in (None, 1, True, ["JWT"], {"JWT": 1}):
        yield Attack("claims", f"typ {kind!r}", f.token({"alg": "RS256", "kid": "rs", "typ": kind}), "token_header")
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    yield Attack("claims", "a logout token that says JWT", f.token(body=f.with_claims(events=events)), "token_type")
    for claim, use in (("token_use", "refresh_token"), ("typ", "Refresh"), ("typ", "Offline")):
        yield Attack("claims", f"{claim} is {use}", f.token(body=f.with_claims(**{claim: use})), "token_type")


def critical(f: Forge) -> Iterator[Attack]:
    base = {"alg": "RS256", "kid": "rs"}
    values: list[object] = [
        ["exp"],
        ["x"],
        [],
        ["alg"],
        ["x", "x"],
        ["b64"],
        [""],
        [1],
        "exp",
        "",
        None,
        {},
        1,
        True,
        ["http://example/x"],
    ]
    for value in values:
        header = base | {"crit": value}
        yield Attack("crit", f"{value!r}", f.token(header), "token_critical")
        yield Attack(
            "crit", f"{value!r}, members present", f.token(header | {"x": 1, "exp": 1, "b64": True}), "token_critical"
        )
    unencoded = f.token(base | {"b64": False, "crit": ["b64"]}, parts=lambda h, _: (h, "sub=ann"))
    yield Attack("crit", "b64 false, claims as they are", unencoded, "token_critical")
    for value in (False, True, None, "false"):
        yield Attack("crit", f"b64 {value!r} alone", f.token(base | {"b64": value}), "token_header")
    packed = zlib.compress(compact(f.good))[2:-4]
    yield Attack("crit", "zip", f.token(base | {"zip": "DEF"}, packed), "token_header")
    yield Attack("crit", "zip, not packed", f.token(base | {"zip": "DEF"}), "token_header")
    inner = f.token().encode()
    yield Attack("crit", "cty JWT, nested", f.token(base | {"cty": "JWT"}, inner), "token_header")
    yield Attack("crit", "cty JWT, plain", f.token(base | {"cty": "JWT"}), "token_header")
    yield Attack("crit", "nested without cty", f.token(base, inner), "token_malformed")
    yield Attack("crit", "enc", f.token(base | {"enc": "A128GCM"}), "token_header")
    yield Attack("crit", "p2c", f.token(base | {"p2s": "x", "p2c": 2**31}), "token_header")


def weak_keys(f: Forge) -> Iterator[Attack]:
    for kid in ("weak1024", "weak1536", "e3"):
        yield Attack("weak-key", kid, f.token({"alg": "RS256", "kid": kid}, key=kid), "token_key")
    yield Attack("weak-key", "secp256k1", f.token({"alg": "ES256", "kid": "k1"}, key="k1", family="ES256"), "token_key")
    yield Attack(
        "weak-key", "Ed448", f.token({"alg": "EdDSA", "kid": "ed448"}, key="ed448", family="EdDSA"), "token_key"
    )
