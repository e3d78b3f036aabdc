"""Evaluates what documents declare, comparison by comparison, with the engine's own reading of values and operators."""

from collections.abc import Mapping
from typing import Any

from authorizer.policy.pbac.declared import AllOf, Application, Catalog, Condition, Leaf, Negation
from authorizer.policy.pbac.subjects import IS
from authorizer.policy.pbac.templates import SIDE_INDEX, Sides, build, literal_reader
from authorizer.policy.pbac.types import FieldType, converter, show

_TEXT = FieldType("string")
_TOKENS = FieldType("string", many=True)


def field_type(side: str, name: str, application: Application, catalog: Catalog) -> FieldType:
    """Return the type of a field that a condition of the application may name."""
    if side == "env":
        return catalog.env[name].type
    if side == "resource" and name == "id":
        return _TEXT
    if side == "assignee" and name == IS:
        return _TOKENS
    return (application.fields.get(name) or catalog.fields[name]).type


def typed_resource(raw: Mapping[str, object], application: Application, catalog: Catalog) -> dict[str, Any]:
    """Return the values of resource fields that are of their types; others are left out."""
    fields = {**catalog.fields, **application.fields}
    found = {"id": converter(_TEXT)(raw.get("id"))}
    for name, field in fields.items():
        if "resource" in field.scopes and raw.get(name) is not None:
            found[name] = converter(field.type)(raw[name])
    return {name: value for name, value in found.items() if value is not None}


def typed_env(raw: Mapping[str, object], catalog: Catalog, now: float) -> dict[str, Any]:
    """Return the values of the moment that are of their types, with the defaults of those that are not given."""
    found: dict[str, Any] = {}
    for name, field in catalog.env.items():
        value = raw.get(name, field.default)
        if value is not None:
            found[name] = converter(field.type)(value)
    found["now"] = now
    return {name: value for name, value in found.items() if value is not None}


def holds(condition: Condition | None, sides: Sides) -> bool | None:
    """Evaluate a condition in Kleene's logic; None when it cannot be told."""
    if condition is None:
        return True
    if isinstance(condition, Leaf):
        return _comparison(condition, sides)
    if isinstance(condition, Negation):
        part = holds(condition.part, sides)
        return None if part is None else not part
    parts = [holds(part, sides) for part in condition.parts]
    decisive = not isinstance(condition, AllOf)
    return decisive if decisive in parts else None if None in parts else not decisive


def _comparison(leaf: Leaf, sides: Sides) -> bool | None:
    node: dict[str, Any] = {"op": leaf.operator, "left": [leaf.side, leaf.field], "type": 0}
    node |= {"param": 0} if leaf.reference is None else {"right": list(leaf.reference)}
    template = build(node, (leaf.type,))
    params = tuple(literal_reader(how, leaf.type)(leaf.texts) for how, _ in template.wants)
    return template.test(sides, params)


def shown(side: str, name: str, kind: FieldType, sides: Sides) -> str:
    """Write the value that a field has in a question, or that it has none."""
    value = sides[SIDE_INDEX[side]].get(name)
    return "unknown" if value is None else show(kind, value)
