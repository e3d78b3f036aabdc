"""Query-based collections: who is in one is a condition over what the facts say of subjects.

``collections: {NAME: {where: ..}}`` in the Catalog. Whoever compiles the facts computes the members, again at each
change: to those who decide, a collection is a membership like any other.
"""

from collections.abc import Mapping, Sequence

from authorizer.errors import Place
from authorizer.model import ANYONE, AUTHENTICATED, Identity
from authorizer.policy.documents import MapNode, Node
from authorizer.policy.pbac.compile import compile_form
from authorizer.policy.pbac.conditions import Scope, Uses, read_condition
from authorizer.policy.pbac.declared import Application, Catalog, Condition, Policy, Query, Right, Route
from authorizer.policy.pbac.program import load
from authorizer.policy.pbac.question import Question
from authorizer.policy.pbac.subjects import Subject
from authorizer.policy.pbac.trees import leaves
from authorizer.policy.reading import Findings

_NONE = Place("")
_ASKER = Application("collections", "pbac+fields", {}, {}, {}, (), (), (), _NONE)


def read_queries(
    documents: Sequence[MapNode], catalog: Catalog, named: Mapping[str, Node], uses: Uses, findings: Findings
) -> dict[str, Query]:
    """Read the collections of all Catalog documents."""
    found: dict[str, Query] = {}
    for document in documents:
        for name, key, node in findings.named(document.get("collections"), "collections"):
            query = findings.fields(node, f"collection {name!r}", ("where",))
            where = findings.required(query, "where", f"collection {name!r}") if query is not None else None
            if name in found:
                findings.error("A007", key.place, f"collection {name!r} is declared twice", "keep one")
            if where is None or not findings.subject_name(key, "a collection's name"):
                continue
            guarded = f"collection {name!r}, which has no resource"
            scope = Scope(catalog, _ASKER, {}, named, frozenset(), guarded, uses)
            condition = read_condition(where, scope, findings)
            if condition is not None and _is_about_subjects(condition, findings):
                found[name] = Query(name, condition, key.place)
    return found


def _is_about_subjects(condition: Condition, findings: Findings) -> bool:
    for leaf in leaves(condition):
        sides = {leaf.side, *([leaf.reference[0]] if leaf.reference else [])}
        if sides != {"assignee"}:
            message = "a collection is about subjects: neither resource nor env is known when its members are computed"
            findings.error("A024", leaf.place, message, "write assignee.x, or put the condition into the policy")
            return False
        if any(text.startswith("collection:") for text in leaf.texts):
            findings.error("A024", leaf.place, "a collection cannot be made of collections", "write its condition out")
            return False
    return True


def members(
    queries: Mapping[str, Query], catalog: Catalog, subjects: Mapping[str, tuple[frozenset[str], Mapping[str, object]]]
) -> dict[str, frozenset[str]]:
    """Return the collections of each subject; ``subjects`` tells its assignee tokens and its raw attributes.

    What cannot be told makes no member.
    """
    rights = {name: Right(name, "", frozenset(), "", (), query.place) for name, query in queries.items()}
    routes = tuple(Route("GET", f"/{name}", name, (), trusted=False, place=_NONE) for name in rights)
    asker = Application("collections", "pbac+fields", {}, rights, {}, (), routes, (), _NONE)
    policies = [
        Policy(name, "allow", asker.id, "right", name, ANYONE, "", None, None, query.condition, query.place)
        for name, query in queries.items()
    ]
    program = load(compile_form(catalog, {asker.id: asker}, policies, ()))
    found = {}
    for subject, (tokens, attributes) in subjects.items():
        known = Identity(tokens=tokens | {ANYONE, AUTHENTICATED}, attributes=attributes)
        asked = program.subject(asker.id, known)
        if isinstance(asked, Subject):
            found[subject] = frozenset(
                route.right
                for route in program.routes
                if program.decide(Question(route, asked.tokens, asked.fields, {}, {}, 0.0)).allow
            )
    return found
