"""DPoP proofs: the published ones are accepted, and each member that is wrong is refused with its own reason."""

import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.jose.dpop import Proof, fault, normal_target, read_proof, token_hash
from authorizer.jose.encoding import encode_base64url, encode_json
from authorizer.jose.jwk import public_members, thumbprint
from authorizer.model import Reason

PUBLISHED = Path(__file__).parents[3] / "shared/checks/sender-constrained/dpop-rfc9449-published.json"
KEY = generate_private_key(SECP256R1())
JWK = public_members(KEY.public_key())
ES256 = frozenset({"ES256"})
NOW = 1_800_000_000.0
URL = "https://api.example/orders/7?x=1"
CLAIMS = {"jti": "one", "htm": "GET", "htu": "https://api.example/orders/7", "iat": int(NOW), "ath": token_hash("at")}


def sign(header, claims):
    signed = f"{encode_base64url(encode_json(header))}.{encode_base64url(encode_json(claims))}"
    r, s = decode_dss_signature(KEY.sign(signed.encode(), ECDSA(SHA256())))
    return f"{signed}.{encode_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def made(header=(), claims=(), without=()):
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK} | dict(header)
    body = CLAIMS | dict(claims)
    return sign(*({k: v for k, v in each.items() if k not in without} for each in (head, body)))


def judge(proof, *, method="GET", url=URL, token="at", now=NOW):
    read = read_proof(proof, ES256)
    if isinstance(read, Reason):
        return read.code
    wrong = fault(read, method=method, url=url, token=token, now=now, lifetime=60, leeway=5)
    return wrong.code if wrong else ""


def test_a_proof_of_this_request_is_accepted():
    assert judge(made()) == ""
    read = read_proof(made(), ES256)
    assert isinstance(read, Proof)
    assert read.thumbprint == thumbprint(JWK)
    assert read.digest == read_proof(made({}, {"iat": 5}), ES256).digest, "one key and one jti are one proof"
    assert read.digest != read_proof(made({}, {"jti": "two"}), ES256).digest
    assert read.digest != replace(read, thumbprint="another").digest, "another key's proof with that name is another"


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        (made(claims={"htm": "POST"}), "proof_request"),
        (made(claims={"htm": "get"}), "proof_request"),
        (made(claims={"htu": "https://api.example/orders/8"}), "proof_request"),
        (made(claims={"htu": "http://api.example/orders/7"}), "proof_request"),
        (made(claims={"htu": "https://api.example:8443/orders/7"}), "proof_request"),
        (made(claims={"htu": "https://u@api.example/orders/7"}), "proof_request"),
        (made(claims={"htu": "nonsense"}), "proof_request"),
        (made(claims={"iat": NOW - 61}), "proof_time"),
        (made(claims={"iat": int(NOW) - 61}), "proof_time"),
        (made(claims={"iat": int(NOW) + 6}), "proof_time"),
        (made(claims={"ath": token_hash("other")}), "proof_token"),
        (made(without=["ath"]), "proof_token"),
        (made(without=["jti"]), "proof_malformed"),
        (made(without=["iat"]), "proof_malformed"),
        (made(without=["htu"]), "proof_malformed"),
        (made(without=["jwk"]), "proof_malformed"),
        (made(without=["typ"]), "proof_malformed"),
        (made({"typ": "JWT"}), "proof_malformed"),
        (made({"alg": "none"}), "proof_malformed"),
        (made({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}), "proof_malformed"),
        (made({"alg": "ES384"}), "proof_malformed"),
        (made({"crit": ["x"], "x": 1}), "proof_malformed"),
        (made({"jku": "https://evil.example"}), "proof_malformed"),
        (made({"jwk": JWK | {"d": "AAAA"}}), "proof_malformed"),
        (made({"jwk": public_members(generate_private_key(SECP256R1()).public_key())}), "proof_signature"),
        (made(claims={"iat": True}), "proof_malformed"),
        (made(claims={"iat": "1800000000"}), "proof_malformed"),
        (made(claims={"jti": ""}), "proof_malformed"),
        (made(claims={"jti": "a\nb"}), "proof_malformed"),
        (made(claims={"jti": "x" * 1025}), "proof_malformed"),
        (made(claims={"nonce": 5}), "proof_malformed"),
        ("", "proof_malformed"),
        ("a.b.c", "proof_malformed"),
        ("é", "proof_malformed"),
        (made() + "A" * 9000, "proof_malformed"),
    ],
)
def test_a_proof_that_is_wrong_says_how(proof, code):
    assert judge(proof) == code


def test_an_unreadable_request_is_proved_by_nothing():
    assert judge(made(claims={"htu": "x:y"}), url="x:y") == "proof_request"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://a.example", "https://a.example/"),
        ("HTTPS://A.Example:443/x?q#f", "https://a.example/x"),
        ("http://a.example:80/%7ex/%2f", "http://a.example/~x/%2F"),
        ("https://a.example:80/", "https://a.example:80/"),
        ("https://a.example/a/./b/../c", "https://a.example/a/c"),
        ("https://a.example/a/..", "https://a.example/"),
        ("https://a.example/a/%2e%2e/b", "https://a.example/b"),
        ("https://[::1]:443/", "https://[::1]/"),
        ("https://a.example:/", "https://a.example/"),
        ("https://u@a.example/", None),
        ("https://[fe80::1%25eth0]/", None),
        ("ftp://a.example/", None),
        ("https:///x", None),
        ("https://[::1/", None),
    ],
)
def test_targets_are_compared_in_one_spelling(url, normal):
    assert normal_target(url) == normal


@given(st.text())
def test_nothing_makes_the_reader_raise(text):
    read_proof(text, ES256)
    normal_target(text)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published vectors lie beside the project, in shared/checks")
def test_the_published_proofs_and_spellings():
    published = json.loads(PUBLISHED.read_text())
    for pair in published["htu_normalisation"]:
        assert normal_target(pair["in"]) == pair["out"]
    assert token_hash(published["access_token"]) == published["ath"]
    for case in published["cases"]:
        read = read_proof(case["proof"], ES256)
        assert isinstance(read, Proof), case["name"]
        assert read.thumbprint == published["jkt"]
        token = case["access_token"]
        args = {"method": case["method"], "url": case["url"], "now": case["now"], "lifetime": 60, "leeway": 5}
        assert fault(read, token=token, **args) is None, case["name"]
        assert fault(read, token="other", **args) is not None
        assert fault(read, token=token, **args | {"now": time.time()}) is not None
