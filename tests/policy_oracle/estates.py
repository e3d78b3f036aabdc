"""Random estates and questions about them: everything the language has, names that meet, values that are missing or bad."""

import json
import os
import re
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

MOMENTS = [f"2026-0{month}-01T{hour}:00:00Z" for month in (1, 3, 5) for hour in ("08", "20")]
WORDS = ["x", "xy", "z"]
LINES = ["a", "b", "c"]
SIZES = ["s", "m", "l"]
PLANS = ["free", "pro"]
NUMBERS = ["0", "1", "2", "-1"]
AMOUNTS = ["0", "1.5", "2", "2.50"]
HOURS = ["08:00", "12:30", "20:00"]
AGES = ["10", "1m", "1h"]
ADDRESSES = ["10.0.0.1", "10.1.0.1", "::1"]
NETWORKS = ["10.0.0.0/16", "10.0.0.0/8", "::/64"]
GROUPS = ["g", "h", "i"]
ACR = ["pwd", "otp", "phr"]

FIELDS: dict[str, dict] = {
    "word": {"type": "string"},
    "line": {"type": "enum", "values": LINES},
    "size": {"type": "enum", "values": SIZES, "ordered": "true"},
    "count": {"type": "int"},
    "amount": {"type": "decimal"},
    "flag": {"type": "bool"},
    "due": {"type": "timestamp"},
    "host": {"type": "ip"},
    "tags": {"type": "string", "many": "true"},
}
OWN: dict[str, dict] = {
    "own": {"type": "string", "scope": "assignee"},
    "owned": {"type": "string", "scope": "assignee", "many": "true"},
    "most": {"type": "int", "scope": "assignee"},
    "until": {"type": "timestamp", "scope": "assignee"},
    "office": {"type": "cidr", "scope": "assignee"},
    "level": {"type": "enum", "values": SIZES, "ordered": "true", "scope": "assignee"},
    "teams": {"type": "string", "many": "true", "scope": "assignee"},
}
SCOPES = {"all": ["one", "team.*"], "one": [], "team.*": {"as": "teams", "implies": ["one"]}}
ENV: dict[str, dict] = {
    "risk": {"default": "1"},
    "time": {"zone": "UTC"},
    "device": {"type": "enum", "values": ["phone", "desk"]},
}
EVERYWHERE = {"plan": {"type": "enum", "scope": "assignee", "values": PLANS}}
ABOUT = {
    "resource.word": ("string", WORDS), "resource.line": ("enum", LINES), "resource.size": ("ordered", SIZES),
    "resource.count": ("number", NUMBERS), "resource.amount": ("number", AMOUNTS), "resource.flag": ("bool", ["true", "false"]),
    "resource.due": ("number", MOMENTS), "resource.host": ("ip", ADDRESSES), "resource.tags": ("many", WORDS),
    "resource.id": ("string", ["1", "2"]), "assignee.own": ("string", WORDS), "assignee.owned": ("many", WORDS),
    "assignee.teams": ("many", WORDS), "assignee.most": ("number", NUMBERS), "assignee.plan": ("enum", PLANS), "assignee.level": ("ordered", SIZES),
    "env.time": ("hours", HOURS), "env.risk": ("number", AMOUNTS), "env.mfa": ("bool", ["true", "false"]),
    "env.acr": ("ordered", ACR), "env.auth_age": ("number", AGES), "env.source_ip": ("ip", ADDRESSES),
    "env.amr": ("many", ["otp", "pwd"]), "env.device": ("enum", ["phone", "desk"]), "env.now": ("number", MOMENTS),
}  # fmt: skip
REFERENCES = [
    ("resource.word", "eq", "$assignee.own"), ("resource.word", "in", "$assignee.owned"), ("assignee.own", "ne", "$resource.word"),
    ("resource.word", "prefix", "$assignee.own"), ("resource.count", "lte", "$assignee.most"), ("resource.due", "gt", "$env.now"),
    ("assignee.until", "gte", "$env.now"), ("resource.host", "in", "$assignee.office"), ("env.source_ip", "not_in", "$assignee.office"),
    ("resource.size", "lte", "$assignee.level"), ("resource.tags", "has", "$assignee.own"), ("resource.tags", "has_any", "$assignee.owned"),
    ("assignee.owned", "has_all", "$resource.tags"), ("resource.host", "eq", "$env.source_ip"), ("resource.id", "eq", "$assignee.own"),
]  # fmt: skip


