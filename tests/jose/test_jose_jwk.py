"""Keys: what is read, what is refused and what is left out of a set."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.errors import KeyMaterialError
from authorizer.jose import algorithms, jwk, sign
from authorizer.jose.algorithms import ALGORITHMS, sound_ed25519_point
from authorizer.jose.encoding import decode_base64url, encode_base64url

CHECKS = Path(__file__).parents[2].parent / "shared" / "checks" / "jose"
RSA = sign.public_jwk(sign.generate("RS256"), "RS256", "r")
EC = sign.public_jwk(sign.generate("ES256"), "ES256", "e")
OKP = sign.public_jwk(sign.generate("EdDSA"), "EdDSA", "o")
P = 2**255 - 19


def number(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


def modulus(bits: int) -> str:
    return number((1 << (bits - 1)) | 12345)


def without(key: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in key.items() if name not in names}


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ([], "AZ401"),
        ("x", "AZ401"),
        ({}, "AZ401"),
        ({"kty": None}, "AZ401"),
        ({"kty": ["RSA"]}, "AZ401"),
        ({"kty": "XYZ"}, "AZ402"),
        ({"kty": "oct", "k": "AAAA"}, "AZ404"),
        (RSA | {"d": "AQAB"}, "AZ405"),
        (EC | {"d": "AQAB"}, "AZ405"),
        (OKP | {"k": "AQAB"}, "AZ405"),
        (without(RSA, "n"), "AZ401"),
        (without(RSA, "e"), "AZ401"),
        (RSA | {"n": 5}, "AZ401"),
        (RSA | {"n": RSA["n"] + "="}, "AZ401"),
        (RSA | {"n": encode_base64url(b"\x00" + decode_base64url(RSA["n"]))}, "AZ401"),
        (RSA | {"n": modulus(1024)}, "AZ406"),
        (RSA | {"n": modulus(2047)}, "AZ406"),
        (RSA | {"n": modulus(9000)}, "AZ401"),
        (RSA | {"n": number(1 << 2047)}, "AZ406"),
        (RSA | {"e": number(3)}, "AZ406"),
        (RSA | {"e": number(65538)}, "AZ406"),
        (RSA | {"e": number(1)}, "AZ406"),
        (RSA | {"e": number(2**64 + 1)}, "AZ406"),
        (RSA | {"alg": "RSA-OAEP"}, "AZ403"),
        (RSA | {"alg": "ES256"}, "AZ403"),
        (RSA | {"alg": "HS256"}, "AZ403"),
        (RSA | {"alg": None}, "AZ403"),
        (RSA | {"use": "enc"}, "AZ403"),
        (RSA | {"use": None}, "AZ403"),
        (RSA | {"key_ops": "verify"}, "AZ403"),
        (RSA | {"key_ops": ["sign"]}, "AZ403"),
        (RSA | {"key_ops": ["verify", "verify"]}, "AZ403"),
        (RSA | {"key_ops": ["verify", 1]}, "AZ403"),
        (RSA | {"key_ops": []}, "AZ403"),
        (RSA | {"kid": ""}, "AZ401"),
        (RSA | {"kid": "x" * 257}, "AZ401"),
        (RSA | {"kid": "a\n"}, "AZ401"),
        (RSA | {"kid": 1}, "AZ401"),
        (EC | {"crv": "P-384"}, "AZ403"),
        (without(EC, "alg") | {"crv": "P-384"}, "AZ401"),
        (EC | {"crv": "secp256k1"}, "AZ402"),
        (EC | {"crv": "Ed25519"}, "AZ402"),
        (EC | {"x": EC["y"]}, "AZ407"),
        (EC | {"x": encode_base64url(bytes(32))}, "AZ407"),
        (EC | {"x": encode_base64url(bytes(33))}, "AZ401"),
        (without(EC, "crv"), "AZ401"),
        (without(EC, "y"), "AZ401"),
        (OKP | {"crv": "Ed448"}, "AZ402"),
        (OKP | {"crv": "X25519"}, "AZ402"),
        (OKP | {"x": encode_base64url(bytes(31))}, "AZ407"),
        (OKP | {"x": encode_base64url(b"\xff" * 32)}, "AZ407"),
        (OKP | {"alg": "ES256"}, "AZ403"),
        (OKP | {"kty": "EC"}, "AZ402"),
    ],
)
def test_refused(key: object, code: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        jwk.read_key(key)
    assert caught.value.code == code


@pytest.mark.parametrize("y", [0, 1, P - 1, P, P + 1, 2**255 - 1])
def test_low_order_and_non_canonical_points(y: int) -> None:
    for sign_bit in (0, 1 << 255):
        assert not sound_ed25519_point((y | sign_bit).to_bytes(32, "little"))


def test_the_order_eight_points_are_points_of_order_eight() -> None:
    # On -x^2 + y^2 = 1 + d x^2 y^2, doubling a point of order 8 gives y = 0: x^2 = -y^2, so 2 y^2 = 1 - d y^4.
    d = -121665 * pow(121666, -1, P) % P
    found = algorithms._LOW_ORDER_Y - {0, 1, P - 1}
    assert len(found) == 2
    assert sum(found) == P
    assert all((2 * y * y - 1 + d * pow(y, 4, P)) % P == 0 for y in found)


@pytest.mark.parametrize(
    ("key", "fitting"),
    [
        (RSA, {"RS256"}),
        (without(RSA, "alg"), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (without(EC, "alg", "kid") | {"key_ops": ["sign", "verify"], "x5c": ["ignored"]}, {"ES256"}),
        (OKP, {"EdDSA", "Ed25519"}),
    ],
)
def test_read(key: dict[str, object], fitting: set[str]) -> None:
    read = jwk.read_key(key)
    assert read.algorithms == fitting
    assert read.id == key.get("kid")
    assert jwk.read_key(read.jwk).thumbprint == read.thumbprint
    assert "x5c" not in read.jwk


def test_thumbprint_of_rfc_7638() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    key = jwk.read_key({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
    assert key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_set_keeps_the_good_and_names_the_rest() -> None:
    entries = [
        RSA,
        EC | {"use": "enc"},
        OKP | {"kid": "twin"},
        EC | {"kid": "twin"},
        {"kty": "oct", "kid": "k", "k": "AA"},
        5,
        without(EC, "kid"),
    ]
    found = jwk.read_key_set(json.dumps({"keys": entries, "more": 1}).encode())
    assert [key.id for key in found.keys] == ["r", None]
    assert [(each.index, each.id, each.error.code) for each in found.left_out] == [
        (1, "e", "AZ403"),
        (4, "k", "AZ404"),
        (5, None, "AZ401"),
        (2, "twin", "AZ409"),
        (3, "twin", "AZ409"),
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":NaN}',
        None,
        [],
        {"keys": "x"},
        {"keys": [RSA] * 101},
        b'{"keys":[' + b" " * 600_000 + b"]}",
        b"\xef\xbb\xbf" + json.dumps({"keys": [RSA]}).encode(),
    ],
)
def test_a_malformed_set_is_refused(document: object) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        jwk.read_key_set(document)
    assert caught.value.code == "AZ408"


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from([RSA["n"], EC["x"], OKP["x"], "AQAB", "RSA", "EC", "OKP", "P-256", "sig", "verify"])
)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "use", "key_ops", "kid", "d"]),
        VALUES | st.lists(VALUES, max_size=3),
    )
)
def test_reading_raises_nothing_else(members: dict[str, object]) -> None:
    for base in ({}, RSA, EC, OKP):
        try:
            read = jwk.read_key(base | members)
        except KeyMaterialError:
            continue
        assert read.algorithms <= set(ALGORITHMS)


@pytest.mark.skipif(not CHECKS.is_dir(), reason="the outside check data is not here")
@pytest.mark.parametrize(
    ("name", "code"),
    [("3_1.ec_public", None), ("3_3.rsa_public", None), ("3_5.symmetric", "AZ404"), ("3_6.symmetric", "AZ404")],
)
def test_cookbook(name: str, code: str | None) -> None:
    (path,) = (CHECKS / "cookbook" / "jwk").glob(f"{name}*.json")
    found = jwk.read_key_set({"keys": [json.loads(path.read_text())]})
    assert [each.error.code for each in found.left_out] == ([code] if code else [])
