"""What a change of applications opens and closes besides policies: operations, and what tokens are taken to say."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import Application, Estate

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


def readings(old: Estate, new: Estate) -> tuple[ReadingChange, ...]:
    """Return what applications take from tokens, or let pass without a route, other than before."""
    return (*_taken(old, new, "gained"), *_taken(new, old, "lost"))


def _opened(old: Estate, new: Estate, way: Way) -> list[OperationChange]:
    before, after = _operations(old), _operations(new)
    granted = {
        (policy.application, right)
        for policy in new.policies
        if policy.effect == "allow"
        for right in rights_of(policy, new.applications[policy.application])
    }
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


def _taken(old: Estate, new: Estate, way: Way) -> list[ReadingChange]:
    found = []
    for name, application in sorted(new.applications.items()):
        before = old.applications.get(name)
        earlier = _facts(before) if before is not None else set()
        found += [ReadingChange(way, name, what, application.place) for what in sorted(_facts(application) - earlier)]
    return found


def _facts(application: Application) -> set[str]:
    """Return each thing that tokens or missing routes can give, in words; the words are what is compared."""
    found = {f"scope {scope} implies {one}" for scope, implied in application.scopes.implied.items() for one in implied}
    found |= {f"scope {scope} fills {field or 'nothing'}" for scope, field in application.scopes.wildcards.items()}
    if application.unmapped != "deny":
        found.add(f"requests without a route: {application.unmapped}")
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