def some(values: list[str], most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


def comparison(field: str) -> st.SearchStrategy[dict]:
    kind, values = ABOUT[field]
    one, several = st.sampled_from(values), some(values)
    exists = st.fixed_dictionaries({"exists": st.sampled_from(["true", "false"])})
    order = [st.fixed_dictionaries({op: one}) for op in ("gt", "gte", "lt", "lte")]
    equal = [st.fixed_dictionaries({op: one}) for op in ("eq", "ne")]
    member = [st.fixed_dictionaries({op: several}) for op in ("in", "not_in")]
    patterns = [
        st.fixed_dictionaries({"prefix": one}),
        st.fixed_dictionaries({"like": st.sampled_from(["x*", "*y", "*"])}),
    ]
    hours = [
        st.fixed_dictionaries({op: st.lists(one, min_size=2, max_size=2, unique=True)}) for op in ("between", "outside")
    ]
    networks = [st.fixed_dictionaries({op: some(NETWORKS)}) for op in ("in", "not_in")]
    sets = [
        st.fixed_dictionaries({"has": one}),
        *(st.fixed_dictionaries({op: several}) for op in ("has_any", "has_all")),
    ]
    options = {
        "string": [*equal, *member, *patterns], "enum": [*equal, *member], "ordered": [*equal, *member, *order],
        "number": [*equal, *order], "bool": equal, "hours": [*equal, *order, *hours], "ip": [*equal, *networks], "many": sets,
    }[kind]  # fmt: skip
    return st.fixed_dictionaries({field: st.one_of(exists, *options)})


LEAVES = st.one_of(
    st.sampled_from(sorted(ABOUT)).flatmap(comparison),
    st.sampled_from(sorted(ABOUT)).flatmap(comparison),
    st.sampled_from(REFERENCES).map(lambda one: {one[0]: {one[1]: one[2]}}),
    st.sampled_from([{"use": "busy"}, {"use": "mine"}]),
    st.builds(lambda names: {"is": {"group": names}}, st.sampled_from(GROUPS) | some(GROUPS)),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda parts: {key: value for part in parts for key, value in part.items()},
            st.lists(inner, min_size=2, max_size=3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=5,
)
ASSIGNEES = st.one_of(
    st.builds(lambda name: {"group": name}, st.sampled_from(GROUPS)),
    st.builds(lambda name: {"group": name}, st.sampled_from(GROUPS)),
    st.sampled_from([{"person": "ann"}, {"management_role": "boss"}, {"anyone": "true"}, {"authenticated": "true"}]),
    st.just({"business_role_location": {"role": "clerk", "location": "oslo"}}),
    st.builds(lambda name: {"scope": name}, st.sampled_from(sorted(SCOPES))),
)
PLACES = [{"tenant": "t"}, {"site": "a"}, {"site": "b"}, {"room": "a1"}]
UNITS = [{"unit": "u"}, {"desk": "d"}]
RIGHTS = ["r", "s"]
ROLES = {"R": ["r"], "RS": ["r", "s"]}
DUTIES = [{"id": "tell", "type": "notification"}]


@st.composite
def policies(draw: Any, number: int, overridable: list[str], points: list[dict]) -> dict:
    effect = draw(st.sampled_from(["allow", "allow", "allow", "deny", "gate"]))
    policy: dict[str, Any] = {"id": f"p{number}"}
    if effect != "allow":
        policy |= {"effect": effect, "reason": draw(st.sampled_from(["no_way", "not_now"]))}
    target = st.sampled_from([{"right": "app/r"}, {"right": "app/s"}, {"role": "app/R"}, {"role": "app/RS"}])
    if effect == "gate":
        policy["on"] = draw(st.sampled_from(["app/*", "app/r", "app/s"]))
        feature = draw(st.booleans())
        policy |= {"require_feature": "true"} if feature else {}
        policy |= {"where": draw(CONDITIONS)} if not feature or draw(st.booleans()) else {}
    else:
        policy |= draw(target if effect == "allow" else target | st.just({"right": "app/*"}))
        if effect == "allow" or draw(st.booleans()):
            policy["to"] = draw(ASSIGNEES)
        if points and draw(st.integers(0, 2)) == 0:
            policy["at"] = draw(st.sampled_from(points))
        if draw(st.booleans()):
            policy["where"] = draw(CONDITIONS)
    if draw(st.integers(0, 3)) == 0:
        first, last = sorted(draw(st.lists(st.sampled_from(MOMENTS), min_size=2, max_size=2, unique=True)))
        policy |= draw(st.sampled_from([{"from": first}, {"until": last}, {"from": first, "until": last}]))
    if effect == "allow" and draw(st.integers(0, 3)) == 0:
        policy["require"] = draw(st.sampled_from([{"acr": "otp"}, {"acr": "phr", "max_age": "1m"}, {"max_age": "30"}]))
    if effect == "deny" and draw(st.booleans()):
        policy["overridable"] = "true"
        overridable.append(policy["id"])
    return policy


@st.composite
def estates(draw: Any) -> list[dict]:
    """Return documents without errors, as dicts."""
    trees = draw(st.integers(0, 2))
    points = [[], PLACES, PLACES + UNITS][trees]
    overridable: list[str] = []
    found = [draw(policies(number, overridable, points)) for number in range(draw(st.integers(1, 8)))]
    for policy in found:
        if overridable and policy.get("effect", "allow") == "allow" and draw(st.integers(0, 3)) == 0:
            policy |= {"overrides": draw(some(overridable)), "obligations": DUTIES}
    sources = {name: f"lookup.{name}" for name in FIELDS}
    place = [{}, {"point": "path.p"}, {"point": {"places": "path.p", "units": "lookup.unit"}}][trees]
    lost = draw(st.sampled_from([None, "word", "count"]))
    about = {"id": "path.id", **place, **sources}
    eligible = [
        {"id": f"e{number}", "type": draw(st.sampled_from(["eligible", "exclusion", "suggested"])), **draw(st.sampled_from([{"right": "app/r"}, {"role": "app/RS"}])), "to": draw(ASSIGNEES)}
        for number in range(draw(st.integers(0, 2)))
    ]  # fmt: skip
    documents = [
        {
            "kind": "Catalog",
            "acr": ACR,
            "env": ENV,
            "fields": EVERYWHERE,
            "conditions": {
                "busy": {"env.time": {"between": ["08:00", "20:00"]}},
                "mine": {"resource.word": {"eq": "$assignee.own"}},
            },
        },
        {"kind": "Plans", "plans": {"free": {"features": ["f"]}, "pro": {"includes": ["free"], "features": ["ff"]}}},
        {
            "kind": "Application",
            "id": "app",
            "model": "azure+pbac" if points else "pbac+fields",
            "fields": {**FIELDS, **OWN},
            "rights": {
                name: {"fields": list(FIELDS), **draw(st.sampled_from([{}, {"feature": "f"}, {"feature": "ff"}]))}
                for name in RIGHTS
            },
            "roles": ROLES,
            "scopes": SCOPES,
            **({"claims": {"rights": "rights", "roles": "roles"}} if draw(st.booleans()) else {}),
            "http": {
                "hosts": ["h"],
                "routes": {
                    "GET /{p}/{id}": {"right": "r", "resource": about},
                    "PUT /{p}/{id}": {
                        "right": "s",
                        "resource": {name: source for name, source in about.items() if name != lost},
                    },
                },
            },
        },
        {"kind": "Policies", "policies": found},
    ]
    if points:
        tree = {"tenant:t": {"site:a": {"room:a1": {}}, "site:b": {}}}
        named = {"id": "places"} if trees == 2 else {}
        documents.append({"kind": "AssignmentPoints", **named, "types": ["tenant", "site", "room"], "tree": tree})
    if trees == 2:
        units = {"unit:u": {"desk:d": {}}}
        documents.append({"kind": "AssignmentPoints", "id": "units", "types": ["unit", "desk"], "tree": units})
    if eligible:
        documents.append({"kind": "Eligibility", "rules": eligible})
    return documents


def raw(declared: dict, values: list[str]) -> st.SearchStrategy[Any]:
    """Return good values of a field."""
    return (
        st.lists(st.sampled_from(values), max_size=3, unique=True)
        if declared.get("many") == "true"
        else st.sampled_from(values)
    )


def optional(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional=fields)


SPOILT = {
    "data": {name: "?" for name in FIELDS if name != "word"} | {"word": ["x"]},
    "attrs": {
        "own": ["x"],
        "owned": "x",
        "most": "1.5",
        "until": "2026-01-01",
        "office": "10.0.0.1/8",
        "level": "xl",
        "plan": "gold",
    },
    "env": {
        "risk": "high",
        "mfa": "yes",
        "device": "car",
        "auth_age": "old",
        "source_ip": "10.0.0",
        "time": "24:00",
        "amr": "otp",
    },
}
"""A value for each field that is not of its type."""
RESOURCES = optional(
    {"point:units": st.sampled_from(["u", "d", "desk:d", "d", "a1"])}
    | {name: raw(FIELDS[name], ABOUT[f"resource.{name}"][1]) for name in FIELDS}
)
CALLERS = optional(
    {
        "own": st.sampled_from(WORDS),
        "owned": raw(OWN["owned"], WORDS),
        "most": raw(OWN["most"], NUMBERS),
        "until": raw(OWN["until"], MOMENTS),
        "office": raw(OWN["office"], NETWORKS),
        "level": raw(OWN["level"], SIZES),
        "plan": raw(EVERYWHERE["plan"], PLANS),
        "teams": raw(OWN["teams"], WORDS),
    }
)
MOMENT = optional(
    {
        "risk": st.sampled_from(AMOUNTS),
        "time": st.sampled_from(HOURS),
        "mfa": st.sampled_from(["true", "false"]),
        "acr": st.sampled_from([*ACR, "other"]),
        "auth_age": st.sampled_from(AGES),
        "source_ip": st.sampled_from(ADDRESSES),
        "amr": st.lists(st.sampled_from(["otp", "pwd"]), unique=True),
        "device": st.sampled_from(["phone", "desk"]),
    }
)
SUBJECTS = st.frozensets(
    st.sampled_from(
        [
            *(("group", name) for name in GROUPS),
            *(("scope", name) for name in ("all", "one", "team.x", "team.z", "team.", "other")),
            ("person", "ann"),
            ("management_role", "boss"),
            ("business_role_location", ("clerk", "oslo")),
            ("right", "app/r"),
            ("role", "app/R"),
        ]
    ),
    max_size=4,
)
GOOD = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "PUT"]),
        "point": st.sampled_from(["a1", "a", "b", "t", "room:a1", "a1", "a1", "nowhere"]),
        "id": st.sampled_from(["1", "2"]),
        "is": SUBJECTS,
        "attrs": CALLERS,
        "env": MOMENT,
        "data": RESOURCES,
        "now": st.sampled_from([1_767_225_600.0, 1_772_395_200.0, 1_774_000_000.0, 1_777_651_200.0, 1_790_000_000.0]),
    }
)


@st.composite
def questions(draw: Any) -> dict:
    """Return a question; one in eight has a value that is not of its type."""
    question = draw(GOOD)
    if draw(st.integers(0, 7)) == 0:
        side = draw(st.sampled_from(sorted(SPOILT)))
        name = draw(st.sampled_from(sorted(SPOILT[side])))
        question = {**question, side: {**question[side], name: SPOILT[side][name]}}
    return question


QUESTIONS = questions()


def examples(by_day: int, by_night: int) -> Callable:
    """Return how often a property is tried: more where ``NIGHTLY`` is set.

    Nothing is shrunk: the first estate that differs is small enough to be read, and a smaller one takes minutes to find.
    """
    number = by_night if os.environ.get("NIGHTLY") else by_day
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(max_examples=number, suppress_health_check=list(HealthCheck), phases=phases)


def written(documents: list[dict]) -> str:
    """Return documents as YAML: JSON is that, but for references, which stand unquoted."""
    return "\n---\n".join(re.sub(r'"(\$[a-z_.]+)"', r"\1", json.dumps(document)) for document in documents)
