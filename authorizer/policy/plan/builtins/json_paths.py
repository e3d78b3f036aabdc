"""Parts of JSON documents by path: ``json.filter``, ``json.remove`` and ``json.patch`` (RFC 6902).

A path is a JSON pointer as text, or an array of its steps. A patch copies each container that it goes through.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import Builtin, array, contextual, deep, elements, mapping, wrong_operand
from authorizer.policy.plan.builtins.objects import child
from authorizer.policy.plan.builtins.rendering import MAX_DEPTH
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, Set, Value, equal, key, set_of, type_name

_INDEX = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)

Tree = dict[Any, Any]
"""Paths put together: a step's stored key, and the tree of what follows it; None where a path ends."""


def _path(context: Context, value: Value) -> list[Value]:
    if type(value) is str:
        steps = value.lstrip("/").split("/") if value else []
        found: list[Value] = [step.replace("~1", "/").replace("~0", "~") for step in steps]
    elif type(value) is list:
        found = value
    else:
        why = "must be one of {set, array} containing string paths or array of path segments"
        raise wrong_operand(2, f"{why} but got {type_name(value)}")
    if len(found) > MAX_DEPTH:
        raise BudgetError
    context.budget.charge(2 * len(found) + 12)
    deep(context, *found)
    return found


def _tree(context: Context, value: Value) -> Tree:
    root: Tree = {}
    for one in elements(value, 2, "set", "array"):
        path = _path(context, one)
        node: Tree | None = root
        for step in path[:-1]:
            if node is None:  # a shorter path takes all of it
                break
            node = node.setdefault(key(step), {})
        if path and node is not None:
            node[key(path[-1])] = None
    return root


def _filtered(context: Context, value: Value, tree: Tree | None) -> Value:
    if tree is None:
        return value
    context.budget.charge(4 * len(tree) + 2)
    kind = type(value)
    if kind is list:
        context.budget.charge(len(value))
        numbered = ((str(index), each) for index, each in enumerate(value))
        return [_filtered(context, each, tree[name]) for name, each in numbered if name in tree]
    if kind is Set:
        items = value.items
        deep(context, value)
        return set_of(_filtered(context, items[stored], below) for stored, below in tree.items() if stored in items)
    if kind is dict:
        return {stored: _filtered(context, value[stored], below) for stored, below in tree.items() if stored in value}
    return value


_GONE: Final = object()


def _without(context: Context, value: Value, tree: Tree | None) -> Value:
    """Return what is left of a value without the ends of the paths; ``_GONE`` if it is an end itself."""
    if tree is None:
        return _GONE
    kind = type(value)
    if not tree or kind not in {list, dict, Set}:
        return value
    context.budget.charge(len(value) + 1)
    if kind is dict:
        kept = {stored: _without(context, each, tree.get(stored, {})) for stored, each in value.items()}
        return {stored: each for stored, each in kept.items() if each is not _GONE}
    if kind is Set:
        deep(context, value)
        left = (_without(context, each, tree.get(stored, {})) for stored, each in value.items.items())
        return set_of(each for each in left if each is not _GONE)
    rest = (_without(context, each, tree.get(str(index), {})) for index, each in enumerate(value))
    return [each for each in rest if each is not _GONE]


def _index(step: Value, size: int) -> int:
    """Return the position that a step of a path means in an array; ``-`` is the one behind its end."""
    if type(step) is int or (type(step) is float and step.is_integer()):
        return int(step)
    if type(step) is not str or not (step == "-" or _INDEX.fullmatch(step)):
        raise BuiltinError("invalid step for indexing")
    return size if step == "-" else int(step)


def _replaced(context: Context, value: Value, name: Value, changed: Value) -> Value:
    """Return a copy of a container with the child that ``name`` finds replaced."""
    context.budget.charge(len(value))
    if type(value) is dict:
        return value | {key(name): changed}
    if type(value) is list:
        index = _index(name, len(value))
        return [*value[:index], changed, *value[index + 1 :]]
    deep(context, changed)
    gone = key(name)
    rest = {stored: each for stored, each in value.items.items() if stored != gone}
    return Set(rest | {key(changed): changed})


