"""GraphQL in policies: reading queries and schemas, and checking the one against the other.

A document is text, or a tree as the parsing functions return it. A tree with fragments, which OPA misreads as fields,
is taken as what it says.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import Builtin, contextual, text, wrong_type
from authorizer.policy.plan.builtins.encoding import measure
from authorizer.policy.plan.builtins.graphql_rules import validate
from authorizer.policy.plan.builtins.graphql_schema import Schema
from authorizer.policy.plan.builtins.graphql_syntax import Node, parse_query, parse_schema
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value, to_json

_TEXT, _FLAG, _NUMBER, _TEXTS = "text", "flag", "number", "texts"
_DESCRIBED: Final = {"Description": _TEXT, "Name": _TEXT, "Directives": ["Directive"]}
_SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "Query": {"Operations": ["Operation"], "Fragments": ["Fragment"]},
    "Operation": {
        "Operation": _TEXT,
        "Name": _TEXT,
        "VariableDefinitions": ["Variable"],
        "Directives": ["Directive"],
        "SelectionSet": ["Selection"],
    },
    "Fragment": {
        "Name": _TEXT,
        "VariableDefinition": ["Variable"],
        "TypeCondition": _TEXT,
        "Directives": ["Directive"],
        "SelectionSet": ["Selection"],
    },
    "Variable": {
        "Variable": _TEXT,
        "Type": ("Type",),
        "DefaultValue": "Value",
        "Directives": ["Directive"],
        "Used": _FLAG,
    },
    "Field": {
        "Alias": _TEXT,
        "Name": _TEXT,
        "Arguments": ["Argument"],
        "Directives": ["Directive"],
        "SelectionSet": ["Selection"],
    },
    "Spread": {"Name": _TEXT, "Directives": ["Directive"]},
    "InlineFragment": {"TypeCondition": _TEXT, "Directives": ["Directive"], "SelectionSet": ["Selection"]},
    "Directive": {"Name": _TEXT, "Arguments": ["Argument"], "Location": _TEXT},
    "Argument": {"Name": _TEXT, "Value": ("Value",)},
    "Value": {"Raw": _TEXT, "Children": ["Argument"], "Kind": _NUMBER, "ExpectedTypeHasDefault": _FLAG},
    "Type": {"NamedType": _TEXT, "Elem": "Type", "NonNull": _FLAG},
    "Schema": {
        "Schema": ["SchemaDefinition"],
        "SchemaExtension": ["SchemaDefinition"],
        "Directives": ["DirectiveDefinition"],
        "Definitions": ["Definition"],
        "Extensions": ["Definition"],
    },
    "SchemaDefinition": {"Description": _TEXT, "Directives": ["Directive"], "OperationTypes": ["OperationType"]},
    "OperationType": {"Operation": _TEXT, "Type": _TEXT},
    "DirectiveDefinition": {
        "Description": _TEXT,
        "Name": _TEXT,
        "Arguments": ["Member"],
        "Locations": _TEXTS,
        "IsRepeatable": _FLAG,
    },
    "Definition": {
        **_DESCRIBED,
        "Kind": _TEXT,
        "Interfaces": _TEXTS,
        "Fields": ["Member"],
        "Types": _TEXTS,
        "EnumValues": ["EnumValue"],
        "BuiltIn": _FLAG,
    },
    "Member": {**_DESCRIBED, "Arguments": ["Member"], "DefaultValue": "Value", "Type": ("Type",)},
    "EnumValue": _DESCRIBED,
}
"""The members of each kind of node: a list is of nodes, a tuple a node that must be there, a name one that may be."""
_PLAIN: Final[Mapping[str, tuple[type, Any]]] = {_TEXT: (str, ""), _FLAG: (bool, False), _NUMBER: (int, 0)}
_ALWAYS: Final = {"Operation": "SelectionSet", "Fragment": "SelectionSet", "InlineFragment": "SelectionSet"}


def _shaped(value: Any, shape: str) -> Node:
    """Return a node of a given tree with all the members it must have. Raises BuiltinError."""
    if type(value) is not dict:
        raise BuiltinError("GraphQL: not a tree of a document")
    if shape == "Selection":
        shape = "Field" if "Alias" in value else "InlineFragment" if "TypeCondition" in value else "Spread"
        if shape == "Spread" and "Name" not in value:
            shape, value = "InlineFragment", value | {"TypeCondition": ""}
    node: Node = {}
    for name, kind in _SHAPES[shape].items():
        given = value.get(name)
        if isinstance(kind, list):
            items = [_shaped(each, kind[0]) for each in _listed(given)]
            if items or _ALWAYS.get(shape) == name or name == "Locations":
                node[name] = items
        elif isinstance(kind, tuple):
            node[name] = _shaped(given, kind[0])
        elif kind in _PLAIN:
            wanted, default = _PLAIN[kind]
            if given is not None and type(given) is not wanted:
                raise BuiltinError("GraphQL: not a tree of a document")
            node[name] = default if given is None else given
        elif kind == _TEXTS:
            node[name] = _listed(given)
            if not all(type(each) is str for each in node[name]):
                raise BuiltinError("GraphQL: not a tree of a document")
        elif given is not None:
            node[name] = _shaped(given, kind)
    return node


def _listed(value: Any) -> list[Any]:
    if value is not None and type(value) is not list:
        raise BuiltinError("GraphQL: not a tree of a document")
    return value or []


def _pruned(node: Any) -> Any:
    """Return a tree without null and empty collections."""
    if type(node) is list:
        kept = (_pruned(each) for each in node)
        return [each for each in kept if each is not None and each not in ([], {})]
    if type(node) is dict:
        members = {name: _pruned(each) for name, each in node.items() if name != "Position"}
        return {name: each for name, each in members.items() if each is not None and each not in ([], {})}
    return node


def _tree(context: Context, value: Value, position: int, shape: str) -> Node:
    if type(value) is str:
        return parse_query(context, value) if shape == "Query" else parse_schema(context, value)
    if type(value) is not dict:
        raise wrong_type(position, value, "string", "object")
    measure(context, value)
    return _shaped(to_json(value), shape)


def _schema(context: Context, document: Node) -> Schema:
    try:
        return Schema(context, document)
    except RecursionError:
        raise BudgetError from None


def _verified(context: Context, query: Value, schema: Value) -> list[Node]:
    asked, defined = _tree(context, query, 1, "Query"), _tree(context, schema, 2, "Schema")
    try:
        validate(_schema(context, defined), asked)
    except RecursionError:
        raise BudgetError from None
    return [_pruned(asked), _pruned(defined)]


def _holds(check: Callable[..., Any], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except BuiltinError:
        return False
    return True


def _parse_and_verify(context: Context, query: Value, schema: Value) -> list[Value]:
    try:
        return [True, *_verified(context, query, schema)]
    except BuiltinError:
        return [False, {}, {}]


def _schema_is_valid(context: Context, schema: Value) -> bool:
    return _holds(lambda: _schema(context, _tree(context, schema, 1, "Schema")))


BUILTINS: Final[Mapping[str, Builtin]] = {
    "graphql.is_valid": contextual(lambda context, query, schema: _holds(_verified, context, query, schema)),
    "graphql.parse": contextual(_verified),
    "graphql.parse_and_verify": contextual(_parse_and_verify),
    "graphql.parse_query": contextual(lambda context, value: parse_query(context, text(value, 1))),
    "graphql.parse_schema": contextual(lambda context, value: parse_schema(context, text(value, 1))),
    "graphql.schema_is_valid": contextual(_schema_is_valid),
}
