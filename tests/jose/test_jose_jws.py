"""Signed tokens: the vectors of RFC 7520, and that nothing but the signed bytes verifies."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.jose import jwk, jws, sign
from authorizer.jose.encoding import encode_base64url
from authorizer.model import Reason
from tests.jose.verified import verified

CHECKS = Path(__file__).parents[2].parent / "shared" / "checks" / "jose"
VECTORS = [
    *sorted(CHECKS.glob("cookbook/jws/*.json")),
    CHECKS / "cookbook/curve25519/jws.json",
    *sorted(CHECKS.glob("cookbook/rfc7797/*.json")),
]
PEMS = {algorithm: sign.generate(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")}
KEYS = {algorithm: jwk.read_key(sign.public_jwk(pem, algorithm, "k")) for algorithm, pem in PEMS.items()}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def public(key: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in key.items() if name not in {"d", "p", "q", "dp", "dq", "qi"}}


@pytest.mark.skipif(not CHECKS.is_dir(), reason="the outside check data is not here")
@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_cookbook(path: Path) -> None:
    vector = json.loads(path.read_text())
    token = vector["output"].get("compact")
    algorithm = vector["input"]["alg"]
    if token is None or algorithm == "HS256" or "detached" in path.stem:
        shown = token or json.dumps(vector["output"]["json"])
        assert isinstance(jws.parse(shown), Reason)
        return
    key = jwk.read_key(public(vector["input"]["key"]))
    taken = verified(token, key)
    assert isinstance(taken, jws.Jws)
    assert taken.payload.decode() == vector["input"]["payload"]


@given(st.text() | st.text(ALPHABET + ".", max_size=200))
def test_parsing_never_raises(text: str) -> None:
    assert isinstance(jws.parse(text), jws.Jws | Reason)


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_parsing_any_three_parts_never_raises(head: bytes, body: bytes, tail: bytes) -> None:
    token = ".".join(map(encode_base64url, (head, body, tail)))
    assert isinstance(jws.parse(token), jws.Jws | Reason)


HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "cty", "crit", "b64", "zip", "jwk", "jku", "x"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["RS256", "ES256", "none"])
    | st.lists(st.text(max_size=3)),
)


@given(HEADERS)
def test_any_header_is_answered(header: dict[str, object]) -> None:
    token = ".".join(encode_base64url(part) for part in (json.dumps(header).encode(), b"x", b"x"))
    for key in KEYS.values():
        assert isinstance(verified(token, key), Reason)


@given(st.binary(min_size=1, max_size=200), st.sampled_from(sorted(PEMS)))
@settings(max_examples=30)
def test_what_is_signed_verifies_under_that_key_only(payload: bytes, algorithm: str) -> None:
    token = sign.sign(payload, PEMS[algorithm], algorithm, "k")
    taken = verified(token, KEYS[algorithm])
    assert isinstance(taken, jws.Jws)
    assert taken.payload == payload
    for other in KEYS.keys() - {algorithm}:
        assert isinstance(verified(token, KEYS[other]), Reason)


TOKENS = {algorithm: sign.sign(b'{"sub":"ann"}', pem, algorithm, "k") for algorithm, pem in PEMS.items()}


@given(st.sampled_from(sorted(PEMS)), st.data())
@settings(max_examples=200)
def test_a_changed_character_never_verifies(algorithm: str, data: st.DataObject) -> None:
    token = TOKENS[algorithm]
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(ALPHABET + ".=+/ \n").filter(lambda character: character != token[position]))
    forged = token[:position] + other + token[position + 1 :]
    assert isinstance(verified(forged, KEYS[algorithm]), Reason)


@given(st.sampled_from(sorted(PEMS)), st.data())
@settings(max_examples=100)
def test_a_flipped_bit_never_verifies(algorithm: str, data: st.DataObject) -> None:
    taken = jws.parse(TOKENS[algorithm])
    assert isinstance(taken, jws.Jws)
    parts = [bytearray(taken.signed), bytearray(taken.signature)]
    which = data.draw(st.integers(0, 1))
    bit = data.draw(st.integers(0, len(parts[which]) * 8 - 1))
    parts[which][bit // 8] ^= 1 << (bit % 8)
    forged = jws.Jws(jws.Header(algorithm, None, "", {}), b"", bytes(parts[0]), bytes(parts[1]))
    assert isinstance(jws.signature_fault(forged, KEYS[algorithm]), Reason)