def _found(value: Value, step: Value) -> Value:
    inner = child(value, _index(step, len(value)) if type(value) is list else step)
    if inner is UNDEFINED:
        raise BuiltinError("path does not exist")
    return inner


def _at(value: Value, path: list[Value]) -> Value:
    for step in path:
        value = _found(value, step)
    return value


def _edited(context: Context, value: Value, path: list[Value], edit: Callable[[Value, Value], Value]) -> Value:
    """Return a copy of ``value`` where ``edit`` changed the container that the path's last step is in."""
    if len(path) == 1:
        if type(value) not in {dict, list, Set}:
            raise BuiltinError("expected composite type")
        context.budget.charge(len(value))
        return edit(value, path[0])
    inner = _found(value, path[0])
    return _replaced(context, value, path[0], _edited(context, inner, path[1:], edit))


def _inserted(context: Context, value: Value, path: list[Value], new: Value) -> Value:
    def insert(within: Value, step: Value) -> Value:
        if type(within) is dict:
            return within | {key(step): new}
        if type(within) is Set:
            deep(context, new)
            if not equal(step, new):
                raise BuiltinError("a set's key does not equal the value to be inserted")
            return Set(within.items | {key(new): new})
        index = _index(step, len(within))
        if not 0 <= index <= len(within):
            raise BuiltinError("index for array insertion out of bounds")
        return [*within[:index], new, *within[index:]]

    return _edited(context, value, path, insert) if path else new


def _deleted(context: Context, value: Value, path: list[Value]) -> Value:
    def delete(within: Value, step: Value) -> Value:
        if type(within) is list:
            index = _index(step, len(within))
            if not 0 <= index < len(within):
                raise BuiltinError("index for array delete out of bounds")
            return within[:index] + within[index + 1 :]
        _found(within, step)
        items = within.items() if type(within) is dict else within.items.items()
        gone = key(step)
        rest = {stored: each for stored, each in items if stored != gone}
        return rest if type(within) is dict else Set(rest)

    return _edited(context, value, path, delete) if path else UNDEFINED


def _member(operation: dict[Any, Value], name: str) -> Value:
    if name not in operation:
        raise BuiltinError(f"missing required attribute '{name}'")
    return operation[name]


def _patch(context: Context, value: Value, operations: Value) -> Value:
    for operation in array(operations, 2):
        if type(operation) is not dict:
            raise BuiltinError("must be an array of JSON-Patch objects")
        where, kind = _member(operation, "path"), _member(operation, "op")
        path = _path(context, where)
        match kind:
            case "add":
                value = _inserted(context, value, path, _member(operation, "value"))
            case "remove":
                value = _deleted(context, value, path)
            case "replace":
                value = _inserted(context, _deleted(context, value, path), path, _member(operation, "value"))
            case "move":
                source = _path(context, _member(operation, "from"))
                value = _inserted(context, _deleted(context, value, source), path, _at(value, source))
            case "copy":
                value = _inserted(context, value, path, _at(value, _path(context, _member(operation, "from"))))
            case "test":
                wanted = _member(operation, "value")
                deep(context, wanted)
                if not equal(_at(value, path), wanted):
                    raise BuiltinError("the value differs from that of the test")
            case _:
                raise BuiltinError("unrecognized op")
    return value


def _filter(context: Context, value: Value, paths: Value) -> Value:
    found = mapping(value, 1)
    return _filtered(context, found, _tree(context, paths))


def _remove(context: Context, value: Value, paths: Value) -> Value:
    found = mapping(value, 1)
    return _without(context, found, _tree(context, paths))


BUILTINS: Final[Mapping[str, Builtin]] = {
    "json.filter": contextual(_filter),
    "json.patch": contextual(_patch),
    "json.remove": contextual(_remove),
}
