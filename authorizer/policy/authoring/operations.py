"""What a change of applications opens and closes besides policies: operations, and what tokens are taken to say."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from authorizer.errors import Place
from authorizer.model import assignee_token
from authorizer.policy.authoring.surgery import written
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import Application, Estate
from authorizer.policy.pbac.form import RULE, rule_of

Way = Literal["gained", "lost"]


class OperationChange(Struct, frozen=True):
    """An operation that leads to a right that it did not lead to before, or no more, or is asked for differently."""

    way: Way
    operation: str
    application: str
    right: str
    place: Place


class ReadingChange(Struct, frozen=True):
    """Something that an application takes from tokens or lets pass, and did not before, or no more."""

    way: Way
    application: str
    what: str
    place: Place


def operations(old: Estate, new: Estate) -> tuple[OperationChange, ...]:
    """Return the operations that open another right than before; those whose right nobody is granted are left out."""
    return (*_opened(old, new, "gained"), *_opened(new, old, "lost"))


Rules = Mapping[str, str]
"""The fingerprint of the Rego rule that decides an application, by the application."""


def readings(old: Estate, new: Estate, rules: tuple[Rules, Rules] = ({}, {})) -> tuple[ReadingChange, ...]:
    """Return what applications take from tokens, let pass without a route, or leave to a rule, other than before."""
    before, after = (old, rules[0]), (new, rules[1])
    return (*_taken(before, after, "gained"), *_taken(after, before, "lost"))


def _opened(old: Estate, new: Estate, way: Way) -> list[OperationChange]:
    before, after = _operations(old), _operations(new)
    granted = {
        (policy.application, right)
        for policy in new.policies
        if policy.effect == "allow"
        for right in rights_of(policy, new.applications[policy.application])
    }
    granted |= {(one.id, right) for one in new.applications.values() if one.decider is not None for right in one.rights}
    return [
        OperationChange(way, operation, application, right, place)
        for operation, (application, right, place, how) in sorted(after.items())
        if (application, right) in granted
        and (operation not in before or before[operation][:2] + before[operation][3:] != (application, right, how))
    ]


def _operations(estate: Estate) -> Mapping[str, tuple[str, str, Place, Any]]:
    return {
        f"{route.method} {host}{route.template}": (
            application.id,
            route.right,
            route.place,
            (route.on_miss, route.mode, *sorted((one.field, one.kind, one.key) for one in route.sources)),
        )
        for application in estate.applications.values()
        for route in application.routes
        for host in application.hosts
    }


def _taken(old: tuple[Estate, Rules], new: tuple[Estate, Rules], way: Way) -> list[ReadingChange]:
    found = []
    for name, application in sorted(new[0].applications.items()):
        before = old[0].applications.get(name)
        earlier = _facts(before, old[1]) if before is not None else set()
        now = _facts(application, new[1]) - earlier | _issuers(application, before)
        now |= _collections(application, new[0], old[0])
        found += [ReadingChange(way, name, what, application.place) for what in sorted(now)]
    return found


def _issuers(now: Application, before: Application | None) -> set[str]:
    """Return whose tokens count now and did not; those of an application that lists none are all."""
    if before is None or not before.issuers:
        return set()
    if not now.issuers:
        return {"tokens of every issuer"}
    return {f"tokens of {one}" for one in set(now.issuers) - set(before.issuers)}


def _collections(application: Application, new: Estate, old: Estate) -> set[str]:
    """Return the collections that an application grants something to and whose condition is another than before."""
    granted = {one.token for one in new.policies if one.application == application.id and one.effect == "allow"}
    return {
        f"collection {name} where {written(query.condition)}"
        for name, query in new.queries.items()
        if name in old.queries
        and assignee_token("collection", name) in granted
        and written(old.queries[name].condition) != written(query.condition)
    }


def _facts(application: Application, rules: Rules) -> set[str]:
    """Return each thing that tokens, missing routes or a rule can give, in words; the words are what is compared."""
    found = {f"scope {scope} implies {one}" for scope, implied in application.scopes.implied.items() for one in implied}
    found |= {f"scope {scope} fills {field or 'nothing'}" for scope, field in application.scopes.wildcards.items()}
    if application.unmapped != "deny":
        found.add(f"requests without a route: {application.unmapped}")
    found |= {f"requests that are doubtful: {word}" for word in application.accepts}
    if application.decider is not None:
        mark = rules.get(application.id, "")[:16]
        found.add(f"what {rule_of(RULE + application.decider.entrypoint)} lets pass, fingerprint {mark}")
    claims = application.claims
    if claims is not None:
        said = {"rights": claims.rights, "roles": claims.roles, **claims.fields}
        found |= {
            f"{what} from claim {claim} of {issuer}"
            for what, claim in said.items()
            if claim
            for issuer in claims.issuers
        }
    return found
