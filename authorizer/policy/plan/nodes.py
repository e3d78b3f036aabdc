"""Makes nodes of Python's syntax tree. Every generated function is put together from these."""

import ast
from collections.abc import Sequence
from typing import Any

_LOAD, _STORE = ast.Load(), ast.Store()


def name(identifier: str) -> ast.expr:
    """Read a variable."""
    return ast.Name(identifier, _LOAD)


def literal(value: Any) -> ast.expr:
    """Write a string, number, boolean or null."""
    return ast.Constant(value)


def assign(identifier: str, value: ast.expr) -> ast.stmt:
    """Make ``identifier = value``."""
    return ast.Assign([ast.Name(identifier, _STORE)], value)


def assign_all(identifiers: Sequence[str], value: ast.expr) -> ast.stmt:
    """Make ``(a, b, ...) = value``."""
    return ast.Assign([ast.Tuple([ast.Name(each, _STORE) for each in identifiers], _STORE)], value)


def assign_item(target: ast.expr, index: ast.expr, value: ast.expr) -> ast.stmt:
    """Make ``target[index] = value``."""
    return ast.Assign([ast.Subscript(target, index, _STORE)], value)


def call(function: str, *arguments: ast.expr) -> ast.expr:
    """Make ``function(arguments)``."""
    return ast.Call(name(function), list(arguments), [])


def method(target: ast.expr, attribute: str, *arguments: ast.expr) -> ast.expr:
    """Make ``target.attribute(arguments)``."""
    return ast.Call(ast.Attribute(target, attribute, _LOAD), list(arguments), [])


def member(target: ast.expr, attribute: str) -> ast.expr:
    """Make ``target.attribute``."""
    return ast.Attribute(target, attribute, _LOAD)


def item(target: ast.expr, index: ast.expr) -> ast.expr:
    """Make ``target[index]``."""
    return ast.Subscript(target, index, _LOAD)


def is_(a: ast.expr, b: ast.expr) -> ast.expr:
    """Make ``a is b``."""
    return ast.Compare(a, [ast.Is()], [b])


def is_not(a: ast.expr, b: ast.expr) -> ast.expr:
    """Make ``a is not b``."""
    return ast.Compare(a, [ast.IsNot()], [b])


def equals(a: ast.expr, b: ast.expr) -> ast.expr:
    """Make ``a == b``."""
    return ast.Compare(a, [ast.Eq()], [b])


def contains(a: ast.expr, b: ast.expr) -> ast.expr:
    """Make ``a in b``."""
    return ast.Compare(a, [ast.In()], [b])


def compare(a: ast.expr, operator: ast.cmpop, b: ast.expr) -> ast.expr:
    """Make ``a operator b``."""
    return ast.Compare(a, [operator], [b])


def type_is(a: ast.expr, kind: str) -> ast.expr:
    """Make ``type(a) is kind``."""
    return is_(call("type", a), name(kind))


def both(*tests: ast.expr) -> ast.expr:
    """Make ``a and b and ...``."""
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), list(tests))


_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def negated(test: ast.expr) -> ast.expr:
    """Make ``not test``; of tests of identity, equality and membership the opposite operator."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and type(test.ops[0]) in _OPPOSITES:
        return ast.Compare(test.left, [_OPPOSITES[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


def choice(test: ast.expr, then: ast.expr, otherwise: ast.expr) -> ast.expr:
    """Make ``then if test else otherwise``."""
    return ast.IfExp(test, then, otherwise)


def is_defined(value: ast.expr) -> ast.expr:
    """Make ``value is not U``."""
    return is_not(value, name("U"))


def budget() -> ast.expr:
    """Read the budget: the first place of the evaluation's memory."""
    return item(name("m"), literal(0))


def when(test: ast.expr, body: list[ast.stmt]) -> ast.If:
    """Make ``if test: body``."""
    return ast.If(test, body, [])


def for_each(target: Sequence[str], source: ast.expr, body: list[ast.stmt]) -> ast.stmt:
    """Make ``for a in source: body`` or ``for a, b in source: body``."""
    names: list[ast.expr] = [ast.Name(each, _STORE) for each in target]
    return ast.For(names[0] if len(names) == 1 else ast.Tuple(names, _STORE), source, body, [])


def once(body: list[ast.stmt]) -> ast.stmt:
    """Make ``while True: body``; the body ends with a break."""
    return ast.While(ast.Constant(value=True), body, [])


def attempt(body: ast.stmt, error: str, otherwise: ast.stmt) -> ast.stmt:
    """Make ``try: body except error: otherwise``."""
    return ast.Try([body], [ast.ExceptHandler(name(error), None, [otherwise])], [], [])


def object_display(pairs: Sequence[tuple[ast.expr, ast.expr]]) -> ast.expr:
    """Make ``{a: b, ...}``."""
    return ast.Dict([a for a, _ in pairs], [b for _, b in pairs])


def array_display(elements: Sequence[ast.expr]) -> ast.expr:
    """Make ``[a, ...]``."""
    return ast.List(list(elements), _LOAD)


def tuple_display(elements: Sequence[ast.expr]) -> ast.expr:
    """Make ``(a, ...)``."""
    return ast.Tuple(list(elements), _LOAD)


def define(identifier: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """Make ``def identifier(parameters): body``."""
    arguments = ast.arguments([], [ast.arg(each) for each in parameters], None, [], [], None, [])
    return ast.FunctionDef(identifier, arguments, body or [ast.Pass()], [])


def expression(value: ast.expr) -> ast.stmt:
    """Evaluate ``value`` for what it does."""
    return ast.Expr(value)
