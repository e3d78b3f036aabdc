"""``.signatures.json``: one JWT over the digests of all other files of a bundle (OPA ``management-bundles``, Signing).

Key and algorithm come from our configuration; what the token says only chooses among configured keys.
"""

import hashlib
from collections.abc import Mapping

import orjson
from msgspec import Struct

from authorizer.bundle.refusals import refusal, shown
from authorizer.bundle.structured import Number, canonical, is_structured, parse
from authorizer.jose import jws, sign
from authorizer.jose.jwk import VerifyKey
from authorizer.model import Reason

NAME = ".signatures.json"
MAX_TOKEN = 1024 * 1024
_NAMED = 5  # so many configured keys are named

# OPA's names of digests. INVARIANT: MD5 and SHA-1 stay out; collisions in them are practical.
_DIGESTS = {
    "SHA-224": "sha224",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA-512-224": "sha512_224",
    "SHA-512-256": "sha512_256",
}


class Signer(Struct, frozen=True, kw_only=True):
    """What signs: an unencrypted private key in PEM, the name that verifiers know it by, and an optional scope."""

    private_pem: bytes
    key_id: str
    algorithm: str = "ES256"
    scope: str = ""

    def __repr__(self) -> str:
        return f"Signer(key_id={self.key_id!r}, algorithm={self.algorithm!r})"


class Verifier(Struct, frozen=True, kw_only=True):
    """Who may sign: keys by id, each bound to its algorithms.

    ``key_id``, if set, is the one key that is used whatever the token names; ``scope`` must equal the token's.
    """

    keys: Mapping[str, VerifyKey]
    key_id: str = ""
    scope: str = ""


def attach(files: Mapping[str, bytes], signer: Signer, *, issued_at: int) -> bytes:
    """Return the text of ``.signatures.json`` for the files; ``issued_at`` is in POSIX seconds.

    Raises KeyMaterialError if the key cannot sign, BundleError AZ314 if a file that OPA hashes by meaning is malformed.
    """
    listed = [
        {"name": name, "hash": _digest(name, files[name], "SHA-256"), "algorithm": "SHA-256"} for name in sorted(files)
    ]
    payload: dict[str, object] = {"files": listed, "iat": issued_at, "iss": "authorizer"}
    if signer.scope:
        payload["scope"] = signer.scope
    token = sign.sign(payload, signer.private_pem, signer.algorithm, signer.key_id)
    return orjson.dumps({"signatures": [token]})


def check(files: Mapping[str, bytes], verifier: Verifier | None) -> str:
    """Check the signature over all files of a bundle and return the id of the key that made it ("" for no verifier).

    Raises BundleError AZ320-AZ329. A signature that nobody asked for is refused like a missing one: it would look as if
    it had been checked.
    """
    text = files.get(NAME)
    if verifier is None:
        if text is not None:
            raise refusal("signature_unexpected", "the bundle is signed, but no verification key is configured")
        return ""
    if text is None:
        raise refusal("unsigned", "the bundle is not signed")
    payload, key_id = _verified(_parsed(text), verifier)
    scope = payload.get("scope", "")
    if scope != verifier.scope:
        raise refusal("wrong_scope", f"the signature has the scope {shown(scope)}, not {shown(verifier.scope)}")
    _check_files({name: content for name, content in files.items() if name != NAME}, payload.get("files"))
    return key_id


def claimed_key(files: Mapping[str, bytes]) -> str | None:
    """Return the id of the key that the signature names ("" for none), unverified; None if there is no signature.

    Raises BundleError AZ322 or AZ324 if the signature cannot be read.
    """
    text = files.get(NAME)
    return None if text is None else _parsed(text).header.key_id or ""


def _parsed(text: bytes) -> jws.Jws:
    read = jws.parse(_token(text), limit=MAX_TOKEN)
    if isinstance(read, Reason):
        what = "wrong_algorithm" if read.code == "token_algorithm" else "bad_signature_file"
        raise refusal(what, f"the signature cannot be read: {read.text}")
    return read


def _token(text: bytes) -> str:
    try:
        value = parse(text)
    except ValueError as error:
        raise refusal("bad_signature_file", f"{NAME} cannot be read: {error}") from None
    signatures = value.get("signatures") if isinstance(value, dict) else None
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], str):
        raise refusal("bad_signature_file", f"{NAME} does not hold exactly one signature")
    if isinstance(value, dict) and value.get("plugin", "") != "":
        raise refusal("bad_signature_file", f"{NAME} asks for a verification plugin")
    return signatures[0]


def _verified(read: jws.Jws, verifier: Verifier) -> tuple[dict[str, object], str]:
    """Return the payload of a token whose signature is good under a configured key, and the key's id."""
    named = read.header
    key_id = verifier.key_id or named.key_id
    key = verifier.keys.get(key_id) if key_id else None
    if key_id is None or key is None:
        known = ", ".join(shown(name) for name in sorted(verifier.keys)[:_NAMED]) or "none"
        what = f"the bundle is signed with the key {shown(named.key_id)}, which is not configured; configured: {known}"
        raise refusal("unknown_key", what)
    if named.algorithm not in key.algorithms:
        raise refusal(
            "wrong_algorithm", f"the signature uses {named.algorithm}, which the key {shown(key_id)} does not"
        )
    if jws.signature_fault(read, key) is not None:
        raise refusal("wrong_signature", f"the signature is not one of the key {shown(key_id)}")
    try:
        payload = parse(read.payload)
    except ValueError as error:
        raise refusal("bad_signature_file", f"the signed list cannot be read: {error}") from None
    if not isinstance(payload, dict):
        raise refusal("bad_signature_file", "the signed list is not an object")
    return payload, key_id


def _check_files(files: Mapping[str, bytes], listed: object) -> None:
    """INVARIANT: after this, every file was listed once with its digest, and every listed file is there."""
    if not isinstance(listed, list):
        raise refusal("bad_signature_file", "the signed list has no files")
    seen: set[str] = set()
    for entry in listed:
        name, algorithm, digest = (_text(entry, key) for key in ("name", "algorithm", "hash"))
        if name in seen:
            raise refusal("file_list", f"the signature lists {shown(name)} twice")
        seen.add(name)
        if name not in files:
            raise refusal("file_list", f"the signature lists {shown(name)}, which the bundle lacks")
        if algorithm not in _DIGESTS:
            raise refusal("weak_digest", f"the digest {shown(algorithm)} of {shown(name)} is not accepted")
        if digest.lower() != _digest(name, files[name], algorithm):
            raise refusal("wrong_digest", f"{shown(name)} is not the file that was signed")
    if unsigned := sorted(files.keys() - seen):
        raise refusal("file_list", f"the signature does not list {shown(unsigned[0])}")


def _text(entry: object, key: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or isinstance(value, Number):
        raise refusal("bad_signature_file", f"an entry of the signed list has no {key}")
    return value


def _digest(name: str, content: bytes, algorithm: str) -> str:
    if is_structured(name):
        if name.endswith((".yaml", ".yml")):
            raise refusal("bad_document", f"{shown(name)} is YAML: bundles for the authorizer hold JSON")
        try:
            content = canonical(parse(content))
        except ValueError as error:
            raise refusal("bad_document", f"{shown(name)} cannot be read: {error}") from None
    return hashlib.new(_DIGESTS[algorithm], content).hexdigest()
