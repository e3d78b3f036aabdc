"""Who may sign tokens: authored ``kind: Issuers`` documents -> the issuers of ``trust.json``, with all problems."""

import posixpath
from collections.abc import Callable, Iterable
from typing import Any, get_args
from urllib.parse import urlsplit

from authorizer.errors import KeyMaterialError, Place, Problem
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.jose.jwk import read_key_set
from authorizer.jose.jws import media_type
from authorizer.model import ASSIGNEE_KINDS
from authorizer.pdp.tenants import each_issuer
from authorizer.pdp.trust import DISCOVERY, FORMAT, Binding, IntrospectedTokens, clash
from authorizer.policy.documents import Entry, MapNode, Node, Scalar, locate, plain
from authorizer.policy.pbac.types import FieldType
from authorizer.policy.pbac.values import read_value
from authorizer.policy.pbac.vocabulary import REQUEST_ENV
from authorizer.policy.reading import Findings

_DEFAULT_CLAIMS = {
    "person": ("sub",),
    "client": ("client_id", "azp"),
    "group": ("groups",),
    "management_role": ("roles",),
}
_TYPES = ("at+jwt", "JWT", "")
_KEY_SOURCES = ("jwks", "jwks_file", "jwks_uri", "discovery")
CLAIM_KEYS = (*ASSIGNEE_KINDS, "fields", "env")
ISSUER_KEYS = (
    "issuer", "audiences", "audience_claim", "algorithms", *_KEY_SOURCES, "types", "leeway", "max_lifetime", "required",
    "namespace", "claims", "attributes", "binding", "introspection", "exchange", "tenants",
)  # fmt: skip
_INTROSPECTION_KEYS = ("endpoint", "client", "tokens", "seconds")
_EXCHANGE_KEYS = ("endpoint", "client", "audience", "scopes", "seconds", "authorization")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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
        faulty: Entry | None = None
        for name, entry, body in each_issuer(entries, findings):
            if entry is faulty:
                continue  # what is wrong is wrong for each tenant, of which there may be 200
            told = len(findings.problems)
            row = _issuer(name, body, read_file, findings)
            if row is None:
                continue
            for kind, value in (("name", name), ("issuer", row["issuer"])):
                first = seen.setdefault((kind, value), entry.key.place)
                if first is not entry.key.place:
                    findings.error(
                        "T106", entry.key.place, f"an issuer with the {kind} {value!r} is already at {first}"
                    )
            other = clash(row["namespace"], [earlier["namespace"] for earlier in rows])
            if other is not None:
                findings.error(
                    "T107",
                    locate(entry.value, ["namespace"]) if row["namespace"] else entry.key.place,
                    f"the namespace {row['namespace']!r} overlaps the namespace {other!r} of another issuer",
                    "give each issuer a prefix of its own, such as 'partner/'; at most one may be empty",
                )
            if _reads_opaque(row) and any(map(_reads_opaque, rows)):
                why = "a second issuer is asked about opaque tokens, which do not tell whose they are"
                findings.error("T117", entry.key.place, why, "one issuer may be; of others: tokens: jwt")
            rows.append(row)
            if any(problem.severity == "error" for problem in findings.problems[told:]):
                faulty = entry
    return {"format": FORMAT, "issuers": rows}, findings.problems


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
    return (
        {
            "name": name,
            "issuer": findings.text(body.get("issuer"), "issuer"),
            "audiences": audiences,
            "audience_claim": findings.text(body.get("audience_claim"), "audience_claim") or "aud",
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
            "keys_from": _keys_from(body, findings),
            "keys": _keys(name, body, algorithms, read_file, findings),
        }
        | _introspection(name, body, findings)
        | _exchange(name, body, findings)
    )


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
    given = [source for source in _KEY_SOURCES if source in body.entries]
    if isinstance(said := body.get("discovery"), Scalar) and said.text == "false":
        given.remove("discovery")
    if len(given) != 1:
        findings.error("T109", body.place, f"issuer {name!r} needs exactly one of: {', '.join(_KEY_SOURCES)}")
        return []
    source = inline if inline is not None else file
    if source is None:
        return []
    if isinstance(inline, Scalar):
        message = f"the key set of issuer {name!r} must be a mapping with a list 'keys'"
        findings.error("T110", inline.place, message, "write the set itself, or use jwks_file or jwks_uri")
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


def _keys_from(body: MapNode, findings: Findings) -> str:
    """Return where keys are fetched from: a URL, or the issuer's own metadata."""
    node = body.get("jwks_uri")
    if node is not None:
        return _url(node, "jwks_uri", findings)
    if not findings.flag(body.get("discovery"), "discovery"):
        return ""
    issuer = body.get("issuer")
    if issuer is not None:
        _url(issuer, "the issuer of a discovery", findings)
    return DISCOVERY


def _introspection(name: str, body: MapNode, findings: Findings) -> dict[str, Any]:
    node = findings.fields(body.get("introspection"), f"introspection of issuer {name!r}", _INTROSPECTION_KEYS)
    if node is None:
        return {}
    endpoint, client = (findings.required(node, key, "introspection") for key in ("endpoint", "client"))
    return {
        "introspection": {
            "endpoint": _url(endpoint, "endpoint", findings) if endpoint is not None else "",
            "client": findings.text(client, "client"),
            "tokens": findings.choice(node.get("tokens"), "tokens", get_args(IntrospectedTokens), "T116") or "opaque",
            "seconds": _seconds(node.get("seconds"), "seconds", 0, 3600, 30, findings),
        }
    }


def _reads_opaque(row: dict[str, Any]) -> bool:
    return "introspection" in row and row["introspection"]["tokens"] != "jwt"


def _exchange(name: str, body: MapNode, findings: Findings) -> dict[str, Any]:
    node = findings.fields(body.get("exchange"), f"exchange of issuer {name!r}", _EXCHANGE_KEYS)
    if node is None:
        return {}
    endpoint, client = (findings.required(node, key, "exchange") for key in ("endpoint", "client"))
    scopes = findings.texts(node.get("scopes"), "scopes")
    if any(" " in scope for scope in scopes):
        findings.error("T119", locate(node, ["scopes"]), "a scope has a space", "write a list")
    choices = ("exchanged", "original")
    return {
        "exchange": {
            "endpoint": _url(endpoint, "endpoint", findings) if endpoint is not None else "",
            "client": findings.text(client, "client"),
            "audience": findings.text(node.get("audience"), "audience"),
            "scopes": list(scopes),
            "seconds": _seconds(node.get("seconds"), "seconds", 0, 3600, 60, findings),
            "authorization": findings.choice(node.get("authorization"), "authorization", choices, "T119") or choices[0],
        }
    }


def _url(node: Node, what: str, findings: Findings) -> str:
    """Return an https URL; http is for this machine alone, since whoever is on the way could bring keys of its own."""
    text = findings.text(node, what)
    try:
        parts = urlsplit(text)
        good = bool(parts.hostname) and not parts.username and not parts.fragment
        good &= parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        good = False
    if text and not good:
        findings.error("T115", node.place, f"{what} must be an https URL", "https://login.example/keys")
    return text
