"""Damaged, misplaced, empty and malleable signatures."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.forge.material import ED_ORDER, P256_ORDER, Attack, Forge, b64, compact, signature


def damaged(f: Forge) -> Iterator[Attack]:
    token = f.token()
    head, body, tail = token.split(".")
    raw = base64.urlsafe_b64decode(tail + "==")
    modulus = f.keys["rs"].public_key().public_numbers().n
    value = int.from_bytes(raw)
    other = f.token(body=f.with_claims(sub="bob")).split(".")
    yield Attack("signature", "stripped", f"{head}.{body}.", "token_signature")
    yield Attack("signature", "stripped with its dot", f"{head}.{body}", "token_malformed")
    yield Attack("signature", "of another token", f"{head}.{body}.{other[2]}", "token_signature")
    yield Attack("signature", "claims exchanged", f"{head}.{other[1]}.{tail}", "token_signature")
    header = b64(compact({"alg": "RS256", "kid": "rs", "typ": "JWT"}))
    yield Attack("signature", "header exchanged", f"{header}.{body}.{tail}", "token_signature")
    odd = {
        "one byte short": raw[:-1],
        "half": raw[:128],
        "one byte": raw[:1],
        "one byte long": raw + b"\x00",
        "zero byte first": b"\x00" + raw,
        "all zero": bytes(256),
        "one": (1).to_bytes(256),
        "the modulus": modulus.to_bytes(256),
        "plus the modulus": (value + modulus).to_bytes(257),
        "all ones": b"\xff" * 256,
        "twice": raw + raw,
        "SHA-512 beneath": signature(f.keys["rs"], "RS512", f"{head}.{body}".encode()),
        "PSS beneath": signature(f.keys["rs"], "PS256", f"{head}.{body}".encode()),
        "of the claims only": signature(f.keys["rs"], "RS256", body.encode()),
        "of the decoded text": signature(f.keys["rs"], "RS256", compact(f.good)),
        "by another key of the set": signature(f.keys["rs2"], "RS256", f"{head}.{body}".encode()),
    }
    for name, data in odd.items():
        yield Attack("signature", name, f"{head}.{body}.{b64(data)}", "token_signature")
    for position in range(0, 2048, 256):
        flipped = (value ^ (1 << position)).to_bytes(256)
        yield Attack("signature", f"bit {position} flipped", f"{head}.{body}.{b64(flipped)}", "token_signature")


def psychic(f: Forge) -> Iterator[Attack]:
    es, ed = {"alg": "ES256", "kid": "es"}, {"alg": "EdDSA", "kid": "ed"}
    n = P256_ORDER
    pairs = {
        "r=s=0": (0, 0),
        "r=0": (0, 1),
        "s=0": (1, 0),
        "r=s=n": (n, n),
        "r=n": (n, 1),
        "s=n": (1, n),
        "r=s=1": (1, 1),
        "r=s=n-1": (n - 1, n - 1),
        "r=s=2^256-1": (2**256 - 1, 2**256 - 1),
    }
    for name, (r, s) in pairs.items():
        forged = r.to_bytes(32) + s.to_bytes(32)
        yield Attack("psychic", name, f.token(es, sign=lambda _, forged=forged: forged), "token_signature")

    def changed(change: Callable[[bytes], bytes], header: dict[str, Any], key: str) -> str:
        return f.token(header, sign=lambda message: change(signature(f.keys[key], header["alg"], message)))

    def der(message: bytes) -> bytes:
        return f.keys["es"].sign(message, ec.ECDSA(hashes.SHA256()))

    yield Attack("psychic", "DER", f.token(es, sign=der), "token_signature")
    yield Attack("psychic", "empty DER sequence", f.token(es, sign=lambda _: b"\x30\x00"), "token_signature")
    ecdsa = {
        "63 bytes": lambda raw: raw[:63],
        "65 bytes": lambda raw: raw + b"\x00",
        "r and s exchanged": lambda raw: raw[32:] + raw[:32],
        "33-byte halves": lambda raw: b"\x00" + raw[:32] + b"\x00" + raw[32:],
        "r + n": lambda raw: ((int.from_bytes(raw[:32]) + n) % 2**256).to_bytes(32) + raw[32:],
    }
    for name, change in ecdsa.items():
        yield Attack("psychic", f"ECDSA {name}", changed(change, es, "es"), "token_signature")

    def malleable(raw: bytes) -> bytes:
        return raw[:32] + (int.from_bytes(raw[32:], "little") + ED_ORDER).to_bytes(32, "little")

    identity = (1).to_bytes(32, "little")
    eddsa = {
        "S + L": malleable,
        "zero": lambda _: bytes(64),
        "R is the identity, S is 0": lambda _: identity + bytes(32),
        "R of low order": lambda raw: bytes(32) + raw[32:],
        "R not canonical": lambda raw: b"\xff" * 31 + b"\x7f" + raw[32:],
        "63 bytes": lambda raw: raw[:63],
        "65 bytes": lambda raw: raw + b"\x00",
        "exchanged": lambda raw: raw[32:] + raw[:32],
        "sign bit of R flipped": lambda raw: raw[:31] + bytes([raw[31] ^ 128]) + raw[32:],
    }
    for name, change in eddsa.items():
        yield Attack("psychic", f"EdDSA {name}", changed(change, ed, "ed"), "token_signature")
    token = f.token({"alg": "EdDSA", "kid": "loworder"}, sign=lambda _: identity + bytes(32))
    yield Attack("psychic", "EdDSA key of low order", token, "token_key")
