"""Documents in, problems and the compiled form out."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from authorizer.errors import Problem, ordered
from authorizer.policy.documents import MapNode, Node, Scalar
from authorizer.policy.pbac import dead, lint
from authorizer.policy.pbac.applications import read_applications
from authorizer.policy.pbac.compile import compile_form
from authorizer.policy.pbac.conditions import Uses
from authorizer.policy.pbac.crossing import crossing_routes
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.pbac.eligibility import read_eligibility
from authorizer.policy.pbac.emit import clashing
from authorizer.policy.pbac.names import Vocabulary, vocabulary
from authorizer.policy.pbac.policies import World, read_policies
from authorizer.policy.pbac.program import load
from authorizer.policy.pbac.queries import read_queries
from authorizer.policy.pbac.rego import with_answers
from authorizer.policy.pbac.routes import same_routes
from authorizer.policy.pbac.rules import expand
from authorizer.policy.pbac.vocabulary import read_catalog
from authorizer.policy.reading import Findings

KINDS = ("Catalog", "Application", "AssignmentPoints", "Plans", "Policies", "Eligibility")
OTHER_KINDS = ("Tests", "Issuers", "ApiKeys", "Certificates", "Facts")
"""Kinds that others read from the same files."""


class Compiled(Struct, frozen=True):
    """All problems, in the order of their places, and the compiled form, None when one of them is an error.

    ``vocabulary`` is None with an error too, and when there is no application, so that nothing is declared.
    ``estate`` is what was compiled, with the place of every comparison; None with an error.
    """

    problems: tuple[Problem, ...]
    data: dict[str, Any] | None = None
    vocabulary: Vocabulary | None = None
    estate: Estate | None = None


def check_and_compile(documents: Sequence[Node]) -> Compiled:
    """Check documents together and compile them. Documents of ``OTHER_KINDS`` are left to their readers."""
    findings = Findings()
    kinds = _by_kind(documents, findings)
    kinds["Application"], rules = expand(kinds["Application"], findings)
    kinds["Policies"] += rules
    catalog = read_catalog(kinds["Catalog"], kinds["Plans"], kinds["AssignmentPoints"], findings)
    applications = read_applications(kinds["Application"], catalog, findings)
    uses = Uses()
    named = _named_conditions(kinds["Catalog"], kinds["Application"], findings)
    queries = read_queries(kinds["Catalog"], catalog, named[""], uses, findings)
    world = World(catalog, applications, named, uses)
    policies = read_policies(kinds["Policies"], world, findings)
    catalog = with_answers(catalog, policies)
    eligibility = read_eligibility(kinds["Eligibility"], catalog, applications, findings)
    same_routes(applications.values(), findings)
    clashing(applications, policies, findings)
    dead.never_matching(policies, findings)
    lint.features_without_plan(catalog, applications, findings)
    lint.unused_conditions(named, uses.places, findings)
    lint.time_without_zone(catalog, policies, findings)
    if not findings.failed:
        lint.pointless_routes(catalog, applications, policies, findings)
        lint.unvouched(applications, policies, findings)
        dead.never_granting(applications, policies, findings)
        dead.needless(catalog, applications, policies, findings)
        dead.unreachable(applications, findings)
        dead.nowhere(catalog, applications, policies, findings)
        crossing_routes(applications, findings)
    if findings.failed:
        return Compiled(ordered(findings.problems))
    data = compile_form(catalog, applications, policies, eligibility)
    places = {policy.id: policy.place for policy in policies}
    for name, size in load(data).wide_leaves():
        message = f"{size} policies for the same subjects and right differ in no equality: each check reads them all"
        findings.warn("L001", places[name], message, "add a comparison by eq or in that tells them apart")
    names = vocabulary(catalog, applications, policies) if applications else None
    return Compiled(
        ordered(findings.problems), data, names, Estate(catalog, applications, policies, tuple(eligibility), queries)
    )


def _by_kind(documents: Sequence[Node], findings: Findings) -> dict[str, list[MapNode]]:
    kinds: dict[str, list[MapNode]] = {kind: [] for kind in KINDS}
    for document in documents:
        kind = document.get("kind") if isinstance(document, MapNode) else None
        if not isinstance(document, MapNode) or not isinstance(kind, Scalar):
            findings.error("A001", document.place, "a document must be a mapping with a 'kind'")
        elif kind.text in kinds:
            kinds[kind.text].append(document)
        elif kind.text not in OTHER_KINDS:
            findings.unknown("A001", kind.place, "kind", kind.text, (*KINDS, *OTHER_KINDS))
    return kinds


def _named_conditions(
    catalogs: Sequence[MapNode], applications: Sequence[MapNode], findings: Findings
) -> Mapping[str, Mapping[str, Node]]:
    """Return the named conditions that each application may use: the universal ones and its own."""
    shared: dict[str, Node] = {}
    for document in catalogs:
        _collect(document.get("conditions"), shared, findings)
    named = {}
    for document in applications:
        own = dict(shared)
        _collect(document.get("conditions"), own, findings)
        name = document.get("id")
        if isinstance(name, Scalar):
            named[name.text] = own
    named[""] = shared
    return named


def _collect(node: Node | None, into: dict[str, Node], findings: Findings) -> None:
    for name, key, value in findings.named(node, "conditions"):
        if name in into:
            findings.error("A007", key.place, f"condition {name!r} is declared twice", "keep one")
        if findings.name(key):
            into[name] = value
