"""Forged and odd tokens, by class, for every door to refuse.

``material()`` makes the keys, ``issuers()`` is the trust document for them, ``attacks()`` yields the tokens that must
be refused with 401 and ``honest()`` those that must not. Unless its class is about the signature, a forged token
carries a valid one, made with the key that it names: only the rule under test stands between it and an allow.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.forge import claims as claim_forms
from tests.forge import headers, signatures, spellings
from tests.forge.material import (
    AUDIENCE,
    ISSUER,
    PARTNER,
    Attack,
    Forge,
    Material,
    claims,
    compact,
    honest,
    issuers,
    material,
)

_CLASSES = (
    headers.algorithms,
    headers.mismatches,
    headers.confusion,
    headers.injected_keys,
    headers.key_ids,
    headers.types,
    headers.critical,
    headers.weak_keys,
    signatures.damaged,
    signatures.psychic,
    spellings.encodings,
    spellings.header_json,
    spellings.claims_json,
    claim_forms.registered,
    claim_forms.subjects,
)


def attacks(made: Material, good: Mapping[str, Any]) -> Iterator[Attack]:
    """Yield every forged token. ``good`` are claims that are valid when the tokens are tried."""
    forge = Forge(made, good)
    for each in _CLASSES:
        yield from each(forge)


def flood(made: Material, good: Mapping[str, Any], count: int) -> Iterator[str]:
    """Yield tokens with a different unknown ``kid`` each."""
    f = Forge(made, good)
    for number in range(count):
        yield f.token({"alg": "RS256", "kid": f"k{number:x}"}, sign=lambda _: b"\x01" * 256)


__all__ = [
    "AUDIENCE",
    "ISSUER",
    "PARTNER",
    "Attack",
    "attacks",
    "claims",
    "compact",
    "flood",
    "honest",
    "issuers",
    "material",
]
