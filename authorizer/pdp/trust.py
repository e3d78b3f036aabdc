"""Who may sign tokens: authored ``kind: Issuers`` documents -> one JSON document -> ``Trust``, ready to check tokens.

Each issuer has its own keys, audiences and allow-list of algorithms, and its own namespace: the names that it asserts
(people, groups, roles, clients) can never be mistaken for those of another issuer.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct

from authorizer.errors import KeyMaterialError, Place, Problem
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.jose.jwk import VerifyKey, read_key, read_key_set
from authorizer.model import ASSIGNEE_KINDS
from authorizer.pdp.api_keys import ApiKey
from authorizer.pdp.certificate_rules import CertificateRule
from authorizer.policy.documents import MapNode, Node, Scalar, locate, plain
from authorizer.policy.pbac.types import FieldType
from authorizer.policy.pbac.values import read_value
from authorizer.policy.pbac.vocabulary import REQUEST_ENV
from authorizer.policy.reading import Findings

FORMAT: Final = 1
Binding = Literal["optional", "required"]
"""Whether an issuer's tokens must be bound to a key or certificate. A binding that is there counts always."""
_DEFAULT_CLAIMS = {
    "person": ("sub",),
    "client": ("client_id", "azp"),
    "group": ("groups",),
    "management_role": ("roles",),
}
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
_TYPES = ("at+jwt", "JWT", "")
CLAIM_KEYS = (*ASSIGNEE_KINDS, "fields", "env")
ISSUER_KEYS = (
    "issuer", "audiences", "algorithms", "jwks", "jwks_file", "types", "leeway", "max_lifetime", "required",
    "namespace", "claims", "attributes", "binding",
)  # fmt: skip


