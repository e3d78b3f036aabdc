"""Whether a GraphQL query fits its schema (specification, October 2021, section 5), as gqlparser's rules say."""

from collections.abc import Sequence
from typing import Final

from authorizer.policy.plan.builtins.graphql_merging import check_merging
from authorizer.policy.plan.builtins.graphql_schema import (
    COMPOSITE_KINDS,
    INPUT_KINDS,
    LEAF_KINDS,
    Schema,
    inner_name,
    is_required,
    looped,
    named,
)
from authorizer.policy.plan.builtins.graphql_syntax import Node
from authorizer.policy.plan.builtins.graphql_values import Operation, Wanted, check_value, unfit, wanted

_LISTS_OF_TYPES: Final = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})
_MAX_LISTS: Final = 3
_TYPENAME: Final[Node] = {"Name": "__typename", "Type": {"NamedType": "String"}}


def validate(schema: Schema, query: Node) -> None:
    """Check a query against a schema. Raises BuiltinError."""
    _Validation(schema, query).run()


class _Validation:
    """One query that is checked; ``operation`` while the walk is within one."""

    def __init__(self, schema: Schema, query: Node) -> None:
        self.schema = schema
        self.operations: list[Node] = query.get("Operations", [])
        self.fragments: list[Node] = query.get("Fragments", [])
        self.by_name = {each["Name"]: each for each in reversed(self.fragments)}
        self.operation: Operation | None = None
        self.walked: set[str] = set()

    def run(self) -> None:
        """Check everything."""
        _check_unique([each["Name"] for each in self.fragments], "fragments")
        _check_unique([each["Name"] for each in self.operations if each["Name"]], "operations")
        if len(self.operations) > 1 and not all(each["Name"] for each in self.operations):
            raise unfit("an anonymous operation is not the only one")
        if looped({name: self._spreads(each["SelectionSet"]) for name, each in self.by_name.items()}):
            raise unfit("a fragment spreads itself")
        used: set[str] = set()
        for operation in self.operations:
            self.walked = set()
            self._operation(operation)
            used |= self.walked
        if not used.issuperset(self.by_name):
            raise unfit("a fragment is never used")
        self.operation = None
        for fragment in self.fragments:
            self.walked = set()
            self._fragment(fragment)

    def _spreads(self, selections: Sequence[Node]) -> list[str]:
        found: list[str] = []
        waiting = list(selections)
        while waiting:
            self.schema.context.budget.charge(1)
            each = waiting.pop()
            if "Alias" not in each and "TypeCondition" not in each:
                found.append(each["Name"])
            waiting += each.get("SelectionSet", [])
        return found

    def _operation(self, node: Node) -> None:
        variables: list[Node] = node.get("VariableDefinitions", [])
        _check_unique([each["Variable"] for each in variables], "variables")
        self.operation = Operation(variables)
        kind = node["Operation"] or "query"
        root = self.schema.roots.get(kind)
        if root is None:
            raise unfit(f"there is no {kind}")
        for each in variables:
            definition = self.schema.types.get(inner_name(each["Type"]))
            if definition is None or definition["Kind"] not in INPUT_KINDS:
                raise unfit("a variable is not of an input type")
            if "DefaultValue" in each:
                check_value(self.schema, self.operation, each["DefaultValue"], Wanted(each["Type"], definition))
            self._directives(each, "VARIABLE_DEFINITION")
        self._directives(node, kind.upper())
        self._selections(root, node["SelectionSet"])
        if not self.operation.used.issuperset(self.operation.definitions):
            raise unfit("a variable is never used")
        if kind == "subscription":
            self._check_subscription(node["SelectionSet"])
        check_merging(self.schema, self.by_name, root, node["SelectionSet"])

    def _fragment(self, node: Node) -> None:
        definition = self._condition(node["TypeCondition"])
        self._directives(node, "FRAGMENT_DEFINITION")
        self._selections(definition, node["SelectionSet"])
        check_merging(self.schema, self.by_name, definition, node["SelectionSet"])

    def _condition(self, name: str) -> Node:
        """Return the type that a fragment is on."""
        if self.schema.kind(name) not in COMPOSITE_KINDS:
            raise unfit(f"a fragment is on {name}, which has no fields")
        return self.schema.types[name]

    def _directives(self, node: Node, location: str) -> None:
        seen: set[str] = set()
        for directive in node.get("Directives", []):
            name = directive["Name"]
            definition = self.schema.directives.get(name)
            if definition is None or location not in definition["Locations"]:
                raise unfit(f"the directive {name} cannot stand here")
            if name in seen and not definition.get("IsRepeatable"):
                raise unfit(f"the directive {name} stands here twice")
            seen.add(name)
            self._arguments(directive.get("Arguments", []), definition.get("Arguments", []))

    def _arguments(self, given: Sequence[Node], known: Sequence[Node]) -> None:
        _check_unique([each["Name"] for each in given], "arguments")
        self.schema.context.budget.charge(20 + len(given) * len(known))
        for argument in given:
            definition = named(known, argument["Name"])
            if definition is None:
                raise unfit(f"the argument {argument['Name']} is not known")
            check_value(self.schema, self.operation, argument["Value"], wanted(self.schema, definition))
        if any(is_required(each) and named(given, each["Name"]) is None for each in known):
            raise unfit("a required argument is missing")

    def _selections(self, parent: Node, selections: Sequence[Node]) -> None:
        for selection in selections:
            self.schema.context.budget.charge(60)
            if "Alias" in selection:
                self._field(parent, selection)
            elif "TypeCondition" in selection:
                self._inline_fragment(parent, selection)
            else:
                self._spread(parent, selection)

    def _field(self, parent: Node, field: Node) -> None:
        name = field["Name"]
        definition = _TYPENAME if name == "__typename" else self.schema.field(parent, name)
        if definition is None:
            raise unfit(f"{parent['Name']} has no field {name}")
        self._arguments(field.get("Arguments", []), definition.get("Arguments", []))
        self._directives(field, "FIELD")
        kind = self.schema.types[inner_name(definition["Type"])]
        selections = field.get("SelectionSet", [])
        if (kind["Kind"] in LEAF_KINDS) == bool(selections):
            raise unfit(f"the field {name} has a selection and no subfields, or the other way round")
        self._selections(kind, selections)
        if name in {"__schema", "__type"} and self._too_deep(selections, 0):
            raise unfit("the schema is asked for too deeply")
        if self.operation is not None:
            check_merging(self.schema, self.by_name, kind, selections)

    def _inline_fragment(self, parent: Node, fragment: Node) -> None:
        condition = fragment["TypeCondition"]
        kind = parent
        if condition:
            kind = self._condition(condition)
            self._check_possible(parent, condition)
        self._directives(fragment, "INLINE_FRAGMENT")
        self._selections(kind, fragment["SelectionSet"])
        check_merging(self.schema, self.by_name, kind, fragment["SelectionSet"])

    def _spread(self, parent: Node, spread: Node) -> None:
        name = spread["Name"]
        fragment = self.by_name.get(name)
        if fragment is None:
            raise unfit(f"the fragment {name} is not defined")
        kind = self._condition(fragment["TypeCondition"])
        self._check_possible(parent, fragment["TypeCondition"])
        self._directives(spread, "FRAGMENT_SPREAD")
        if name not in self.walked:
            self.walked.add(name)
            self._directives(fragment, "FRAGMENT_DEFINITION")
            self._selections(kind, fragment["SelectionSet"])

    def _check_possible(self, parent: Node, condition: str) -> None:
        """Refuse a fragment on a type that no object of the parent's type can be."""
        name = parent["Name"]
        here = {name} if parent["Kind"] == "OBJECT" else self.schema.possible.get(name, set())
        if here.isdisjoint(self.schema.possible.get(condition, set())):
            raise unfit(f"no object of {name} is one of {condition}")

    def _too_deep(self, selections: Sequence[Node], depth: int) -> bool:
        """Tell whether an introspection goes through too many lists of types."""
        for each in selections:
            self.schema.context.budget.charge(1)
            if "Alias" in each:
                inner = depth + (each["Name"] in _LISTS_OF_TYPES)
                if inner >= _MAX_LISTS or self._too_deep(each.get("SelectionSet", []), inner):
                    return True
            elif "TypeCondition" in each:
                if self._too_deep(each["SelectionSet"], depth):
                    return True
            elif each["Name"] in self.by_name and self._too_deep(self.by_name[each["Name"]]["SelectionSet"], depth):
                return True
        return False

    def _check_subscription(self, selections: Sequence[Node]) -> None:
        names: set[str] = set()
        spread: set[str] = set()
        waiting = list(selections)
        while waiting:
            each = waiting.pop()
            if "Alias" in each:
                names.add(each["Name"])
            elif "TypeCondition" in each:
                waiting += each["SelectionSet"]
            elif each["Name"] not in spread:
                spread.add(each["Name"])
                waiting += self.by_name[each["Name"]]["SelectionSet"]
        if len(names) != 1 or next(iter(names)).startswith("__"):
            raise unfit("a subscription selects exactly one field that is not about the schema")


def _check_unique(names: Sequence[str], what: str) -> None:
    if len(set(names)) != len(names):
        raise unfit(f"two {what} have one name")
