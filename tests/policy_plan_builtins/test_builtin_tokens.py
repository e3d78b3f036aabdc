"""Tokens in policies: made and checked with real keys, and what is refused that OPA would take."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authorizer.jose.sign import generate, public_jwk, public_pem, sign
from authorizer.policy.plan.builtins import BUILTINS
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError

NOW = 1_700_000_000
KEYS = {algorithm: generate(algorithm) for algorithm in ("RS256", "ES256", "ES384", "ES512", "EdDSA")}
KEYS |= dict.fromkeys(("PS256", "PS512"), KEYS["RS256"])
CLAIMS = {"iss": "me", "aud": ["a", "b"], "exp": NOW + 10, "nbf": NOW - 10}
UNVERIFIED = [False, {}, {}]


def call(name, *operands):
    return BUILTINS[f"io.jwt.{name}"].function(Context(NOW * 10**9, bytes), *operands)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signature_is_checked_with_pem_jwk_and_set(algorithm):
    token = sign(CLAIMS, KEYS[algorithm], algorithm, "k1")
    jwk = public_jwk(KEYS[algorithm], algorithm, "k1")
    for material in (public_pem(KEYS[algorithm]).decode(), json.dumps(jwk), json.dumps({"keys": [jwk]})):
        assert call(f"verify_{algorithm.lower()}", token, material) is True
        assert call("decode_verify", token, {"cert": material, "aud": "a"})[0] is True
    other = {"E": "EdDSA", "R": "PS256", "P": "RS256"}[algorithm[0]] if algorithm != "EdDSA" else "ES256"
    assert call(f"verify_{other.lower()}", token, public_pem(KEYS[algorithm]).decode()) is False


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"iss": "me"}, True),
        ({"iss": "you"}, False),
        ({"aud": "c"}, False),
        ({"alg": "ES256"}, True),
        ({"alg": "ES384"}, False),
        ({"time": (NOW + 10) * 10**9}, False),
        ({"time": (NOW - 11) * 10**9}, False),
        ({"time": (NOW - 10) * 10**9}, True),
    ],
)
def test_claims_are_compared_with_what_is_demanded(change, good):
    token = sign(CLAIMS, KEYS["ES256"], "ES256", "k1")
    found = call("decode_verify", token, {"cert": public_pem(KEYS["ES256"]).decode(), "aud": "b"} | change)
    assert found == ([True, {"alg": "ES256", "kid": "k1", "typ": "JWT"}, CLAIMS] if good else UNVERIFIED)


def test_a_token_for_somebody_is_not_for_nobody():
    token = sign(CLAIMS, KEYS["ES256"], "ES256", "k1")
    assert call("decode_verify", token, {"cert": public_pem(KEYS["ES256"]).decode()}) == UNVERIFIED


@pytest.mark.parametrize(
    "constraints",
    [
        {},
        {"secret": "a", "cert": "x"},
        {"nope": 1, "secret": "a"},
        {"secret": 1},
        {"cert": "x"},
        {"secret": "a", "time": -1},
    ],
)
def test_constraints_that_are_none_are_an_error(constraints):
    with pytest.raises(BuiltinError):
        call("decode_verify", sign(CLAIMS, KEYS["ES256"], "ES256"), constraints)


def test_signing_and_checking_with_a_secret():
    jwk = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    for size in (256, 384, 512):
        token = call("encode_sign", {"alg": f"HS{size}", "typ": "JWT"}, {"a": 1}, jwk)
        assert call(f"verify_hs{size}", token, "secretsecretsecretsecret") is True
        assert call(f"verify_hs{size}", token, "other") is False
        assert call("decode_verify", token, {"secret": "secretsecretsecretsecret"}) == [
            True,
            {"alg": f"HS{size}", "typ": "JWT"},
            {"a": 1},
        ]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
def test_what_is_signed_here_is_good_here(algorithm):
    private = BUILTINS["crypto.x509.parse_rsa_private_key"].function(Context(0, bytes), KEYS[algorithm].decode())
    token = call("encode_sign", {"alg": algorithm}, {"a": "<é>"}, private)
    assert call(f"verify_{algorithm.lower()}", token, public_pem(KEYS[algorithm]).decode()) is True
    assert call("decode", token)[:2] == [{"alg": algorithm}, {"a": "<é>"}]


def test_a_public_key_is_never_a_secret():
    pem = public_pem(KEYS["RS256"]).decode()
    jwk = {"kty": "oct", "k": "c2VjcmV0"}
    token = call("encode_sign", {"alg": "HS256"}, {}, jwk)
    assert call("decode_verify", token, {"cert": pem}) == UNVERIFIED
    assert call("decode_verify", token, {"cert": json.dumps(jwk)}) == UNVERIFIED  # OPA takes it


def test_a_matching_key_id_does_not_lift_the_algorithm_of_the_key():
    token = sign(CLAIMS, KEYS["RS256"], "PS256", "k1")
    material = json.dumps(public_jwk(KEYS["RS256"], "RS256", "k1"))
    assert call("verify_ps256", token, material) is False  # OPA takes it


def test_small_keys_verify_nothing():
    small = rsa.generate_private_key(65537, 1024).public_key()
    pem = small.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert call("verify_rs256", sign(CLAIMS, KEYS["RS256"], "RS256"), pem) is False


def test_other_curves_verify_nothing():
    other = ec.generate_private_key(ec.SECP256K1()).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert call("verify_es256", sign(CLAIMS, KEYS["ES256"], "ES256"), pem) is False


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        "bm90anNvbg.e30.YQ",
        "eyJlbmMiOiJ4In0.e30.YQ",
        "W10.e30.YQ",
        "e30.W10.YQ",
        "!!.e30.YQ",
    ],
)
def test_what_is_no_token_is_an_error_or_undefined(token):
    if token == "e30.e30.":
        assert call("decode", token) == [{}, {}, ""]
        return
    with pytest.raises(BuiltinError):
        call("decode", token)


@pytest.mark.parametrize("extra", ['"crit":["exp2"],"exp2":1', '"crit":["b64"],"b64":false'])
def test_a_critical_header_that_is_not_known_is_not_obeyed(extra):
    jwk = {"kty": "oct", "k": "c2VjcmV0"}
    token = call("encode_sign_raw", '{"alg":"HS256",' + extra + "}", "{}", json.dumps(jwk))
    assert call("decode_verify", token, {"secret": "secret"}) == UNVERIFIED


@pytest.mark.parametrize(
    ("header", "payload", "jwk"),
    [
        ("{}", "{}", {"kty": "oct", "k": "YQ"}),
        ('{"alg":"none"}', "{}", {"kty": "oct", "k": "YQ"}),
        ('{"alg":"HS256"}', "no", {"kty": "oct", "k": "YQ"}),
        ('{"alg":"RS256"}', "{}", {"kty": "oct", "k": "YQ"}),
        ('{"alg":"HS256"}', "{}", {"kty": "RSA"}),
        ('{"alg":"HS256"}', "{}", {"keys": []}),
        ('{"alg":"ES384"}', "{}", {"kty": "EC", "crv": "P-256", "d": "AQ", "x": "", "y": ""}),
    ],
)
def test_what_cannot_be_signed_is_an_error(header, payload, jwk):
    with pytest.raises(BuiltinError):
        call("encode_sign_raw", header, payload, json.dumps(jwk))