class Claims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which claim says what. ``names``: assignee kind -> claims to try in order, the first present one counts.

    A claim is a top-level name, or a path with dots into nested objects; the name as a whole is tried first.
    """

    names: dict[str, tuple[str, ...]]
    fields: dict[str, str]
    env: dict[str, str]


class Issuer(Struct, frozen=True, kw_only=True):
    """One trusted issuer. Times are in seconds; ``types`` are lower-case media types without ``application/``.

    ``foreign`` are the namespaces of the other issuers: no name that this one asserts may start with one of them.
    """

    name: str
    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    types: frozenset[str]
    leeway: int
    max_lifetime: int
    required: tuple[str, ...]
    namespace: str
    foreign: tuple[str, ...]
    claims: Claims
    attributes: Mapping[str, Any]
    binding: Binding
    keys: tuple[VerifyKey, ...]
    keys_by_id: Mapping[str, VerifyKey]


class Trust(Struct, frozen=True):
    """Whose word counts: issuers by the exact value of ``iss``, API keys by id, rules for client certificates."""

    issuers: Mapping[str, Issuer]
    keys: Mapping[str, ApiKey] = {}
    certificates: tuple[CertificateRule, ...] = ()


NOBODY = Trust({})


class _Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer as it stands in ``trust.json``."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    types: tuple[str, ...]
    leeway: int
    max_lifetime: int
    required: tuple[str, ...]
    namespace: str
    claims: Claims
    attributes: dict[str, str | tuple[str, ...]]
    binding: Binding = "optional"
    keys: list[dict[str, Any]]


class _Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[1]
    issuers: tuple[_Row, ...]
    api_keys: tuple[ApiKey, ...] = ()
    certificates: tuple[CertificateRule, ...] = ()


def media_type(text: str) -> str:
    """Return a ``typ`` for comparing: lower case, without the optional prefix (RFC 7515 4.1.9)."""
    return text.lower().removeprefix("application/")


def load(document: object) -> Trust:
    """Read ``trust.json`` (parsed). Raise ``KeyMaterialError`` AZ42x if it is not what ``compile_issuers`` makes."""
    try:
        whole = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise KeyMaterialError("AZ420", f"the trust document is malformed: {error}") from None
    rows = whole.issuers
    issuers: dict[str, Issuer] = {}
    for row in rows:
        unknown = sorted(set(row.algorithms) - set(ALGORITHMS))
        if unknown or not row.algorithms or not row.audiences or row.issuer in issuers:
            raise KeyMaterialError("AZ421", f"issuer '{row.name}': no audiences or algorithms, or listed twice")
        if not row.claims.names.keys() <= ASSIGNEE_KINDS.keys():
            raise KeyMaterialError("AZ421", f"issuer '{row.name}': a claim names an unknown kind of assignee")
        keys = tuple(read_key(jwk) for jwk in row.keys)
        by_id = {key.id: key for key in keys if key.id is not None}
        if len(by_id) != sum(key.id is not None for key in keys):
            raise KeyMaterialError("AZ409", f"issuer '{row.name}': two keys have the same 'kid'")
        others = [other.namespace for other in rows if other is not row]
        if _clash(row.namespace, others) is not None:
            raise KeyMaterialError("AZ422", f"issuer '{row.name}': its namespace overlaps another issuer's")
        issuers[row.issuer] = Issuer(
            name=row.name,
            issuer=row.issuer,
            audiences=frozenset(row.audiences),
            algorithms=frozenset(row.algorithms),
            types=frozenset(row.types),
            leeway=row.leeway,
            max_lifetime=row.max_lifetime,
            required=row.required,
            namespace=row.namespace,
            foreign=tuple(other for other in others if other),
            claims=row.claims,
            attributes=row.attributes,
            binding=row.binding,
            keys=keys,
            keys_by_id=by_id,
        )
    by_key = {key.id: key for key in whole.api_keys}
    if len(by_key) != len(whole.api_keys) or not all(_HASH(key.hash) for key in whole.api_keys):
        raise KeyMaterialError("AZ421", "two API keys have one id, or one has no hash")
    return Trust(issuers, by_key, whole.certificates)


def compile_issuers(
    documents: Iterable[Node], read_file: Callable[[str], bytes]
) -> tuple[dict[str, Any], list[Problem]]:
    """Compile ``kind: Issuers`` documents to ``trust.json``, with all problems; do not publish it if one is an error.

    ``read_file`` gets the path of a ``jwks_file`` relative to where the documents' own names are, and may raise
    ``OSError`` or ``KeyError``.
    """
    findings = Findings()
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], Place] = {}
    for document in documents:
        root = findings.fields(document, "an Issuers document", ("kind", "issuers"))
        if root is None:
            continue
        entries = findings.mapping(root.get("issuers"), "issuers")
        if entries is None:
            if root.get("issuers") is None:
                findings.error("T105", root.place, "an Issuers document needs 'issuers'")
            continue
        for name, entry in entries.entries.items():
            row = _issuer(name, entry.value, read_file, findings)
            if row is None:
                continue
            for kind, value in (("name", name), ("issuer", row["issuer"])):
                first = seen.setdefault((kind, value), entry.key.place)
                if first is not entry.key.place:
                    findings.error(
                        "T106", entry.key.place, f"an issuer with the {kind} {value!r} is already at {first}"
                    )
            other = _clash(row["namespace"], [earlier["namespace"] for earlier in rows])
            if other is not None:
                findings.error(
                    "T107",
                    locate(entry.value, ["namespace"]) if row["namespace"] else entry.key.place,
                    f"the namespace {row['namespace']!r} overlaps the namespace {other!r} of another issuer",
                    "give each issuer a prefix of its own, such as 'partner/'; at most one may be empty",
                )
            rows.append(row)
    return {"format": FORMAT, "issuers": rows}, findings.problems


def _clash(namespace: str, others: Iterable[str]) -> str | None:
    """Return a namespace that shares names with ``namespace``. The empty one is apart: it is checked by name, later."""
    for other in others:
        if namespace == other or (namespace and other and (namespace.startswith(other) or other.startswith(namespace))):
            return other
    return None


def _issuer(name: str, node: Node, read_file: Callable[[str], bytes], findings: Findings) -> dict[str, Any] | None:
    body = findings.fields(node, f"issuer {name!r}", ISSUER_KEYS)
    if body is None:
        return None
    for required in ("issuer", "audiences", "algorithms"):
        if required not in body.entries:
            findings.error("T105", body.place, f"issuer {name!r} needs {required!r}")
    algorithms = _algorithms(body.get("algorithms"), findings)
    audiences = list(findings.texts(body.get("audiences"), "audiences"))
    for what, values in (("audiences", audiences), ("algorithms", algorithms)):
        if not values and what in body.entries:
            findings.error("T105", locate(body, [what]), f"{what} of issuer {name!r} must not be empty")
    types = body.get("types")
    accepted = findings.texts(types, "types", empty=True) if types is not None else _TYPES
    return {
        "name": name,
        "issuer": findings.text(body.get("issuer"), "issuer"),
        "audiences": audiences,
        "algorithms": algorithms,
        "types": sorted({media_type(each) for each in accepted}),
        "leeway": _seconds(body.get("leeway"), "leeway", 0, 120, 30, findings),
        "max_lifetime": _seconds(body.get("max_lifetime"), "max_lifetime", 1, 366 * 86400, 86400, findings),
        "required": list(findings.texts(body.get("required"), "required")),
        "namespace": findings.text(body.get("namespace"), "namespace", empty=True),
        "claims": _claims(findings.fields(body.get("claims"), "claims", CLAIM_KEYS), findings),
        "attributes": {
            key: findings.text_or_texts(value, f"attribute {key!r}")
            for key, _, value in findings.named(body.get("attributes"), "attributes")
        },
        "binding": findings.choice(body.get("binding"), "binding", get_args(Binding), "T114") or "optional",
        "keys": _keys(name, body, algorithms, read_file, findings),
    }


def _algorithms(node: Node | None, findings: Findings) -> list[str]:
    words = findings.words(node, "algorithms")
    for word in words:
        if word.text.upper().startswith("HS") or word.text.lower() == "none":
            message = f"{word.text!r} is not an accepted algorithm"
            findings.error("T104", word.place, message, "only asymmetric signatures are accepted")
        elif word.text not in ALGORITHMS:
            findings.unknown("T104", word.place, "algorithm", word.text, ALGORITHMS)
    return [word.text for word in words]


def _seconds(node: Node | None, what: str, lowest: int, highest: int, default: int, findings: Findings) -> int:
    """Return a duration in whole seconds, within the bounds."""
    if node is None:
        return default
    seconds = read_value(node, what, FieldType("duration"), "T103", findings)
    if isinstance(seconds, float) and seconds.is_integer() and lowest <= seconds <= highest:
        return int(seconds)
    if seconds is not None:
        findings.error("T103", node.place, f"{what} must be a duration from {lowest}s to {highest}s", "for example 30s")
    return default


def _claims(node: MapNode | None, findings: Findings) -> dict[str, Any]:
    names = dict(_DEFAULT_CLAIMS)
    maps: dict[str, dict[str, str]] = {"fields": {}, "env": {}}
    for key, entry in node.entries.items() if node else ():
        if key in maps:
            for field, written, claim in findings.named(entry.value, f"claims.{key}"):
                if key == "env" and field in REQUEST_ENV:
                    findings.error("T108", written.place, f"env field {field!r} cannot come from a claim")
                maps[key][field] = findings.text(claim, f"the claim for {field!r}")
        elif key in CLAIM_KEYS:
            names[key] = (findings.text(entry.value, f"the claim for {key!r}", empty=True),)
    return {"names": {kind: list(claims) for kind, claims in names.items() if claims != ("",)}, **maps}


def _keys(
    name: str, body: MapNode, algorithms: list[str], read_file: Callable[[str], bytes], findings: Findings
) -> list[dict[str, Any]]:
    inline, file = body.get("jwks"), body.get("jwks_file")
    if (inline is None) == (file is None):
        findings.error("T109", body.place, f"issuer {name!r} needs exactly one of 'jwks' and 'jwks_file'")
        return []
    source = inline if inline is not None else file
    assert source is not None
    if isinstance(inline, Scalar):
        message = f"the key set of issuer {name!r} must be a mapping with a list 'keys'"
        findings.error("T110", inline.place, message, "a URL is not fetched: write the set itself, or use jwks_file")
        return []
    document = plain(source) if inline is not None else _file(source, read_file, findings)
    if document is None:
        return []
    try:
        found = read_key_set(document)
    except KeyMaterialError as error:
        findings.error("T110", source.place, f"the key set of issuer {name!r}: {error.message}", error.hint)
        return []
    for left_out in found.left_out:
        which = f"key {left_out.index}" + (f" ({left_out.id!r})" if left_out.id else "")
        place = locate(source, ["keys", left_out.index])
        findings.warn(
            "T111", place, f"{which} of issuer {name!r} is never used: {left_out.error.message}", left_out.error.hint
        )
    if not any(not key.algorithms.isdisjoint(algorithms) for key in found.keys):
        findings.error("T112", source.place, f"issuer {name!r} has no key that any of its algorithms could use")
    return [dict(key.jwk) for key in found.keys]


def _file(node: Node, read_file: Callable[[str], bytes], findings: Findings) -> bytes | None:
    path = findings.text(node, "jwks_file")
    if not path:
        return None
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        findings.error("T113", node.place, "jwks_file must stay below the document's own directory")
        return None
    try:
        return read_file(posixpath.join(posixpath.dirname(node.place.file), path))
    except (OSError, KeyError):
        findings.error("T113", node.place, f"the file {path!r} cannot be read", "the path is relative to this document")
        return None
