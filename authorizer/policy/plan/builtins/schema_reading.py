"""JSON schemas, drafts 4, 6 and 7: read and checked before anything is compared with them.

What is refused is what github.com/xeipuuv/gojsonschema refuses, and references to other documents, since a decision
fetches nothing. Without ``$schema`` the keywords of all three drafts count.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

from authorizer.policy.plan.builtins.encoding import json_text
from authorizer.policy.plan.builtins.reals import exact
from authorizer.policy.plan.builtins.regex import expression
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value

_TYPES: Final = ("array", "boolean", "integer", "number", "null", "object", "string")
_DRAFTS: Final = {f"http://json-schema.org/draft-0{number}/schema": number for number in (4, 6, 7)}
_HYBRID: Final = 9
_MAX_DEPTH: Final = 64
_LENGTHS: Final[Sequence[tuple[str, str]]] = (
    ("minLength", "maxLength"),
    ("minProperties", "maxProperties"),
    ("minItems", "maxItems"),
)
_MANY: Final = ("oneOf", "anyOf", "allOf")
_SINGLE: Final = {"not": 4, "contains": 6, "propertyNames": 6, "if": 7, "then": 7, "else": 7}
"""Keywords that hold one schema, and the draft that they are in from."""
_NO_SCHEMA: Final = "Expected: Valid Schema, given: Invalid JSON"


class Schema:
    """A schema; every keyword that is not there is None, or empty."""

    def __init__(self) -> None:
        self.passes: bool | None = None
        self.reference: Schema | None = None
        self.types: list[str] = []
        self.schemas: dict[str, Schema] = {}
        self.many: dict[str, list[Schema]] = {}
        self.properties: dict[str, Schema] = {}
        self.patterns: dict[str, tuple[Any, Schema]] = {}
        self.dependencies: dict[str, Schema | list[str]] = {}
        self.items: list[Schema] | Schema | None = None
        self.additional: dict[str, Schema | bool] = {}
        self.numbers: dict[str, Fraction] = {}
        self.sizes: dict[str, int] = {}
        self.required: list[str] = []
        self.pattern: tuple[str, Any] | None = None
        self.format = ""
        self.unique = False
        self.constant: str | None = None
        self.choices: list[str] | None = None


def fault(why: str) -> BuiltinError:
    """Return the error that a schema is not one."""
    return BuiltinError(why)


class _Reader:
    """A document with a schema; ``known`` are the places that references have led to."""

    def __init__(self, context: Context, document: Value) -> None:
        self.context = context
        self.document = document
        self.draft = _HYBRID
        self.known: dict[str, Schema] = {}
        self.named: dict[str, tuple[Value, str]] = {}
        self.depth = 0

    def read(self) -> Schema:
        """Return the schema of the whole document."""
        if type(self.document) is not bool and type(self.document) is not dict:
            raise fault("schema is invalid")
        if type(self.document) is dict and "$schema" in self.document:
            told = self.document["$schema"]
            if type(told) is not str:
                raise fault("$schema must be of type string")
            self.draft = _DRAFTS.get(told.removesuffix("#"), _HYBRID)
        self._name(self.document, "", 0)
        self.named.setdefault("", (self.document, ""))
        return self.schema(self.document, "")

    def _name(self, value: Value, base: str, depth: int) -> None:
        """Remember every part of the document that has an identifier."""
        self.context.budget.charge(1)
        if type(value) is list:
            for each in value:
                self._name(each, base, depth + 1)
        if type(value) is dict:
            base = self._base(value, base)
            self.named.setdefault(base, (value, base))
            for each in value.values():
                self._name(each, base, depth + 1)

    def _base(self, value: Mapping[Any, Value], base: str) -> str:
        identifier = value.get("id") if self.draft in {4, _HYBRID} else None
        identifier = identifier if type(identifier) is str else value.get("$id") if self.draft != 4 else None
        return urljoin(base, identifier).removesuffix("#") if type(identifier) is str else base

    def _resolved(self, reference: str, base: str) -> tuple[Value, str, str]:
        """Return what a reference leads to, the base there, and its whole spelling."""
        whole = urljoin(base, reference)
        if whole in self.named:
            return *self.named[whole], whole
        address, fragment = urldefrag(whole)
        if address not in self.named:
            raise fault("a reference to another document is not followed")
        value, base = self.named[address]
        for part in unquote(fragment).removeprefix("/").split("/") if fragment else []:
            step = part.replace("~1", "/").replace("~0", "~")
            if type(value) is dict and step in value:
                value = value[step]
                base = self._base(value, base) if type(value) is dict else base
            elif type(value) is list and step.isascii() and step.isdigit() and len(step) < 9 and int(step) < len(value):
                value = value[int(step)]
            else:
                raise fault(f"Object has no key '{step}'")
        return value, base, whole

    def schema(self, value: Value, base: str) -> Schema:
        """Read one schema."""
        self.context.budget.charge(60)
        found = Schema()
        if type(value) is bool and self.draft != 4:
            found.passes = value
            return found
        if type(value) is not dict:
            raise fault(_NO_SCHEMA)
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise BudgetError
        self._read(value, self._base(value, base), found)
        self.depth -= 1
        return found

    def _read(self, value: Mapping[Any, Value], base: str, found: Schema) -> None:
        for name in ("$id",) if self.draft in {6, 7} else ("id",) if self.draft == 4 or "id" in value else ("$id",):
            self._text(value, name)
        for each in self._mapping(value, "definitions", "Array Of Schemas").values():
            if type(each) is not bool and type(each) is not dict:
                raise fault("Invalid type. Expected: Array Of Schemas, given: definitions")
            self.schema(each, base)
        for name in ("title", "description"):
            self._text(value, name)
        reference = self._text(value, "$ref")
        if reference is not None:
            found.reference = self._refer(reference, base)
            return
        self._read_types(value, found)
        self._read_parts(value, base, found)
        self._read_items(value, base, found)
        self._read_numbers(value, found)
        self._read_sizes(value, found)
        self._read_texts(value, found)
        self._read_choices(value, found)
        for name in _MANY:
            found.many[name] = [self.schema(each, base) for each in self._array(value, name)]
        for name, since in _SINGLE.items():
            if name in value and self.draft >= since:
                if type(value[name]) is not bool and type(value[name]) is not dict:
                    raise fault(f"{name} must be of an object")
                found.schemas[name] = self.schema(value[name], base)

    def _refer(self, reference: str, base: str) -> Schema:
        value, inner, whole = self._resolved(reference, base)
        if whole not in self.known:
            if type(value) is not bool and type(value) is not dict:
                raise fault("Valid Schema must be of type object")
            self.known[whole] = placeholder = Schema()
            placeholder.reference = self.schema(value, inner)
        return self.known[whole]

    def _text(self, value: Mapping[Any, Value], name: str) -> str | None:
        if name not in value:
            return None
        if type(value[name]) is not str:
            raise fault(f"Invalid type. Expected: string, given: {name}")
        told: str = value[name]
        return told

    def _mapping(self, value: Mapping[Any, Value], name: str, expected: str) -> dict[Any, Value]:
        found = value.get(name, {})
        if type(found) is not dict:
            raise fault(f"Invalid type. Expected: {expected}, given: {name}")
        return found

    def _array(self, value: Mapping[Any, Value], name: str) -> list[Value]:
        found = value.get(name, [])
        if type(found) is not list:
            raise fault(f"{name} must be of an array")
        return found

    def _read_types(self, value: Mapping[Any, Value], found: Schema) -> None:
        if "type" not in value:
            return
        told = value["type"]
        listed = told if type(told) is list else [told]
        for each in listed:
            if type(each) is not str:
                raise fault("Invalid type. Expected: type, given: string/Array Of Strings")
            if each not in _TYPES:
                valid = " ".join(_TYPES)
                raise fault(
                    f"has a primitive type that is NOT VALID -- given: /{each}/ Expected valid values are:[{valid}]"
                )
            if each in found.types:
                raise fault(f"{each} type is duplicated")
            found.types.append(each)

    def _read_parts(self, value: Mapping[Any, Value], base: str, found: Schema) -> None:
        properties = value.get("properties", {})
        if type(properties) is not dict:
            raise fault("Properties must be of type object")
        found.properties = {name: self.schema(each, base) for name, each in properties.items()}
        self._read_additional(value, base, found, "additionalProperties")
        for pattern, each in self._mapping(value, "patternProperties", "Valid Schema").items():
            try:
                compiled = expression(self.context, pattern)
            except BuiltinError:
                raise fault(f"Invalid regex pattern '{pattern}'") from None
            found.patterns[pattern] = (compiled, self.schema(each, base))
        dependencies = value.get("dependencies", {})
        if type(dependencies) is not dict:
            raise fault("dependencies must be of type object")
        for name, each in dependencies.items():
            if type(each) is list and all(type(one) is str for one in each):
                found.dependencies[name] = each
            elif type(each) is bool or type(each) is dict:
                found.dependencies[name] = self.schema(each, base)
            else:
                raise fault("Dependency must be of type Schema Or Array Of Strings")

    def _read_additional(self, value: Mapping[Any, Value], base: str, found: Schema, name: str) -> None:
        told = value.get(name)
        if type(told) is bool:
            found.additional[name] = told
        elif type(told) is dict:
            found.additional[name] = self.schema(told, base)
        elif name in value:
            raise fault(f"Invalid type. Expected: boolean/Valid Schema, given: {name}")

    def _read_items(self, value: Mapping[Any, Value], base: str, found: Schema) -> None:
        told = value.get("items", [])
        listed = told if type(told) is list else [told]
        if not all(type(each) is bool or type(each) is dict for each in listed):
            raise fault("Invalid type. Expected: Valid Schema/Array Of Schemas, given: items")
        schemas = [self.schema(each, base) for each in listed]
        found.items = schemas if type(told) is list else schemas[0]
        self._read_additional(value, base, found, "additionalItems")

    def _number(self, value: Value) -> Fraction | None:
        return exact(value) if type(value) is int or type(value) is float else None

    def _read_numbers(self, value: Mapping[Any, Value], found: Schema) -> None:
        if "multipleOf" in value:
            multiple = self._number(value["multipleOf"])
            if multiple is None:
                raise fault("Invalid type. Expected: Number, given: multipleOf")
            if multiple <= 0:
                raise fault("multipleOf must be strictly greater than 0")
            found.numbers["multipleOf"] = multiple
        for name, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if name in value:
                limit = self._number(value[name])
                if limit is None:
                    raise fault(f"{name} must be of a Number")
                found.numbers[name] = limit
            if exclusive in value:
                self._read_exclusive(value[exclusive], name, exclusive, found)

    def _read_exclusive(self, told: Value, name: str, exclusive: str, found: Schema) -> None:
        """Read an exclusive limit: a number, or in draft 4 whether the other limit is one."""
        number = self._number(told)
        if type(told) is bool and self.draft in {4, _HYBRID}:
            if name not in found.numbers:
                raise fault(f"{exclusive} cannot be used without {name}")
            if told:
                found.numbers[exclusive] = found.numbers.pop(name)
        elif number is not None and self.draft != 4:
            found.numbers[exclusive] = number
        else:
            expected = {4: "boolean", _HYBRID: "boolean/number"}.get(self.draft, "number")
            raise fault(f"Invalid type. Expected: {expected}, given: {exclusive}")

    def _read_sizes(self, value: Mapping[Any, Value], found: Schema) -> None:
        for pair in _LENGTHS:
            for name in pair:
                if name in value:
                    size = self._number(value[name])
                    if size is None or size.denominator != 1:
                        raise fault(f"{name} must be of an integer")
                    if size < 0:
                        raise fault(f"{name} must be greater than or equal to 0")
                    found.sizes[name] = size.numerator
            least, most = (found.sizes.get(name) for name in pair)
            if pair[0] != "minItems" and least is not None and most is not None and least > most:
                raise fault(f"{pair[0]} cannot be greater than {pair[1]}")
        for each in self._array(value, "required"):
            if type(each) is not str:
                raise fault("Invalid type. Expected: string, given: required")
            if each in found.required:
                raise fault("required items must be unique")
            found.required.append(each)
        unique = value.get("uniqueItems", False)
        if type(unique) is not bool:
            raise fault("uniqueItems must be of a boolean")
        found.unique = unique

    def _read_texts(self, value: Mapping[Any, Value], found: Schema) -> None:
        pattern = self._text(value, "pattern")
        if pattern is not None:
            try:
                found.pattern = (pattern, expression(self.context, pattern))
            except BuiltinError:
                raise fault("pattern must be a valid regex") from None
        found.format = self._text(value, "format") or ""

    def _read_choices(self, value: Mapping[Any, Value], found: Schema) -> None:
        if "const" in value and self.draft != 4:
            found.constant = canonical(self.context, value["const"])
        if "enum" in value:
            found.choices = [canonical(self.context, each) for each in self._array(value, "enum")]
            if len(set(found.choices)) != len(found.choices):
                raise fault("enum items must be unique")


def canonical(context: Context, value: Value) -> str:
    """Return the one JSON text that equal values have."""
    return json_text(context, _settled(value))


def _settled(value: Value) -> Value:
    """Return a value with whole numbers as integers."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is list:
        return [_settled(each) for each in value]
    if type(value) is dict:
        return {name: _settled(each) for name, each in value.items()}
    return value


def read_schema(context: Context, document: Value) -> Schema:
    """Return the schema that a JSON document says. Raises BuiltinError if it is none."""
    return _Reader(context, document).read()
