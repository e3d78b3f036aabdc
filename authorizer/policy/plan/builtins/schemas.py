"""JSON documents compared with JSON schemas; the errors are told as OPA tells them."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import ge, gt, le, lt
from typing import Final

from msgspec import Struct

from authorizer.policy.plan.builtins import regex
from authorizer.policy.plan.builtins.calling import Builtin, as_bytes, contextual, spend
from authorizer.policy.plan.builtins.encoding import measure, read_json
from authorizer.policy.plan.builtins.reals import exact
from authorizer.policy.plan.builtins.schema_formats import FORMATS
from authorizer.policy.plan.builtins.schema_reading import Schema, canonical, read_schema
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value, to_json

_MAX_DEPTH: Final = 100
_ROOT: Final = "(Root)"
_LIMITS: Final[Sequence[tuple[str, str, str, Callable[[Fraction, Fraction], bool]]]] = (
    ("maximum", "number_lte", "Must be less than or equal to", le),
    ("exclusiveMaximum", "number_lt", "Must be less than", lt),
    ("minimum", "number_gte", "Must be greater than or equal to", ge),
    ("exclusiveMinimum", "number_gt", "Must be greater than", gt),
)


class _Error(Struct, frozen=True):
    kind: str
    field: str
    text: str


class _Result(Struct):
    """The errors so far, and how far the value got: of several attempts the one with the highest score is told."""

    errors: list[_Error] = []
    score: int = 0

    def add(self, kind: str, path: Sequence[str], text: str) -> None:
        """Add an error."""
        self.errors.append(_Error(kind, ".".join(path) if path else _ROOT, text))
        self.score -= 2

    def merge(self, other: "_Result") -> None:
        """Add what another result found."""
        self.errors += other.errors
        self.score += other.score


class _Check:
    """One document that is compared with a schema."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.depth = 0

    def attempt(self, schema: Schema, value: Value, path: Sequence[str]) -> _Result:
        """Return what a schema of its own finds."""
        result = _Result()
        self.check(schema, value, path, result)
        return result

    def check(self, schema: Schema, value: Value, path: Sequence[str], result: _Result) -> None:
        """Add to ``result`` what is wrong with a value."""
        self.context.budget.charge(40)
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise BudgetError
        if schema.passes is not None:
            if not schema.passes:
                result.add("false", path, "False always fails validation")
        elif schema.reference is not None:
            self.check(schema.reference, value, path, result)
        else:
            self._check(schema, value, path, result)
        self.depth -= 1

    def _check(self, schema: Schema, value: Value, path: Sequence[str], result: _Result) -> None:
        given = _type(value)
        if schema.types and given not in schema.types and not (given == "integer" and "number" in schema.types):
            expected = "[" * (len(schema.types) > 1) + ",".join(schema.types) + "]" * (len(schema.types) > 1)
            result.add("invalid_type", path, f"Invalid type. Expected: {expected}, given: {given}")
            return
        self._combinations(schema, value, path, result)
        if type(value) is list:
            self._array(schema, value, path, result)
        elif type(value) is dict:
            self._object(schema, value, path, result)
        elif type(value) is int or type(value) is float:
            self._number(schema, value, path, result)
        elif type(value) is str:
            self._text(schema, value, path, result)
        self._common(schema, value, path, result)
        if type(value) is dict:
            for name, each in schema.properties.items():
                if name in value:
                    self.check(each, value[name], (*path, name), result)
        result.score += 1

    def _combinations(self, schema: Schema, value: Value, path: Sequence[str], result: _Result) -> None:
        attempts = [self.attempt(each, value, path) for each in schema.many["anyOf"]]
        if attempts and all(each.errors for each in attempts):
            result.add("number_any_of", path, "Must validate at least one schema (anyOf)")
            result.merge(max(attempts, key=lambda each: each.score))
        attempts = [self.attempt(each, value, path) for each in schema.many["oneOf"]]
        good = sum(not each.errors for each in attempts)
        if attempts and good != 1:
            result.add("number_one_of", path, "Must validate one and only one schema (oneOf)")
            if not good:
                result.merge(max(attempts, key=lambda each: each.score))
        attempts = [self.attempt(each, value, path) for each in schema.many["allOf"]]
        for attempted in attempts:
            result.merge(attempted)
        if any(each.errors for each in attempts):
            result.add("number_all_of", path, "Must validate all the schemas (allOf)")
        if "not" in schema.schemas and not self.attempt(schema.schemas["not"], value, path).errors:
            result.add("number_not", path, "Must not validate the schema (not)")
        for name, dependency in schema.dependencies.items() if type(value) is dict else ():
            if name not in value:
                continue
            if isinstance(dependency, Schema):
                self.check(dependency, value, path, result)
                continue
            for missing in (one for one in dependency if one not in value):
                result.add("missing_dependency", path, f"Has a dependency on {missing}")
        self._conditions(schema, value, path, result)
        result.score += 1

    def _conditions(self, schema: Schema, value: Value, path: Sequence[str], result: _Result) -> None:
        if "if" not in schema.schemas:
            return
        failed = bool(self.attempt(schema.schemas["if"], value, path).errors)
        branch = "else" if failed else "then"
        if branch in schema.schemas:
            found = self.attempt(schema.schemas[branch], value, path)
            if found.errors:
                was = "was not" if failed else "was"
                result.add(f"condition_{branch}", path, f'Must validate "{branch}" as "if" {was} valid')
                result.merge(found)

    def _array(self, schema: Schema, value: list[Value], path: Sequence[str], result: _Result) -> None:
        positional = schema.items if isinstance(schema.items, list) else []
        rest = None if isinstance(schema.items, list) else schema.items
        if positional:
            told = schema.additional.get("additionalItems")
            rest = told if isinstance(told, Schema) else None
            if told is False and len(value) > len(positional):
                result.add("array_no_additional_items", path, "No additional items allowed on array")
        for index, each in enumerate(value):
            one = positional[index] if index < len(positional) else rest
            if one is not None:
                result.merge(self.attempt(one, each, (*path, str(index))))
        least, most = schema.sizes.get("minItems"), schema.sizes.get("maxItems")
        if least is not None and len(value) < least:
            result.add("array_min_items", path, f"Array must have at least {least} items")
        if most is not None and len(value) > most:
            result.add("array_max_items", path, f"Array must have at most {most} items")
        if schema.unique:
            seen: dict[str, int] = {}
            for index, each in enumerate(value):
                text = canonical(self.context, each)
                if text in seen:
                    result.add("unique", path, f"array items[{seen[text]},{index}] must be unique")
                seen[text] = index
        if "contains" in schema.schemas:
            attempts = [
                self.attempt(schema.schemas["contains"], each, (*path, str(index))) for index, each in enumerate(value)
            ]
            if all(each.errors for each in attempts):
                result.add("contains", path, "At least one of the items must match")
                if attempts:
                    result.merge(max(attempts, key=lambda each: each.score))
        result.score += 1

    def _object(self, schema: Schema, value: Mapping[str, Value], path: Sequence[str], result: _Result) -> None:
        least, most = schema.sizes.get("minProperties"), schema.sizes.get("maxProperties")
        if least is not None and len(value) < least:
            result.add("array_min_properties", path, f"Must have at least {least} properties")
        if most is not None and len(value) > most:
            result.add("array_max_properties", path, f"Must have at most {most} properties")
        for name in schema.required:
            if name in value:
                result.score += 1
            else:
                result.add("required", path, f"{name} is required")
        additional = schema.additional.get("additionalProperties", True)
        for name, each in sorted(value.items()):
            matched = False
            for compiled, inner in schema.patterns.values():
                spend(self.context, len(name) + 64)
                if compiled.search(as_bytes(name)) is not None:
                    matched = True
                    result.merge(self.attempt(inner, each, (*path, name)))
            result.score += matched
            if matched or name in schema.properties:
                continue
            if isinstance(additional, Schema):
                result.merge(self.attempt(additional, each, (*path, name)))
            elif not additional:
                text = f"Additional property {name} is not allowed"
                result.add("additional_property_not_allowed", path, text)
        if "propertyNames" in schema.schemas:
            for name in sorted(value):
                found = self.attempt(schema.schemas["propertyNames"], name, path)
                if found.errors:
                    result.add("invalid_property_name", path, f'Property name of "{name}" does not match')
                    result.merge(found)
        result.score += 1

    def _number(self, schema: Schema, value: float, path: Sequence[str], result: _Result) -> None:
        number = exact(value)
        multiple = schema.numbers.get("multipleOf")
        if multiple is not None and (number / multiple).denominator != 1:
            result.add("multiple_of", path, f"Must be a multiple of {_shown(multiple)}")
        for name, kind, text, fits in _LIMITS:
            limit = schema.numbers.get(name)
            if limit is not None and not fits(number, limit):
                result.add(kind, path, f"{text} {_shown(limit)}")
        result.score += 1

    def _text(self, schema: Schema, value: str, path: Sequence[str], result: _Result) -> None:
        least, most = schema.sizes.get("minLength"), schema.sizes.get("maxLength")
        if least is not None and len(value) < least:
            result.add("string_gte", path, f"String length must be greater than or equal to {least}")
        if most is not None and len(value) > most:
            result.add("string_lte", path, f"String length must be less than or equal to {most}")
        if schema.pattern is not None:
            pattern, compiled = schema.pattern
            spend(self.context, len(value) + 64)
            if compiled.search(as_bytes(value)) is None:
                result.add("pattern", path, f"Does not match pattern '{pattern}'")
        result.score += 1

    def _common(self, schema: Schema, value: Value, path: Sequence[str], result: _Result) -> None:
        field = ".".join(path) or _ROOT
        if schema.constant is not None and canonical(self.context, value) != schema.constant:
            result.add("const", path, f"{field} does not match: {schema.constant}")
        if schema.choices is not None and canonical(self.context, value) not in schema.choices:
            result.add("enum", path, f"{field} must be one of the following: {', '.join(schema.choices)}")
        if type(value) is str and schema.format in FORMATS:
            spend(self.context, 16 * len(value))
            if not FORMATS[schema.format](self.context, value):
                result.add("format", path, f"Does not match format '{schema.format}'")
        result.score += 1


