"""The values that a GraphQL query gives: whether each is of the type that is wanted where it stands."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from authorizer.policy.plan.builtins.graphql_schema import Schema, compatible, inner_name, is_required, named
from authorizer.policy.plan.builtins.graphql_syntax import (
    BLOCK,
    BOOLEAN,
    ENUM,
    FLOAT,
    INT,
    LIST,
    NULL,
    OBJECT,
    STRING,
    VARIABLE,
    Node,
)
from authorizer.policy.plan.values import BuiltinError

_STANDARD = frozenset({"Int", "Float", "String", "Boolean", "ID"})
_TAKEN = {
    INT: {"Int", "Float", "ID"},
    FLOAT: {"Float"},
    STRING: {"String", "ID"},
    BLOCK: {"String", "ID"},
    BOOLEAN: {"Boolean"},
}


class Wanted(NamedTuple):
    """What is wanted at a place: the type, None if unknown, and whether the place has a default of its own."""

    type: Node | None
    definition: Node | None = None
    has_default: bool = False


def wanted(schema: Schema, definition: Node | None) -> Wanted:
    """Return what an argument or a field of an input object wants."""
    if definition is None:
        return Wanted(None)
    default = definition.get("DefaultValue")
    kind = definition["Type"]
    return Wanted(kind, schema.types.get(inner_name(kind)), default is not None and default["Kind"] != NULL)


class Operation:
    """The variables of an operation, and which of them were used."""

    def __init__(self, definitions: list[Node]) -> None:
        self.definitions = {each["Variable"]: each for each in reversed(definitions)}
        self.used: set[str] = set()


def check_value(schema: Schema, operation: Operation | None, value: Node, place: Wanted) -> None:
    """Check a value and all within; without an ``operation`` variables are not looked at. Raises BuiltinError."""
    schema.context.budget.charge(20)
    for child, inner in _children(schema, value, place):
        check_value(schema, operation, child, inner)
    kind = value["Kind"]
    if kind == VARIABLE and operation is not None:
        _check_variable(operation, value, place)
    if kind == OBJECT:
        names = [child["Name"] for child in value.get("Children", [])]
        if len(set(names)) != len(names):
            raise unfit("an input object has a field twice")
        if operation is not None and place.definition is not None:
            _check_one_of_variables(operation, value, place.definition)
    if place.type is not None and place.definition is not None:
        _check_type(schema, value, place.type, place.definition)


def unfit(why: str) -> BuiltinError:
    """Return the error that a query does not fit its schema."""
    return BuiltinError(f"GraphQL query: {why}")


def _children(schema: Schema, value: Node, place: Wanted) -> Iterator[tuple[Node, Wanted]]:
    children = value.get("Children", [])
    if value["Kind"] == OBJECT:
        for child in children:
            field = schema.field(place.definition, child["Name"]) if place.definition else None
            yield child["Value"], wanted(schema, field)
    elif value["Kind"] == LIST:
        element = place.type.get("Elem") if place.type else None
        for child in children:
            yield child["Value"], Wanted(element, place.definition if element else None)


def _check_variable(operation: Operation, value: Node, place: Wanted) -> None:
    definition = operation.definitions.get(value["Raw"])
    if definition is None:
        raise unfit("a variable is not defined")
    operation.used.add(value["Raw"])
    if place.type is None:
        return
    default = definition.get("DefaultValue")
    optional = place.has_default or (default is not None and default["Kind"] != NULL)
    if not compatible(definition["Type"], place.type | {"NonNull": False} if optional else place.type):
        raise unfit("a variable is not of the type that is wanted")


def _check_one_of_variables(operation: Operation, value: Node, definition: Node) -> None:
    if named(definition.get("Directives", []), "oneOf") is None:
        return
    for child in value.get("Children", []):
        given = operation.definitions.get(child["Value"]["Raw"]) if child["Value"]["Kind"] == VARIABLE else None
        if given is not None and not given["Type"].get("NonNull"):
            raise unfit("a variable of a oneOf input object can be null")


def _check_type(schema: Schema, value: Node, expected: Node, definition: Node) -> None:
    kind, name = value["Kind"], definition["Name"]
    if kind == NULL and expected.get("NonNull"):
        raise unfit("null stands where a value is needed")
    if kind in {NULL, VARIABLE} or (definition["Kind"] == "SCALAR" and name not in _STANDARD):
        return
    _check_number(value)
    if kind == LIST:
        good = "Elem" in expected
    elif kind == OBJECT:
        _check_object(schema, value, definition)
        good = True
    elif kind == ENUM:
        good = definition["Kind"] == "ENUM" and named(definition.get("EnumValues", []), value["Raw"]) is not None
    else:
        good = name in _TAKEN[kind]
    if not good:
        raise unfit(f"a value is not of type {name}")


def _check_number(value: Node) -> None:
    """Refuse numbers that neither 64 bits of an integer nor a double hold."""
    if value["Kind"] == INT and (len(value["Raw"]) > 20 or not -(2**63) <= int(value["Raw"]) < 2**63):
        raise unfit("an integer is too large")
    if value["Kind"] == FLOAT and math.isinf(float(value["Raw"])):
        raise unfit("a number is too large")


def _check_object(schema: Schema, value: Node, definition: Node) -> None:
    children, fields = value.get("Children", []), definition.get("Fields", [])
    schema.context.budget.charge(1 + len(children) * len(fields))
    if any(is_required(field) and named(children, field["Name"]) is None for field in fields):
        raise unfit(f"an input object lacks a field of {definition['Name']}")
    one_of = named(definition.get("Directives", []), "oneOf") is not None
    if one_of and (len(children) != 1 or children[0]["Value"]["Kind"] == NULL):
        raise unfit(f"a value of {definition['Name']} has exactly one field")
    if any(named(fields, child["Name"]) is None for child in children):
        raise unfit(f"an input object has a field that {definition['Name']} has not")
