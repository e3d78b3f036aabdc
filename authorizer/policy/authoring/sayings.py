"""What a change of Facts, and of issuers, API keys and certificates, gives: who is what, and whose word counts.

What they say is compared, not what follows from it: a group that a policy grants to is access gained by whoever comes
to be in it, one that a policy denies is access lost, and a value that conditions may ask for can be either.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from authorizer.jose.jwk import read_key
from authorizer.model import ASSIGNEE_KINDS, assignee_token
from authorizer.policy.authoring.access import assignee
from authorizer.policy.authoring.surgery import comparisons
from authorizer.policy.authoring.trials import rights_of
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.pbac.form import rule_of
from authorizer.policy.pbac.subjects import IS
from authorizer.timestamps import rfc3339

Document = Mapping[str, Any]
_MEMBERS = frozenset(kind for kind, number in ASSIGNEE_KINDS.items() if number != "one")
_SHOWN = 4
"""Rights that are written out of those that a membership gives."""


class Saying(Struct, frozen=True):
    """Something that is said and was not, or is said no more, by which access was gained or lost, or may have been."""

    way: Literal["gained", "lost"]
    what: str


class _Said(Struct, frozen=True):
    """What is said, by what its coming means: ``grants`` give access, ``limits`` take it, ``values`` may do either.

    Beside a grant stands what it is to, if that is known. Of ``amounts``, each with its text, the larger gives.
    """

    grants: dict[str, str]
    limits: set[str]
    values: dict[str, str]
    amounts: dict[str, tuple[float, str]]


def trust_changes(old: Document, new: Document) -> tuple[Saying, ...]:
    """Compare two documents of trust (``trust.json``): issuers, API keys, rules for certificates."""
    before, after = _holders(old), _holders(new)
    gained = {f"{name}: {_listed(after[name].grants)}" for name in after.keys() - before.keys()}
    lost = {f"no more: {name}" for name in before.keys() - after.keys()}
    for name in before.keys() & after.keys():
        come, gone = _changes(before[name], after[name])
        gained |= {f"{name}: {one}" for one in come}
        lost |= {f"{name}: {one}" for one in gone}
    return _sayings(gained, lost)


def fact_changes(old: tuple[Estate, Document], new: tuple[Estate, Document], now: float) -> tuple[Saying, ...]:
    """Compare two documents of facts (``facts.json``), each with the policies that it stands beside.

    ``now`` (POSIX seconds) tells which revocations are over.
    """
    subjects = old[1]["memberships"].keys() | new[1]["memberships"].keys()
    return _sayings(*_changes(*(_facts(estate, facts, subjects, now) for estate, facts in (old, new))))


def _sayings(gained: Iterable[str], lost: Iterable[str]) -> tuple[Saying, ...]:
    return (*(Saying("gained", one) for one in sorted(gained)), *(Saying("lost", one) for one in sorted(lost)))


def _changes(before: _Said, after: _Said) -> tuple[set[str], set[str]]:
    """Return what gives access, and what takes it."""
    gained = {one + after.grants[one] for one in after.grants.keys() - before.grants.keys()}
    gained |= {f"no more: {one}" for one in before.limits - after.limits}
    lost = {f"no more: {one}{before.grants[one]}" for one in before.grants.keys() - after.grants.keys()}
    lost |= after.limits - before.limits
    for name in {one for one, _ in before.values.items() ^ after.values.items()}:
        told = f"{name} is {after.values.get(name, 'not said')}, was {before.values.get(name, 'not said')}"
        gained.add(told)
        lost.add(told)
    for name in before.amounts.keys() & after.amounts.keys():
        (less, was), (more, now) = before.amounts[name], after.amounts[name]
        if less != more:
            (gained if less < more else lost).add(f"{name} is {now}, was {was}")
    return gained, lost


def _holders(trust: Document) -> dict[str, _Said]:
    found = {f"issuer {one['name']}": _issuer(one) for one in trust["issuers"]}
    for key in trust["api_keys"]:
        found[f"API key {key['id']}"] = _Said(
            dict.fromkeys((f"scope {one}" for one in key["scopes"]), ""),
            set(),
            {"its hash": key["hash"][:16], **_named("names", key), **_named("attributes", key)},
            {
                "its end": _moment(key.get("end"), float("inf")),
                "its beginning": _reversed(_moment(key.get("start"), 0)),
            },
        )
    for rule in trust["certificates"]:
        values = {word: str(rule[word]) for word in ("match", "kind", "namespace")}
        values |= _named("names", rule) | _named("attributes", rule)
        found[f"certificate rule {rule['name']}"] = _Said(dict.fromkeys(rule["values"], ""), set(), values, {})
    return found


def _issuer(row: Document) -> _Said:
    keys = (read_key(one) for one in row["keys"])
    grants = {f"key {key.id or '-'} ({key.thumbprint[:16]})" for key in keys}
    for one, title in (("audiences", "audience"), ("algorithms", "algorithm"), ("types", "type")):
        grants |= {f"{title} {value or '(none)'}" for value in row[one]}
    limits = {f"requires claim {one}" for one in row["required"]}
    if row["binding"] == "required":
        limits.add("requires bound tokens")
    values = {word: str(row[word]) for word in ("issuer", "namespace", "keys_from")} | _named("attributes", row)
    values["audience_claim"] = str(row.get("audience_claim", "aud"))
    claims = row["claims"]
    values |= {f"claim of {kind}": " or ".join(tried) for kind, tried in claims["names"].items()}
    values |= {f"claim of {side}.{name}": said for side in ("fields", "env") for name, said in claims[side].items()}
    for asked in ("introspection", "exchange"):
        values |= {f"{asked}.{name}": _text(said) for name, said in row.get(asked, {}).items()}
    amounts = {word: (float(row[word]), f"{row[word]}s") for word in ("leeway", "max_lifetime")}
    return _Said(dict.fromkeys(grants, ""), limits, values, amounts)


def _facts(estate: Estate, facts: Document, subjects: Iterable[str], now: float) -> _Said:
    said = _Said({}, set(), {}, {})
    _add_memberships(said, estate, facts["memberships"], subjects)
    for subject, parts in facts["subjects"].items():
        for side, values in parts.items():
            said.values.update({f"{subject}: {side}.{name}": _text(value) for name, value in values.items()})
    for table, rows in (("tenant", facts["subscriptions"]), *facts["lookups"].items()):
        for name, row in rows.items():
            said.values.update({f"{table} {name}: {field}": _text(value) for field, value in row.items()})
            if not row:
                said.values[f"{table} {name}"] = "known"
    for kind, names in facts.get("revoked", {}).items():
        said.limits.update(f"{kind} {one} revoked until {rfc3339(end)}" for one, end in names.items() if end > now)
    lifetime = facts["max_age"] + facts["last_known"] if facts.get("max_age") else float("inf")
    said.amounts["how long facts serve"] = (lifetime, f"{lifetime:.0f}s" if lifetime < float("inf") else "for ever")
    return said


def _add_memberships(
    said: _Said, estate: Estate, memberships: Mapping[str, Mapping[str, Iterable[Any]]], subjects: Iterable[str]
) -> None:
    """Add who is what, as far as policies ask; and of whom the facts do not say it, so that a token may."""
    given, taken = _meant(estate)
    by_rule = any(rule_of(leaf.field) for policy in estate.policies for _, leaf in comparisons(policy.condition))
    by_rule = by_rule or any(one.decider is not None for one in estate.applications.values())
    told_by = (_MEMBERS if by_rule else {token.partition(":")[0] for token in tokens} for tokens in (given, taken))
    giving, taking = (kinds & _MEMBERS for kinds in told_by)
    for subject in subjects:
        member = memberships.get(subject, {})
        said.grants.update((f"{subject}: {kind} as tokens say", "") for kind in giving - member.keys())
        said.limits.update(f"{subject}: {kind} as tokens say" for kind in taking - member.keys())
        for kind, names in member.items():
            for name in names:
                token = assignee_token(kind, *((name,) if isinstance(name, str) else name))
                told = f"{subject} is {assignee(token)}"
                if by_rule or token in given:
                    rights = sorted(given.get(token, ()))
                    shown = ", ".join(rights[:_SHOWN]) + (", ..." if len(rights) > _SHOWN else "")
                    said.grants[told] = f" ({shown})" if shown else ""
                if by_rule or token in taken:
                    said.limits.add(told)


def _meant(estate: Estate) -> tuple[Mapping[str, set[str]], set[str]]:
    """Return the assignees that policies grant to, with the rights, and those that they deny; some are both."""
    given: dict[str, set[str]] = defaultdict(set)
    taken: set[str] = set()
    for policy in estate.policies:
        rights = {f"{policy.application}/{one}" for one in rights_of(policy, estate.applications[policy.application])}
        if policy.effect == "allow":
            given[policy.token] |= rights
        elif policy.token:
            taken.add(policy.token)
        for _, leaf in comparisons(policy.condition):
            if (leaf.side, leaf.field) == ("assignee", IS):
                taken.update(leaf.texts)
                for token in leaf.texts:
                    given[token] |= rights
    return given, taken


def _named(part: str, row: Document) -> dict[str, str]:
    return {f"{part}.{name}": _text(value) for name, value in row[part].items()}


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return _listed(map(_text, value))
    return str(value)


def _listed(values: Iterable[str]) -> str:
    return f"[{', '.join(sorted(values))}]"


def _moment(at: float | None, never: float) -> tuple[float, str]:
    return (never, "none") if at is None else (at, rfc3339(at))


def _reversed(amount: tuple[float, str]) -> tuple[float, str]:
    return -amount[0], amount[1]
