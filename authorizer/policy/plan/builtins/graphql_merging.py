"""Fields that answer under one name must be one field (GraphQL specification, October 2021, section 5.3.2)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from authorizer.policy.plan.builtins.graphql_schema import LEAF_KINDS, Schema, inner_name
from authorizer.policy.plan.builtins.graphql_syntax import OBJECT, Node
from authorizer.policy.plan.builtins.graphql_values import unfit


class _Selected(NamedTuple):
    """A field, the type that it is of, and its definition if that type has it."""

    field: Node
    parent: Node
    definition: Node | None


_Collected = tuple[dict[str, list[_Selected]], list[str]]
"""Fields by the name they answer under, and the fragments that are spread beside them."""


def check_merging(schema: Schema, fragments: Mapping[str, Node], parent: Node, selections: Sequence[Node]) -> None:
    """Refuse selections in which two fields answer differently under one name. Raises BuiltinError."""
    if selections:
        _Merging(schema, fragments).within(parent, selections)


class _Merging:
    """Comparisons of fields; ``pairs`` are fragments that were compared, and whether as exclusive ones."""

    def __init__(self, schema: Schema, fragments: Mapping[str, Node]) -> None:
        self.schema = schema
        self.fragments = fragments
        self.pairs: dict[frozenset[str], bool] = {}

    def collect(self, parent: Node | None, selections: Sequence[Node]) -> _Collected:
        fields: dict[str, list[_Selected]] = {}
        spreads: list[str] = []
        waiting = [(parent, each) for each in reversed(selections)]
        while waiting:
            self.schema.context.budget.charge(10)
            kind, each = waiting.pop()
            if "Alias" in each:
                if kind is not None:
                    definition = self.schema.field(kind, each["Name"])
                    found = _Selected(each, kind, definition)
                    fields.setdefault(each["Alias"] or each["Name"], []).append(found)
            elif "TypeCondition" in each:
                inner = self.schema.types.get(each["TypeCondition"]) if each["TypeCondition"] else kind
                waiting += [(inner, one) for one in reversed(each["SelectionSet"])]
            else:
                spreads.append(each["Name"])
        return fields, spreads

    def spread(self, name: str) -> _Collected | None:
        """Return what a fragment selects."""
        fragment = self.fragments.get(name)
        if fragment is None:
            return None
        return self.collect(self.schema.types.get(fragment["TypeCondition"]), fragment["SelectionSet"])

    def within(self, parent: Node, selections: Sequence[Node]) -> None:
        """Compare the selections of one set with each other."""
        fields, spreads = self.collect(parent, selections)
        for same in fields.values():
            for index, first in enumerate(same):
                for second in same[index + 1 :]:
                    self.compare(first, second, exclusive=False)
        compared: set[str] = set()
        for index, name in enumerate(spreads):
            self.with_fragment(fields, name, compared, exclusive=False)
            for other in spreads[index + 1 :]:
                self.fragments_with_each_other(name, other, exclusive=False)

    def between(
        self, first: dict[str, list[_Selected]], second: dict[str, list[_Selected]], *, exclusive: bool
    ) -> None:
        """Compare the fields of two sets."""
        for name, fields in first.items():
            for a in fields:
                for b in second.get(name, ()):
                    self.compare(a, b, exclusive=exclusive)

    def with_fragment(
        self, fields: dict[str, list[_Selected]], name: str, compared: set[str], *, exclusive: bool
    ) -> None:
        """Compare fields with what a fragment selects, itself and by other fragments."""
        waiting = [name]
        while waiting:
            each = waiting.pop()
            found = None if each in compared else self.spread(each)
            compared.add(each)
            if found is not None:
                self.between(fields, found[0], exclusive=exclusive)
                waiting += found[1]

    def fragments_with_each_other(self, first: str, second: str, *, exclusive: bool) -> None:
        """Compare what two fragments select, themselves and by other fragments."""
        waiting = [(first, second)]
        while waiting:
            a, b = waiting.pop()
            pair = frozenset((a, b))
            known = self.pairs.get(pair)
            if a == b or (known is not None and (exclusive or not known)):
                continue
            self.pairs[pair] = exclusive
            one, other = self.spread(a), self.spread(b)
            if one is None or other is None:
                continue
            self.between(one[0], other[0], exclusive=exclusive)
            waiting += [(a, each) for each in other[1]]
            waiting += [(each, b) for each in one[1]]

    def compare(self, a: _Selected, b: _Selected, *, exclusive: bool) -> None:
        """Compare two fields that answer under one name; ``exclusive`` ones are never both of the answer."""
        self.schema.context.budget.charge(40)
        if a.field is b.field:
            return
        if not exclusive:
            objects = a.parent["Kind"] == b.parent["Kind"] == "OBJECT" and a.parent["Name"] != b.parent["Name"]
            exclusive = objects and a.definition is not None and b.definition is not None
        if not exclusive and (a.field["Name"] != b.field["Name"] or not _same_arguments(a.field, b.field)):
            raise unfit("two fields answer under one name")
        kinds = [each.definition["Type"] for each in (a, b) if each.definition is not None]
        if len(kinds) == 2 and self.types_conflict(*kinds):
            raise unfit("two fields answer with different types under one name")
        one = self.collect(self.kind(a), a.field.get("SelectionSet", []))
        other = self.collect(self.kind(b), b.field.get("SelectionSet", []))
        self.between(one[0], other[0], exclusive=exclusive)
        for name in other[1]:
            self.with_fragment(one[0], name, set(), exclusive=exclusive)
        for name in one[1]:
            self.with_fragment(other[0], name, set(), exclusive=exclusive)
            for each in other[1]:
                self.fragments_with_each_other(name, each, exclusive=exclusive)

    def kind(self, selected: _Selected) -> Node | None:
        """Return the type of a field's value."""
        if selected.definition is None:
            return None
        return self.schema.types.get(inner_name(selected.definition["Type"]))

    def types_conflict(self, a: Node, b: Node) -> bool:
        """Tell whether values of both types could not be told from each other."""
        if "Elem" in a and "Elem" in b:
            return self.types_conflict(a["Elem"], b["Elem"])
        if "Elem" in a or "Elem" in b or bool(a.get("NonNull")) != bool(b.get("NonNull")):
            return True
        one, other = a["NamedType"], b["NamedType"]
        leaves = self.schema.kind(one) in LEAF_KINDS and self.schema.kind(other) in LEAF_KINDS
        return leaves and one != other


def _same_arguments(a: Node, b: Node) -> bool:
    first, second = a.get("Arguments", []), b.get("Arguments", [])
    if len(first) != len(second):
        return False
    return all(any(x["Name"] == y["Name"] and _same_value(x["Value"], y["Value"]) for y in second) for x in first)


def _same_value(a: Node, b: Node) -> bool:
    if a["Kind"] != b["Kind"] or a["Raw"] != b["Raw"]:
        return False
    first, second = a.get("Children", []), b.get("Children", [])
    if len(first) != len(second):
        return False
    if a["Kind"] == OBJECT:
        first, second = (sorted(each, key=lambda child: child["Name"]) for each in (first, second))
    return all(
        x["Name"] == y["Name"] and _same_value(x["Value"], y["Value"]) for x, y in zip(first, second, strict=True)
    )
