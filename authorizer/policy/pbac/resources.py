"""Reads ``appResources``: the catalogued instances of an application's resource types, with what is known of them."""

from collections.abc import Callable, Mapping

from authorizer.errors import Place
from authorizer.policy.documents import ListNode, Node, Scalar
from authorizer.policy.pbac.declared import Application, AppResource, Field, Right
from authorizer.policy.pbac.types import converter
from authorizer.policy.pbac.values import HINTS
from authorizer.policy.reading import Findings

Find = Callable[[str, Place], Field | None]
Catalogued = dict[str, dict[str, AppResource]]


def read_resources(
    node: Node | None, types: Mapping[str, frozenset[str]], find: Find, findings: Findings
) -> Catalogued:
    """Read ``{TYPE: {ID: {FIELD: VALUE}}}``, or ``{TYPE: [ID, ..]}``; ``types`` leads from a type to its fields."""
    found: Catalogued = {}
    for name, key, listed in findings.named(node, "appResources"):
        if name not in types:
            findings.unknown("A009", key.place, "resource type", name, types)
        elif isinstance(listed, ListNode):
            found[name] = {
                one.text: AppResource(one.text, {}, one.place)
                for one in findings.words(listed, name)
                if findings.subject_name(one, "a resource's id")
            }
        else:
            found[name] = {
                id_key.text: AppResource(
                    id_key.text, _values(id_key, values, types[name], find, findings), id_key.place
                )
                for _, id_key, values in findings.named(listed, name)
                if findings.subject_name(id_key, "a resource's id")
            }
    return found


def _values(
    key: Scalar, node: Node, linked: frozenset[str], find: Find, findings: Findings
) -> dict[str, str | tuple[str, ...]]:
    values: dict[str, str | tuple[str, ...]] = {}
    if isinstance(node, Scalar) and node.absent:
        return values
    for name, field_key, value in findings.named(node, f"resource {key.text!r}"):
        field = find(name, field_key.place)
        if field is None:
            continue
        if name not in linked:
            hint = "usable: " + (", ".join(sorted(linked)) or "none")
            findings.error("C004", field_key.place, f"field {name!r} is no field of its resource type", hint)
            continue
        raw = findings.text_or_texts(value, f"field {name!r}")
        if raw and converter(field.type)(raw) is None:
            findings.error("C010", value.place, f"not a valid {field.type} ({name})", HINTS.get(field.type.base, ""))
        elif raw:
            values[name] = raw
    return values


def known_ids(application: Application, rights: tuple[Right, ...]) -> frozenset[str] | None:
    """Return the ids that resources of these rights can have; None when one of their types is not catalogued."""
    types = {right.resource_type for right in rights}
    if not types or not types <= application.resources.keys():
        return None
    return frozenset(name for one in types for name in application.resources[one])
