"""The types of values: telling them apart, and the casts of old policies, which only check."""

from collections.abc import Callable, Mapping
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, contextual, deep, elements, plain, wrong_type
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import Set, Value, set_of, type_name


def _is(*kinds: type) -> Callable[[Value], bool]:
    return lambda value: type(value) in kinds


def _cast(kind: type, name: str) -> Callable[[Value], Value]:
    def check(value: Value) -> Value:
        if type(value) is kind:
            return value
        raise wrong_type(1, value, name)

    return check


def _to_set(context: Context, value: Value) -> Set:
    if type(value) is Set:
        return value
    deep(context, value)
    return set_of(elements(value, 1))


BUILTINS: Final[Mapping[str, Builtin]] = {
    "cast_array": plain(lambda value: elements(value, 1)),
    "cast_boolean": plain(_cast(bool, "boolean")),
    "cast_null": plain(_cast(type(None), "null")),
    "cast_object": plain(_cast(dict, "object")),
    "cast_set": contextual(_to_set),
    "cast_string": plain(_cast(str, "string")),
    "is_array": plain(_is(list)),
    "is_boolean": plain(_is(bool)),
    "is_null": plain(_is(type(None))),
    "is_number": plain(_is(int, float)),
    "is_object": plain(_is(dict)),
    "is_set": plain(_is(Set)),
    "is_string": plain(_is(str)),
    "type_name": plain(type_name),
}
