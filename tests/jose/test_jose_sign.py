"""Every accepted algorithm signs and checks; keys and algorithms that do not fit are refused."""

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authorizer.errors import KeyMaterialError
from authorizer.jose import jwk, jws, sign
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import Reason
from tests.jose.verified import verified

PEMS = {algorithm: sign.generate(algorithm) for algorithm in ("RS256", "ES256", "ES384", "ES512", "EdDSA")}
KEY_OF = {
    algorithm: PEMS.get("RS256" if rule.key_type == "RSA" else algorithm, PEMS["EdDSA"])
    for algorithm, rule in ALGORITHMS.items()
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_is_verified_with_the_jwk_and_with_the_pem(algorithm: str) -> None:
    pem = KEY_OF[algorithm]
    key = jwk.read_key(sign.public_jwk(pem, algorithm))
    token = sign.sign({"b": 1, "a": "é"}, pem, algorithm, key.id)
    taken = verified(token, key)
    assert isinstance(taken, jws.Jws)
    assert taken.payload == '{"a":"é","b":1}'.encode()
    assert taken.header.key_id == key.id == key.thumbprint
    assert isinstance(verified(token, jwk.read_pem(sign.public_pem(pem), algorithm)), jws.Jws)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - {"Ed25519"}))  # PyJWT has its older name alone
def test_another_library_accepts_what_is_signed_and_signs_what_is_accepted(algorithm: str) -> None:
    pem = KEY_OF[algorithm]
    public = load_pem_public_key(sign.public_pem(pem))
    assert jwt.decode(sign.sign({"sub": "ann"}, pem, algorithm), public, [algorithm]) == {"sub": "ann"}
    theirs = jwt.encode({"sub": "ann"}, pem, algorithm)
    assert isinstance(verified(theirs, jwk.read_pem(sign.public_pem(pem), algorithm)), jws.Jws)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: sign.generate("HS256"), "AZ411"),
        (lambda: sign.sign(b"x", PEMS["RS256"], "none"), "AZ411"),
        (lambda: sign.sign(b"x", PEMS["RS256"], "ES256"), "AZ403"),
        (lambda: sign.sign(b"x", PEMS["ES256"], "ES384"), "AZ403"),
        (lambda: sign.sign(b"x", b"-----BEGIN", "ES256"), "AZ410"),
        (lambda: sign.sign(b"x", sign.public_pem(PEMS["ES256"]), "ES256"), "AZ410"),
        (lambda: jwk.read_pem(PEMS["ES256"], "ES256"), "AZ410"),
        (lambda: jwk.read_pem(sign.public_pem(PEMS["ES256"]), "RS256"), "AZ403"),
    ],
)
def test_keys_that_do_not_fit_are_refused(make, code: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        make()
    assert caught.value.code == code


def test_a_key_is_for_its_algorithm_only() -> None:
    pem = PEMS["RS256"]
    key = jwk.read_pem(sign.public_pem(pem), "RS256")
    refused = verified(sign.sign(b"x", pem, "PS256"), key)
    assert isinstance(refused, Reason)
    assert refused.code == "token_algorithm"
    assert isinstance(verified(sign.sign(b"x", pem, "RS256"), key), jws.Jws)
