"""GraphQL schemas: definitions put together, extended and checked (specification, October 2021, section 3).

What is checked is what github.com/vektah/gqlparser checks. Everything is a dictionary by name, built once a schema.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from authorizer.policy.plan.builtins.graphql_syntax import NULL, Node, parse_schema
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError

_PRELUDE: Final = """
scalar Int scalar Float scalar String scalar Boolean scalar ID
directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @deprecated(reason: String = "No longer supported")
  on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE
directive @specifiedBy(url: String!) on SCALAR
directive @oneOf on INPUT_OBJECT
type __Schema {
  description: String types: [__Type!]! queryType: __Type! mutationType: __Type subscriptionType: __Type
  directives: [__Directive!]!
}
type __Type {
  kind: __TypeKind! name: String description: String specifiedByURL: String
  fields(includeDeprecated: Boolean = false): [__Field!] interfaces: [__Type!] possibleTypes: [__Type!]
  enumValues(includeDeprecated: Boolean = false): [__EnumValue!]
  inputFields(includeDeprecated: Boolean = false): [__InputValue!] ofType: __Type isOneOf: Boolean
}
enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }
type __Field {
  name: String! description: String args(includeDeprecated: Boolean = false): [__InputValue!]! type: __Type!
  isDeprecated: Boolean! deprecationReason: String
}
type __InputValue {
  name: String! description: String type: __Type! defaultValue: String isDeprecated: Boolean!
  deprecationReason: String
}
type __EnumValue { name: String! description: String isDeprecated: Boolean! deprecationReason: String }
type __Directive {
  name: String! description: String isRepeatable: Boolean! locations: [__DirectiveLocation!]!
  args(includeDeprecated: Boolean = false): [__InputValue!]!
}
enum __DirectiveLocation {
  QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT VARIABLE_DEFINITION SCHEMA
  SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION ENUM ENUM_VALUE INPUT_OBJECT
  INPUT_FIELD_DEFINITION
}
"""
_REDECLARABLE: Final = frozenset({"include", "skip", "deprecated", "specifiedBy", "defer", "oneOf"})
_LISTS: Final = ("Directives", "Interfaces", "Fields", "Types", "EnumValues")
INPUT_KINDS: Final = frozenset({"SCALAR", "ENUM", "INPUT_OBJECT"})
COMPOSITE_KINDS: Final = frozenset({"OBJECT", "INTERFACE", "UNION"})
LEAF_KINDS: Final = frozenset({"SCALAR", "ENUM"})
_ROOTS: Final = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}


@cache
def _prelude() -> Node:
    return parse_schema(Context(0, bytes), _PRELUDE)


def named(nodes: Iterable[Node], name: str) -> Node | None:
    """Return the first node of that name."""
    return next((node for node in nodes if node.get("Name") == name), None)


def inner_name(kind: Node) -> str:
    """Return the name of the type that a reference is to, without lists and marks."""
    while not kind.get("NamedType") and "Elem" in kind:
        kind = kind["Elem"]
    return str(kind.get("NamedType", ""))


def is_required(definition: Node) -> bool:
    """Tell whether an argument or a member of an input object must be given."""
    return bool(definition["Type"].get("NonNull")) and "DefaultValue" not in definition


def compatible(given: Node, wanted: Node) -> bool:
    """Tell whether a value of one type can stand where another is wanted."""
    if given.get("NamedType", "") != wanted.get("NamedType", ""):
        return False
    if "Elem" in given and ("Elem" not in wanted or not compatible(given["Elem"], wanted["Elem"])):
        return False
    return bool(given.get("NonNull")) or not wanted.get("NonNull")


class Schema:
    """Types and directives by name, the types that operations begin at, and what each abstract type can be."""

    def __init__(self, context: Context, document: Node) -> None:
        self.context = context
        self.types: dict[str, Node] = {}
        self.directives: dict[str, Node] = {}
        self.possible: dict[str, set[str]] = {}
        self.roots: dict[str, Node] = {}
        self._fields: dict[str, dict[str, Node]] = {}
        both = [_prelude(), document]
        self._define([each for one in both for each in one.get("Definitions", [])], document.get("Extensions", []))
        self._relate()
        for directive in (each for one in both for each in one.get("Directives", [])):
            if directive["Name"] in self.directives and directive["Name"] not in _REDECLARABLE:
                raise _invalid(f"directive {directive['Name']} is declared twice")
            self.directives[directive["Name"]] = directive
        self._begin(document)
        self._built_in = {each["Name"] for each in _prelude()["Definitions"]}
        for definition in self.types.values():
            self._check_definition(definition)
        self._check_cycles()
        for directive in self.directives.values():
            _check_name(directive["Name"])
            self._check_arguments(directive.get("Arguments", []), directive["Name"])
        if "query" in self.roots:
            self._introspect()

    def _define(self, definitions: Sequence[Node], extensions: Sequence[Node]) -> None:
        for definition in definitions:
            if definition["Name"] in self.types:
                raise _invalid(f"type {definition['Name']} is declared twice")
            self.types[definition["Name"]] = definition
        for extension in extensions:
            name = extension["Name"]
            base = self.types.get(name, {"Kind": extension["Kind"], "Name": name})
            if base["Kind"] != extension["Kind"]:
                raise _invalid(f"type {name} is extended as another kind of type")
            added = {each: [*base.get(each, []), *extension.get(each, [])] for each in _LISTS}
            self.types[name] = base | {each: value for each, value in added.items() if value}

    def _relate(self) -> None:
        for name, definition in self.types.items():
            kind = definition["Kind"]
            if kind == "UNION":
                self.possible.setdefault(name, set()).update(definition.get("Types", []))
            elif kind in {"OBJECT", "INPUT_OBJECT", "INTERFACE"}:
                for each in definition.get("Interfaces", []):
                    self.possible.setdefault(each, set()).add(name)
                if kind != "INTERFACE":
                    self.possible.setdefault(name, set()).add(name)

    def _begin(self, document: Node) -> None:
        schemas = document.get("Schema", [])
        if len(schemas) > 1:
            raise _invalid("there is more than one schema")
        for each in [*schemas, *document.get("SchemaExtension", [])]:
            for operation in each.get("OperationTypes", []):
                if operation["Type"] not in self.types:
                    raise _invalid(f"type {operation['Type']} is not defined")
                self.roots[operation["Operation"]] = self.types[operation["Type"]]
            self._check_directives(each.get("Directives", []), "SCHEMA")
        if not schemas:
            for operation, name in _ROOTS.items():
                if operation not in self.roots and name in self.types:
                    self.roots[operation] = self.types[name]

    def _introspect(self) -> None:
        """Let queries ask for the schema itself."""
        string = {"NamedType": "String", "NonNull": True}
        added = [
            {"Name": "__schema", "Type": {"NamedType": "__Schema", "NonNull": True}},
            {"Name": "__type", "Type": {"NamedType": "__Type"}, "Arguments": [{"Name": "name", "Type": string}]},
        ]
        root = self.roots["query"]
        self.roots["query"] = root | {"Fields": [*root.get("Fields", []), *added]}
        self.types[root["Name"]] = self.roots["query"]
        self._fields.pop(root["Name"], None)

    def field(self, definition: Node, name: str) -> Node | None:
        """Return the field of a type, None if it has none of that name."""
        known = self._fields.get(definition["Name"])
        if known is None:
            known = {each["Name"]: each for each in reversed(definition.get("Fields", []))}
            self._fields[definition["Name"]] = known
        return known.get(name)

    def kind(self, name: str) -> str:
        """Return the kind of a type, empty if there is none of that name."""
        return str(self.types[name]["Kind"]) if name in self.types else ""

    def _check_definition(self, definition: Node) -> None:
        name, kind = definition["Name"], definition["Kind"]
        fields = definition.get("Fields", [])
        self.context.budget.charge(20 + 40 * len(fields))
        where = "INPUT_FIELD_DEFINITION" if kind == "INPUT_OBJECT" else "FIELD_DEFINITION"
        for field in fields:
            _check_name(field["Name"])
            if not self.kind(inner_name(field["Type"])):
                raise _invalid(f"the type of {name}.{field['Name']} is not defined")
            self._check_arguments(field.get("Arguments", []))
            self._check_directives(field.get("Directives", []), where)
        for each in definition.get("Types", []):
            if self.kind(each) != "OBJECT":
                raise _invalid(f"{each} is no type that {name} can be")
        for each in definition.get("Interfaces", []):
            self._check_interface(definition, each)
        self._check_kind(definition)
        for members in (fields, definition.get("EnumValues", [])):
            _check_unique([each["Name"] for each in members])
        _check_unique(definition.get("Types", []))
        if name not in self._built_in:
            _check_name(name)
        self._check_directives(definition.get("Directives", []), kind, single=False)

    def _check_kind(self, definition: Node) -> None:
        kind, fields = definition["Kind"], definition.get("Fields", [])
        if kind in {"OBJECT", "INTERFACE", "INPUT_OBJECT"}:
            if not fields:
                raise _invalid(f"{definition['Name']} has no field")
            wrong = COMPOSITE_KINDS if kind == "INPUT_OBJECT" else {"INPUT_OBJECT"}
            if any(self.kind(inner_name(field["Type"])) in wrong for field in fields):
                raise _invalid(f"a field of {definition['Name']} has a type that it may not have")
        if kind == "ENUM":
            values = definition.get("EnumValues", [])
            if not values or any(value["Name"] in {"true", "false", "null"} for value in values):
                raise _invalid(f"{definition['Name']} has no value, or one that is none")
            for value in values:
                self._check_directives(value.get("Directives", []), "ENUM_VALUE")

    def _check_arguments(self, arguments: Sequence[Node], within: str = "") -> None:
        for argument in arguments:
            self.context.budget.charge(1)
            _check_name(argument["Name"])
            if self.kind(inner_name(argument["Type"])) not in INPUT_KINDS:
                raise _invalid(f"argument {argument['Name']} is not of an input type")
            self._check_directives(argument.get("Directives", []), "ARGUMENT_DEFINITION", within)

    def _check_directives(
        self, directives: Sequence[Node], location: str, within: str = "", *, single: bool = True
    ) -> None:
        seen: set[str] = set()
        for directive in directives:
            self.context.budget.charge(1)
            name = directive["Name"]
            _check_name(name)
            definition = self.directives.get(name)
            if definition is None or name == within or location not in definition["Locations"]:
                raise _invalid(f"directive {name} cannot stand here")
            if single and name in seen and not definition.get("IsRepeatable"):
                raise _invalid(f"directive {name} stands here twice")
            seen.add(name)
            given = directive.get("Arguments", [])
            known = definition.get("Arguments", [])
            if any(named(known, each["Name"]) is None for each in given):
                raise _invalid(f"directive {name} has an argument that is not defined")
            for each in known:
                told = named(given, each["Name"])
                if is_required(each) and (told is None or told["Value"]["Kind"] == NULL):
                    raise _invalid(f"directive {name} lacks an argument")

    def _check_interface(self, definition: Node, name: str) -> None:
        if self.kind(name) != "INTERFACE":
            raise _invalid(f"{name} is not an interface")
        interface = self.types[name]
        for wanted in interface.get("Fields", []):
            self.context.budget.charge(1)
            field = self.field(definition, wanted["Name"])
            if field is None or not self._covariant(wanted["Type"], field["Type"]):
                raise _invalid(f"{definition['Name']} lacks a field of {name}, or has it with another type")
            arguments, expected = field.get("Arguments", []), wanted.get("Arguments", [])
            for each in expected:
                given = named(arguments, each["Name"])
                if given is None or not compatible(each["Type"], given["Type"]):
                    raise _invalid(f"{definition['Name']} has a field of {name} with other arguments")
            if any(is_required(each) and named(expected, each["Name"]) is None for each in arguments):
                raise _invalid(f"{definition['Name']} has a field of {name} with one more required argument")
        if not set(interface.get("Interfaces", [])) <= set(definition.get("Interfaces", [])):
            raise _invalid(f"{definition['Name']} does not implement what {name} implements")

    def _covariant(self, wanted: Node, actual: Node) -> bool:
        if wanted.get("NonNull") and not actual.get("NonNull"):
            return False
        name = wanted.get("NamedType")
        if name:
            given = actual.get("NamedType", "")
            return name == given or given in self.possible.get(name, set())
        return "Elem" in actual and self._covariant(wanted["Elem"], actual["Elem"])

    def _check_cycles(self) -> None:
        """Refuse input objects that need a value of their own type."""
        inputs = [name for name, definition in self.types.items() if definition["Kind"] == "INPUT_OBJECT"]
        name = looped({name: self._needs(name) for name in inputs})
        if name:
            raise _invalid(f"{name} needs a value of its own type")

    def _needs(self, name: str) -> list[str]:
        fields = self.types[name].get("Fields", [])
        self.context.budget.charge(1 + len(fields))
        needed = (each["Type"].get("NamedType", "") for each in fields if each["Type"].get("NonNull"))
        return [each for each in needed if self.kind(each) == "INPUT_OBJECT"]


def looped(edges: Mapping[str, Iterable[str]]) -> str:
    """Return a name that leads back to itself, or ""."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return str(error.args[1][0])
    return ""


def _invalid(why: str) -> BuiltinError:
    return BuiltinError(f"GraphQL schema: {why}")


def _check_name(name: str) -> None:
    if name.startswith("__"):
        raise _invalid(f"the name {name} begins with two underscores")


def _check_unique(names: Sequence[Any]) -> None:
    if len(set(names)) != len(names):
        raise _invalid("a name stands twice where it may stand once")
