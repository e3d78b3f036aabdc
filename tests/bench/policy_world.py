"""Policies by the million, in two shapes, as signed bundles; and questions about them.

``groups``: a policy for each of a fifth as many groups and each of five rights; a subject is in 20 groups, so about 24
policies are candidates. ``agency``: all policies are for one group and are told apart by the agency, four for each.
Their conditions are drawn from 400 different ones, as those of an estate repeat.
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from authorizer import bundle
from authorizer.errors import Place
from authorizer.model import ANYONE, assignee_token
from authorizer.policy import pbac
from authorizer.policy.documents import load
from authorizer.policy.pbac.compile import compile_form
from authorizer.policy.pbac.declared import AllOf, Leaf, Policy, Side
from authorizer.policy.pbac.types import FieldType

SHAPES = ("groups", "agency")
RIGHTS = 5
MEMBER_OF = 20
NOW = 1_800_000_000.0
COUNTRIES = ("PL", "DE", "FR", "NO", "SE", "IT", "ES", "NL")
LIMITS = tuple(range(1000, 51_000, 1000))
SHARED = (
    """
kind: Application
id: app
model: pbac+fields
fields:
  country: {type: enum, values: [PL, DE, FR, NO, SE, IT, ES, NL]}
  agency: {type: string}
  value: {type: decimal}
  tenant: {type: string, scope: [resource, assignee]}
rights:
"""
    + "".join(f"  r{n}: {{fields: [country, agency, value, tenant]}}\n" for n in range(RIGHTS))
    + """
http:
  hosts: [h]
  routes:
"""
    + "".join(
        f"    GET /{{tenant}}/r{n}: {{right: r{n}, resource: {{tenant: path.tenant, id: query.id, country: lookup.country,"
        " agency: lookup.agency, value: lookup.value}}\n"
        for n in range(RIGHTS)
    )
    + """
---
kind: Policies
policies:
  - {id: gate-tenant, effect: gate, on: app/*, where: {resource.tenant: {eq: $assignee.tenant}}, reason: wrong_tenant}
  - {id: no-large, effect: deny, right: app/*, where: {resource.value: {gt: 1000000}}, reason: too_large}
  - {id: no-guests, effect: deny, right: app/*, to: {group: guests}, reason: guests}
"""
)


def groups_of(count: int) -> int:
    """Return how many groups there are for so many policies."""
    return max(1, count // RIGHTS)


def agencies_of(count: int) -> int:
    """Return how many agencies there are for so many policies."""
    return max(1, count // 4)


def make(shape: str, count: int, signer: bundle.Signer) -> bytes:
    """Return a bundle of ``count`` policies, the few that all applications have beside."""
    estate = pbac.check_and_compile(load(SHARED, "shared.yaml")).estate
    assert estate is not None
    made = _grouped(count) if shape == "groups" else _by_agency(count)
    form = compile_form(estate.catalog, estate.applications, [*estate.policies, *made], ())
    return bundle.write("policy", form, serial=1, signer=signer)


def _grouped(count: int) -> Iterator[Policy]:
    chance = random.Random(1)
    for number in range(count):
        token = assignee_token("group", f"group-{number // RIGHTS:06}")
        yield _policy(number, f"r{number % RIGHTS}", token, _usual(chance))


def _by_agency(count: int) -> Iterator[Policy]:
    chance = random.Random(1)
    for number in range(count):
        agency = _leaf("agency", "string", "eq", f"agency-{number % agencies_of(count):06}")
        yield _policy(number, "r0", assignee_token("group", "agents"), (agency, *_usual(chance)))


def _usual(chance: random.Random) -> tuple[Leaf, ...]:
    first = chance.randrange(len(COUNTRIES))
    several = tuple(COUNTRIES[(first + n) % len(COUNTRIES)] for n in range(3))
    limit = str(chance.choice(LIMITS))
    return _leaf("country", "enum", "in", *several), _leaf("value", "decimal", "lte", limit)


def _leaf(field: str, base: str, operator: str, *texts: str, side: Side = "resource") -> Leaf:
    kind = FieldType(base, values=COUNTRIES if base == "enum" else ())
    return Leaf(side, field, kind, operator, texts, None, Place(""))


def _policy(number: int, right: str, token: str, parts: tuple[Leaf, ...]) -> Policy:
    place = Place(f"policies-{number // 1000:04}.yaml", number % 1000 + 3, 5)
    return Policy(f"policy-{number:07}", "allow", "app", "right", right, token, "", None, None, AllOf(parts), place)


def questions(shape: str, count: int, program: pbac.Program, how_many: int) -> list[pbac.Question]:
    """Return questions about random subjects and resources."""
    chance = random.Random(2)
    routes = {route.right: route for route in program.routes}
    found = []
    for _ in range(how_many):
        if shape == "groups":
            members = chance.sample(range(groups_of(count)), min(MEMBER_OF, groups_of(count)))
            tokens = {assignee_token("group", f"group-{number:06}") for number in members}
        else:
            tokens = {assignee_token("group", "agents")}
        resource = {
            "tenant": "acme",
            "id": "1",
            "country": chance.choice(COUNTRIES),
            "agency": f"agency-{chance.randrange(agencies_of(count)):06}",
            "value": chance.choice(LIMITS),
        }
        right = routes[f"r{chance.randrange(RIGHTS)}" if shape == "groups" else "r0"]
        found.append(pbac.Question(right, frozenset({ANYONE, *tokens}), {"tenant": "acme"}, resource, {}, NOW))
    return found


def main(path: str, shape: str, count: str) -> None:
    """Write a bundle, signed with the key that standard input gives, in a process of its own: making it takes memory."""
    signer = bundle.Signer(private_pem=sys.stdin.buffer.read(), key_id="k1")
    Path(path).write_bytes(make(shape, int(count), signer))


if __name__ == "__main__":
    main(*sys.argv[1:])
