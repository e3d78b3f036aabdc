"""Facts that follow from documents: what is known of catalogued resources, and who is in a query-based collection."""

from collections.abc import Iterable, Mapping
from typing import Any

from authorizer.errors import Problem
from authorizer.model import assignee_token
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.pbac.form import lookup_table
from authorizer.policy.pbac.queries import members

Facts = dict[str, Any]
"""``facts.json``, as ``facts.compile_facts`` makes it."""


def derive(estate: Estate, facts: Facts) -> tuple[Facts, list[Problem]]:
    """Return the facts with all that follows, and the problems of what is said twice."""
    lookups, problems = _with_resources(estate, facts["lookups"])
    derived = {**facts, "lookups": lookups}
    if estate.queries:
        derived["memberships"] = _with_members(estate, facts)
    return derived, problems


def _with_resources(estate: Estate, lookups: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    tables = {name: dict(rows) for name, rows in lookups.items()}
    problems = []
    for application in estate.applications.values():
        for kind, resources in application.resources.items():
            table = tables.setdefault(lookup_table(application.id, kind), {})
            for name, resource in resources.items():
                if name in table and resource.values:
                    message = f"resource {name!r} of {application.id}/{kind} is in the facts too"
                    problems.append(Problem("T202", message, resource.place, "keep one"))
                table.setdefault(name, dict(resource.values))
    return tables, problems


def _with_members(estate: Estate, facts: Facts) -> dict[str, Any]:
    """Return the memberships with the computed collections.

    INVARIANT: whoever is known and in none is said to be in none, so that no token says otherwise.
    """
    memberships, subjects = facts["memberships"], facts["subjects"]
    known = {
        name: (_tokens(name, memberships.get(name, {})), _attributes(subjects.get(name, {}), facts["subscriptions"]))
        for name in (*memberships, *(name for name in subjects if name not in memberships))
    }
    found = members(estate.queries, estate.catalog, known)
    return {
        name: {
            **memberships.get(name, {}),
            "collection": sorted({*memberships.get(name, {}).get("collection", ()), *found.get(name, ())}),
        }
        for name in known
    }


def _tokens(subject: str, member: Mapping[str, Iterable[Any]]) -> frozenset[str]:
    tokens = {assignee_token("person", subject)}
    for kind, names in member.items():
        tokens.update(assignee_token(kind, *(name if isinstance(name, tuple) else (name,))) for name in names)
    return frozenset(tokens)


def _attributes(subject: Mapping[str, Any], subscriptions: Mapping[str, Any]) -> dict[str, object]:
    """Return a subject's attributes, with its tenant's subscription above them as in a decision."""
    attributes = dict(subject.get("attributes", {}))
    tenant = attributes.get("tenant")
    return attributes | subscriptions.get(tenant, {}) if isinstance(tenant, str) else attributes
