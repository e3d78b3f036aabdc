"""Tokens that joserfc made, and thumbprints that RFCs print: right where the algorithm is accepted, else refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authorizer.errors import KeyMaterialError
from authorizer.jose import jwk, jws
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import Reason
from tests.jose.verified import verified

CHECKS = Path(__file__).parents[2].parent / "shared" / "checks"
MADE = CHECKS / "jose" / "joserfc"
PUBLISHED = CHECKS / "sender-constrained" / "mtls-thumbprints-challenges.json"
HERE = CHECKS.is_dir()
pytestmark = pytest.mark.skipif(not HERE, reason="the outside check data is not here")


def vectors() -> list[ParameterSet]:
    return list(_vectors())


def _vectors() -> Iterator[ParameterSet]:
    for name in ("jws_examples", "jwt_use_jws", "jws_rfc7797") if HERE else ():
        whole = json.loads((MADE / f"{name}.json").read_text())
        for test in whole["tests"]:
            yield pytest.param(test, whole["payload"], id=f"{name}-{test['name']}")


def key_of(name: str) -> jwk.VerifyKey:
    text = (MADE / "keys" / name).read_text()
    if name.endswith(".json"):
        return jwk.read_key({k: v for k, v in json.loads(text).items() if k != "d"})
    return jwk.read_key(jwk.public_members(load_pem_public_key(text.encode())))


@pytest.mark.parametrize(("test", "payload"), vectors())
def test_joserfc(test, payload) -> None:
    header = test.get("protected") or test["header"]
    token = test.get("compact") or test.get("token")
    for form in ("flattened_json", "general_json"):
        if form in test:
            assert isinstance(jws.parse(json.dumps(test[form])), Reason)
    if token is None or header["alg"] not in ALGORITHMS or "crit" in header:
        assert token is None or isinstance(jws.parse(token), Reason)
        return
    try:
        key = key_of(test["public_key"])
    except KeyMaterialError:
        assert "448" in test["public_key"]  # EdDSA here is Ed25519 (RFC 9864 names the other apart)
        return
    taken = verified(token, key)
    assert isinstance(taken, jws.Jws)
    found = taken.payload.decode()
    assert found == payload if isinstance(payload, str) else json.loads(found) == payload


@pytest.mark.parametrize("published", json.loads(PUBLISHED.read_text())["rfc7638"] if HERE else ())
def test_thumbprints(published) -> None:
    assert jwk.read_key(published["jwk"]).thumbprint == published["thumbprint"]
