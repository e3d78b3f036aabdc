"""API keys: authored ``kind: ApiKeys`` documents -> rows of ``trust.json`` -> whose key a text is.

A key is ``azk_<id>_<secret>``. The id finds the row; the secret has 256 random bits, of which the row has a hash alone.
Nobody guesses such a secret, so a slow hash (Argon2, scrypt) would only make checking slow. With a pepper, which stays
with the authorizers, the hash is an HMAC: who copies the bundle cannot even test a key that was seen elsewhere.
"""

import re
from base64 import b32encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Any, Literal

from msgspec import Struct

from authorizer.errors import Place, Problem
from authorizer.jose.encoding import encode_base64url
from authorizer.model import ASSIGNEE_KINDS, Reason
from authorizer.policy.documents import MapNode, Node
from authorizer.policy.pbac.types import FieldType
from authorizer.policy.pbac.values import read_value
from authorizer.policy.reading import Findings
from authorizer.reasons import reason

MAX_KEY = 128
ID_BYTES, SECRET_BYTES = 10, 32
MIN_SECRET = 16
"""Bytes of a pepper, at least."""
Algorithm = Literal["sha256", "hmac-sha256"]
Names = dict[str, tuple[str | tuple[str, str], ...]]

_KEY = re.compile(r"azk_([a-z2-7]{16})_([A-Za-z0-9_-]{43})")
_HASH = re.compile(r"(sha256|hmac-sha256):([0-9a-f]{64})")
_ID = re.compile(r"[a-z2-7]{16}")
KEY_FIELDS = ("hash", "is", "scopes", "attributes", "from", "expires")
_NO_HASH = bytes(32)

_MALFORMED = reason("api_key_malformed")
_UNKNOWN = reason("api_key_unknown")
_EXPIRED = reason("api_key_expired")
_NOT_YET = reason("api_key_not_yet")


class ApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key as it stands in the trust document. ``hash`` is hexadecimal; ``start`` and ``end`` are POSIX seconds.

    ``names`` is what its holder is, by assignee kind.
    """

    id: str
    algorithm: Algorithm
    hash: str
    names: Names
    scopes: tuple[str, ...] = ()
    attributes: dict[str, str | tuple[str, ...]] = {}
    start: float | None = None
    end: float | None = None


def find(text: str, keys: Mapping[str, ApiKey], pepper: bytes, now: float) -> ApiKey | Reason:
    """Return whose key ``text`` is at ``now`` (POSIX seconds), or why it is refused. Never raises.

    A wrong secret and an unknown id are one refusal and cost the same. A row that was made with a pepper is nobody's
    where none is configured.
    """
    parts = _KEY.fullmatch(text) if len(text) <= MAX_KEY else None
    if parts is None:
        return _MALFORMED
    key = keys.get(parts[1])
    wanted = bytes.fromhex(key.hash) if key else _NO_HASH
    algorithm: Algorithm = key.algorithm if key else "hmac-sha256"
    same = compare_digest(_hash(parts[2], algorithm, pepper), wanted)
    if key is None or not same or (algorithm == "hmac-sha256" and not pepper):
        return _UNKNOWN
    if key.start is not None and now < key.start:
        return _NOT_YET
    return key if key.end is None or now < key.end else _EXPIRED


def _hash(secret: str, algorithm: Algorithm, pepper: bytes) -> bytes:
    data = secret.encode("ascii")
    return sha256(data).digest() if algorithm == "sha256" else hmac_digest(pepper, data, "sha256")


def make(random: bytes, pepper: bytes) -> tuple[str, str, str]:
    """Make a key of ``ID_BYTES + SECRET_BYTES`` random bytes; return (its text, its id, ``hash`` for its document)."""
    name = b32encode(random[:ID_BYTES]).decode().lower()
    secret = encode_base64url(random[ID_BYTES : ID_BYTES + SECRET_BYTES])
    algorithm: Algorithm = "hmac-sha256" if pepper else "sha256"
    return f"azk_{name}_{secret}", name, f"{algorithm}:{_hash(secret, algorithm, pepper).hex()}"


def compile_keys(documents: Iterable[Node]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Compile ``kind: ApiKeys`` documents to rows, with all problems; do not publish them if one is an error."""
    findings = Findings()
    rows: list[dict[str, Any]] = []
    seen: dict[str, Place] = {}
    for document in documents:
        root = findings.fields(document, "an ApiKeys document", ("kind", "keys"))
        if root is None:
            continue
        if root.get("keys") is None:
            findings.error("AZ210", root.place, "an ApiKeys document has no 'keys'")
        for name, key, node in findings.named(root.get("keys"), "keys"):
            first = seen.setdefault(name, key.place)
            if first is not key.place:
                findings.error("T120", key.place, f"a key with the id {name!r} is already at {first}", "keep one")
            if not _ID.fullmatch(name):
                findings.error("T120", key.place, f"{name[:40]!r} is no id of a key", "authorizer keys new makes one")
            body = findings.fields(node, f"key {name!r}", KEY_FIELDS)
            if body is not None:
                rows.append(_row(name, body, findings))
    return rows, findings.problems


def _row(name: str, body: MapNode, findings: Findings) -> dict[str, Any]:
    written = findings.text(findings.required(body, "hash", f"key {name!r}"), "hash")
    parts = _HASH.fullmatch(written)
    if written and parts is None:
        hint = "sha256:<64 hexadecimal digits>, as authorizer keys new prints it; never the key itself"
        findings.error("T121", body.place, f"the hash of key {name!r} is malformed", hint)
    names = _names(findings.required(body, "is", f"key {name!r}"), findings)
    start, end = (
        read_value(body.get(edge), edge, FieldType("timestamp"), "T103", findings) for edge in ("from", "expires")
    )
    row = {
        "id": name,
        "algorithm": parts[1] if parts else "sha256",
        "hash": parts[2] if parts else "",
        "names": names,
        "scopes": list(findings.texts(body.get("scopes"), "scopes")),
        "attributes": {
            field: findings.text_or_texts(value, f"attribute {field!r}")
            for field, _, value in findings.named(body.get("attributes"), "attributes")
        },
        "start": start,
        "end": end,
    }
    return {member: value for member, value in row.items() if value is not None}


def _names(node: Node | None, findings: Findings) -> dict[str, list[str | list[str]]]:
    """Read what the holder of a key is, as the subjects of a test are written; one person or client at least."""
    body = findings.fields(node, "is", ASSIGNEE_KINDS)
    if body is None:
        return {}
    if not {"person", "client"} & body.entries.keys():
        findings.error("T122", body.place, "a key belongs to a person or to a client", "is: {client: [name]}")
    names: dict[str, list[str | list[str]]] = {}
    for kind, entry in body.entries.items():
        items = findings.items(entry.value, f"is.{kind}")
        if ASSIGNEE_KINDS.get(kind) == "pairs":
            names[kind] = [[findings.subject_name(part, kind) for part in findings.items(item, kind)] for item in items]
            if any(len(pair) != 2 for pair in names[kind]):
                findings.error("AZ209", entry.value.place, f"each of {kind} must be a pair", "[role, location]")
        elif kind in ASSIGNEE_KINDS:
            names[kind] = [findings.subject_name(item, kind) for item in items]
            if ASSIGNEE_KINDS[kind] == "one" and len(items) != 1:
                findings.error("T122", entry.value.place, f"a key has one {kind}", f"is: {{{kind}: [name]}}")
    return names
