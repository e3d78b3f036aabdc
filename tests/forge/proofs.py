"""DPoP proofs of any kind, good and bad."""

from authorizer.jose.algorithms import ALGORITHMS, sign
from authorizer.jose.encoding import encode_base64url, encode_json
from authorizer.jose.jwk import public_members, thumbprint
from authorizer.jose.sign import load_private
from tests import leaks

ALGORITHM = "ES256"


def jwk_of(pem):
    return public_members(load_private(pem, ALGORITHM).public_key())


def thumbprint_of(pem):
    return thumbprint(jwk_of(pem))


def sign_proof(pem, claims, **header):
    """Sign a proof; a member of the header that is None is left out."""
    head = {"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": jwk_of(pem)} | header
    parts = [{k: v for k, v in each.items() if v is not None} for each in (head, claims)]
    signed = ".".join(encode_base64url(encode_json(part)) for part in parts)
    signature = sign(ALGORITHMS[ALGORITHM], load_private(pem, ALGORITHM), signed.encode())
    return f"{signed}.{leaks.secret(encode_base64url(signature))}"
