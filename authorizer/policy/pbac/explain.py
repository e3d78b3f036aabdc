"""Tells a person why a policy did not hold: in the author's words, without the caller's values."""

from collections.abc import Iterable, Mapping
from typing import Any

from authorizer.policy.pbac.form import rule_of
from authorizer.policy.pbac.rows import Case
from authorizer.policy.pbac.templates import SIDE_INDEX, Params, Part, Sides
from authorizer.policy.pbac.types import FieldType, show

Types = tuple[FieldType, ...]

NEAREST = 8
"""Among how many policies that did not hold the nearest is looked for: a denial must not cost more than an allow."""


def nearest(named: Iterable[tuple[str, str, Case]], types: Types, sides: Sides) -> str:
    """Tell what the policy lacked that had the fewest parts left to hold; given are names, places and cases."""

    def distance(one: tuple[str, str, Case]) -> tuple[int, str]:
        name, _, case = one
        parts = case.template.parts if case.template else ()
        return sum(1 for part in parts if _holds(part, case, sides) is not True), name

    name, place, case = min(named, key=distance)
    return f"nearest is {name} ({place}): {why(case, types, sides)}"


def why(case: Case, types: Types, sides: Sides) -> str:
    """Tell the first part that was false, or else the first that could not be told."""
    for wanted in (False, None):
        for part in case.template.parts if case.template else ():
            if _holds(part, case, sides) is wanted:
                text = describe(part.node, case.params, types)
                if wanted is False:
                    return f"{text} does not hold"
                unknown = _unknown_fields(part.node, sides)
                because = f", {', '.join(dict.fromkeys(unknown))} is unknown" if unknown else ""
                return f"{text} cannot be told{because}"
    return "cannot be told"


def _holds(part: Part, case: Case, sides: Sides) -> bool | None:
    try:
        return part.test(sides, case.params)
    except Exception:  # noqa: BLE001 - what raises is unknown, as in the decision
        return None


def describe(node: Mapping[str, Any], params: Params, types: Types) -> str:
    """Write a condition as its author would."""
    for name, joint in (("all", " and "), ("any", " or ")):
        if name in node:
            return "(" + joint.join(describe(part, params, types) for part in node[name]) + ")"
    if "not" in node:
        return "not " + describe(node["not"], params, types)
    left = ".".join(node["left"])
    if "right" in node:
        return f"{left} {node['op']} ${'.'.join(node['right'])}"
    value = params[node["param"]]
    if rule := rule_of(node["left"][1]):
        return f"rego {rule}"
    if node["op"] == "exists":
        return f"{left} exists {'true' if value else 'false'}"
    kind = types[node["type"]]
    if node["op"] in {"between", "outside"} or (kind.base == "ip" and node["op"] in {"in", "not_in"}):
        return f"{left} {node['op']} [" + ", ".join(show(kind, one) for one in value) + "]"
    return f"{left} {node['op']} {show(kind, value)}"


def _unknown_fields(node: Mapping[str, Any], sides: Sides) -> list[str]:
    """Return the fields of a condition that have no value."""
    for name in ("all", "any"):
        if name in node:
            return [field for part in node[name] for field in _unknown_fields(part, sides)]
    if "not" in node:
        return _unknown_fields(node["not"], sides)
    fields = [node["left"], *([node["right"]] if "right" in node else [])]
    if node["op"] == "exists":
        return []
    return [rule_of(name) or f"{side}.{name}" for side, name in fields if sides[SIDE_INDEX[side]].get(name) is None]
