"""Where documents name Rego rules: as a policy's condition, or as the whole decision of an application."""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from authorizer.errors import Place
from authorizer.policy.documents import Node
from authorizer.policy.pbac.declared import AllOf, Catalog, Condition, Decider, EnvField, Leaf, Policy
from authorizer.policy.pbac.declared import Route as DeclaredRoute
from authorizer.policy.pbac.form import RULE
from authorizer.policy.pbac.trees import leaves
from authorizer.policy.pbac.types import FieldType
from authorizer.policy.reading import Findings

INPUTS = ("envoy", "cloudentity")
DEFAULT_ENTRYPOINT = "envoy/authz/allow"
KEYS = ("entrypoint", "input", "bundle", "verify")

_BOOLEAN = FieldType("bool")
_RULE = re.compile(r"data((?:\.[A-Za-z_][A-Za-z0-9_]*){1,32})", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,31}", re.ASCII)
_ARCHIVE = ".tar.gz"


def read_decider(node: Node | None, findings: Findings) -> Decider | None:
    """Read the ``rego`` section of an application."""
    declared = findings.fields(node, "rego", KEYS)
    if declared is None or node is None:
        return None
    written, archive = declared.get("entrypoint"), declared.get("bundle")
    entrypoint = findings.text(written, "entrypoint") or DEFAULT_ENTRYPOINT
    if written is not None and not _PATH.fullmatch(entrypoint):
        findings.error(
            "A026", written.place, f"{entrypoint!r} is not an entry point", "write it as in acme/authz/allow"
        )
    asked = findings.required(declared, "input", "rego")
    form = findings.choice(asked, "input", INPUTS, "A026")
    bundle = findings.text(archive, "bundle")
    if archive is not None and not bundle.endswith(_ARCHIVE):
        findings.error("A026", archive.place, f"{bundle!r} is not an archive", f"its name ends with {_ARCHIVE}")
    if archive is not None:
        folder, slash, _ = archive.place.file.rpartition("/")
        bundle = f"{folder}{slash}{bundle}"
    verify = declared.get("verify")
    if archive is not None and (verify is None or findings.flag(verify, "verify")):
        hint = "say 'verify: false': it is trusted like the documents beside it"
        findings.error("A026", archive.place, "no key is known that this archive could be verified by", hint)
    if archive is None and verify is not None:
        findings.error("A026", verify.place, "'verify' is about a bundle, and there is none", "leave it out")
    return Decider(entrypoint, form, bundle, node.place)


def everything(place: Place) -> DeclaredRoute:
    """Return the route of an application that a rule decides and that declares no routes."""
    return DeclaredRoute("*", "/{path=**}", "* /{path=**}", (), trusted=False, place=place)


def with_rule(condition: Condition | None, node: Node, findings: Findings) -> Condition | None:
    """Return a condition that asks for a rule to be true besides."""
    written = findings.text(node, "rego")
    found = _RULE.fullmatch(written)
    if found is None:
        if written:
            findings.error("R024", node.place, f"{written!r} is not a rule", "write its whole path: data.acme.allow")
        return condition
    name = RULE + found[1][1:].replace(".", "/")
    leaf = Leaf("env", name, _BOOLEAN, "eq", ("true",), None, node.place)
    return leaf if condition is None else AllOf((condition, leaf))


def with_answers(catalog: Catalog, policies: Iterable[Policy]) -> Catalog:
    """Return a catalog that has the rules that policies ask."""
    names = {leaf.field for policy in policies for leaf in leaves(policy.condition) if leaf.field.startswith(RULE)}
    if not names:
        return catalog
    return replace(catalog, env={**catalog.env, **{name: EnvField(name, _BOOLEAN) for name in sorted(names)}})
