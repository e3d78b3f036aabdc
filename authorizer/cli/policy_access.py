"""``authorizer policy who-can``, ``what-can``, ``diff``: what policies give, to whom, and what a change gives."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from authorizer.cli.policy_documents import BUNDLE, add_arguments, add_output, estate_of, print_json, read_sources
from authorizer.errors import DocumentError, Place, Problem
from authorizer.pdp.sources import Sources
from authorizer.policy.authoring import access, difference, operations, sayings
from authorizer.policy.pbac.declared import Application, Estate, Policy
from authorizer.policy.plan import read
from authorizer.policy.plan.fingerprints import fingerprints
from authorizer.policy.reading import nearest

GAINED = 4


def add_verbs(verbs: Any) -> None:
    """Register the verbs."""
    who = verbs.add_parser("who-can", help="show who is granted a right, and what stands in the way")
    who.add_argument("right", metavar="APP/RIGHT", help="the right, or a global one: all that stand for it")
    who.add_argument("--at", metavar="TYPE:NAME", default="", help="at this assignment point")
    add_arguments(who)
    who.set_defaults(run=_who_can)
    what = verbs.add_parser("what-can", help="show what a subject is granted, by the memberships of Facts documents")
    what.add_argument("subject", metavar="SUBJECT", help="a name, or one thing to be: group:sales")
    add_arguments(what)
    what.set_defaults(run=_what_can)
    diff = verbs.add_parser("diff", help="show rights gained and lost between two states of the policies")
    diff.add_argument("old", metavar="OLD", help="document, directory of documents, or bundle")
    diff.add_argument("new", metavar="NEW", help="document, directory of documents, or bundle")
    diff.add_argument("--no-new-access", action="store_true", help="exit status 4 if any access was gained")
    add_output(diff)
    diff.set_defaults(run=_diff)


def _who_can(args: argparse.Namespace) -> int:
    sources = read_sources(args.paths)
    estate = estate_of(sources)
    rights = {
        f"{name}/{one}": right for name, app in sorted(estate.applications.items()) for one, right in app.rights.items()
    }
    globally = {right.stands_for for right in rights.values()} - {""}
    asked = [args.right] if args.right in rights else [x for x, y in rights.items() if y.stands_for == args.right]
    if not args.right or not asked:
        raise DocumentError([_unknown("right", args.right, [*rights, *sorted(globally)])])
    if args.at and args.at not in estate.catalog.points:
        raise DocumentError([_unknown("assignment point", args.at, estate.catalog.points)])
    pairs = (right.partition("/") for right in asked)
    found = [one for application, _, right in pairs for one in access.who_can(estate, application, right, args.at)]
    memberships = sources.documents()["facts"]["memberships"]
    if args.output == "json":
        print_json({"right": args.right, "grants": [_grant(one, memberships) for one in found]})
        return 0
    for one in found:
        named = access.members(one.allow.token, memberships)
        whose = "" if args.right in rights else f"{_named(one, estate.applications[one.allow.application])}: "
        line = _line(one, f"{whose}{access.assignee(one.allow.token)}")
        print(line + (f": {', '.join(named)}" if named else ""))
    _print_against(found)
    return 0


def _named(one: access.Access, application: Application) -> str:
    system = f" ({', '.join(application.system)})" if application.system else ""
    return f"{application.id}/{one.right}{system}"


def _what_can(args: argparse.Namespace) -> int:
    sources = read_sources(args.paths)
    memberships = sources.documents()["facts"]["memberships"]
    found = access.what_can(estate_of(sources), access.tokens_of(args.subject, memberships))
    if args.output == "json":
        print_json({"subject": args.subject, "grants": [_grant(one, memberships) for one in found]})
        return 0
    for one in found:
        print(_line(one, f"{one.allow.application}/{one.right}"))
    _print_against(found)
    if not found:
        known = ":" in args.subject or args.subject in memberships
        told = "" if known else ": no Facts document says what it is a member of"
        print(f"nothing is granted to {args.subject}{told}", file=sys.stderr)
    return 0


def _line(one: access.Access, what: str) -> str:
    terms = access.terms(one.allow)
    return f"{what}: {one.allow.id} ({one.allow.place})" + (f", {terms}" if terms else "")


def _print_against(found: Iterable[access.Access]) -> None:
    rules: dict[str, Policy] = {rule.id: rule for one in found for rule in (*one.gates, *one.denials)}
    for _, rule in sorted(rules.items()):
        whom = f" for {access.assignee(rule.token)}" if rule.effect == "deny" else ""
        terms = access.terms(rule)
        print(f"unless {rule.effect} {rule.id} ({rule.place}){whom}" + (f", {terms}" if terms else ""))


def _grant(one: access.Access, memberships: access.Memberships) -> Mapping[str, object]:
    return {
        "right": f"{one.allow.application}/{one.right}",
        "assignee": access.assignee(one.allow.token),
        "members": access.members(one.allow.token, memberships),
        **_rule(one.allow),
        "denials": [_rule(rule) for rule in one.denials],
        "gates": [_rule(rule) for rule in one.gates],
    }


def _rule(rule: Policy) -> Mapping[str, object]:
    return {"policy": rule.id, "place": str(rule.place), "terms": access.terms(rule)}


def _unknown(what: str, name: str, known: Iterable[str]) -> Problem:
    return Problem("T306", f"no {what} {name!r}", Place("the command line"), nearest(name, known))


def _diff(args: argparse.Namespace) -> int:
    before, after = read_sources([args.old]), read_sources([args.new])
    old, new = estate_of(before), estate_of(after)
    (asked_before, deciding_before), (asked, deciding) = _marks(before, old), _marks(after, new)
    changes = difference.differences(old, new, (asked_before, asked))
    opened = operations.operations(old, new)
    taken = operations.readings(old, new, (deciding_before, deciding))
    said: list[tuple[str, sayings.Saying]] = []
    if not (args.old.endswith(BUNDLE) or args.new.endswith(BUNDLE)):  # a bundle of policies has neither facts nor trust
        was, now = before.documents(), after.documents()
        said += (("trust", one) for one in sayings.trust_changes(was["trust"], now["trust"]))
        told = sayings.fact_changes((old, was["facts"]), (new, now["facts"]), time.time())
        said += (("facts", one) for one in told)
    ways = [*(one.way for one in changes), *(one.way for one in opened), *(one.way for one in taken)]
    ways += (one.way for _, one in said)
    if args.output == "json":
        print_json(
            {
                "rights": list(map(_change, changes)),
                "operations": list(map(_operation, opened)),
                "readings": list(map(_reading, taken)),
                "sayings": [{"way": one.way, "document": document, "what": one.what} for document, one in said],
            }
        )
    else:
        for change in changes:
            may = "may have " if change.sureness == "possible" else ""
            when = f", when {change.when}" if change.when else ""
            right = f"{change.application}/{change.right}"
            print(
                f"{access.assignee(change.token)} {may}{change.way} {right} by {change.policy} ({change.place}){when}"
            )
        for one in opened:
            print(f"whoever has {one.application}/{one.right} {one.way} {one.operation} ({one.place})")
        for other in taken:
            print(f"application {other.application} may have {other.way} access ({other.place}): {other.what}")
        for document, saying in said:
            print(f"{document} may have {saying.way} access: {saying.what}")
        print(f"{ways.count('gained')} gained, {ways.count('lost')} lost")
    return GAINED if args.no_new_access and "gained" in ways else 0


Marks = Mapping[str, str]


def _marks(sources: Sources, estate: Estate) -> tuple[Marks, Marks]:
    """Return the fingerprints of an estate's rules: by path those asked, by application those that decide."""
    plans = sources.documents()["policy"].get("rego", {})
    marks = {name: fingerprints(read(one["plan"]), one.get("data", {})) for name, one in plans.items()}
    deciders = {name: one.decider for name, one in estate.applications.items() if one.decider is not None}
    return marks.get("", {}), {name: marks[one.bundle][one.entrypoint] for name, one in deciders.items()}


def _change(change: difference.Change) -> Mapping[str, object]:
    return {
        "way": change.way,
        "sure": change.sureness == "sure",
        "right": f"{change.application}/{change.right}",
        "assignee": access.assignee(change.token),
        "policy": change.policy,
        "place": str(change.place),
        "when": change.when,
    }


def _operation(one: operations.OperationChange) -> Mapping[str, object]:
    right = f"{one.application}/{one.right}"
    return {"way": one.way, "operation": one.operation, "right": right, "place": str(one.place)}


def _reading(one: operations.ReadingChange) -> Mapping[str, object]:
    return {"way": one.way, "application": one.application, "what": one.what, "place": str(one.place)}