def _type(value: Value) -> str:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return "integer"
    names = {type(None): "null", bool: "boolean", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def _shown(number: Fraction) -> str:
    return f"{float(number):.10g}"


def _document(context: Context, value: Value) -> Value:
    if type(value) is str:
        try:
            return read_json(context, value)
        except BuiltinError:
            raise BuiltinError("invalid JSON string") from None
    if type(value) is dict or type(value) is list:
        measure(context, value)
        return to_json(value)
    raise BuiltinError("wrong type, expected string or object")


def _match(context: Context, value: Value, schema: Value) -> list[Value]:
    document = _document(context, value)
    result = _Result()
    try:
        _Check(context).check(read_schema(context, _document(context, schema)), document, (), result)
    except RecursionError:
        raise BudgetError from None
    told = [
        {"error": f"{each.field}: {each.text}", "type": each.kind, "field": each.field, "desc": each.text}
        for each in result.errors
    ]
    return [not told, told]


def _verify(context: Context, schema: Value) -> list[Value]:
    try:
        read_schema(context, _document(context, schema))
    except BuiltinError as problem:
        return [False, f"jsonschema: {problem.message}"]
    except RecursionError:
        raise BudgetError from None
    return [True, None]


_FUNCTIONS: Final[Mapping[str, Builtin]] = {
    "json.match_schema": contextual(_match),
    "json.verify_schema": contextual(_verify),
}
BUILTINS: Final[Mapping[str, Builtin]] = {} if regex.re2 is None else _FUNCTIONS
REFUSED: Final[Mapping[str, str]] = {} if BUILTINS else dict.fromkeys(_FUNCTIONS, regex.MISSING)
