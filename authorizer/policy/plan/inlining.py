"""Builtin functions that are written in line where the types of their operands allow it.

Each gives the expression, the type of the result, and whether it always has one; or None where a call is as good. What
is usual is in line; for the rest the expression calls the builtin. INVARIANT: nothing here raises BuiltinError.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from authorizer.policy.plan import nodes
from authorizer.policy.plan.looking import equality
from authorizer.policy.plan.terms import PYTHON, Term
from authorizer.policy.plan.writing import Writer


class Inline(Struct, frozen=True):
    """An expression, the Rego type of its value, and whether it is never undefined."""

    code: ast.expr
    kind: str
    defined: bool = True


_Inlining = Callable[[Writer, Sequence[Term], ast.expr], Inline | None]

_LINEAR: Final = 64
"""Elements up to which membership in an array costs no more than a step."""


def _equal(writer: Writer, terms: Sequence[Term], slow: ast.expr) -> Inline:
    del slow
    return Inline(equality(writer, *terms), "boolean")


def _unequal(writer: Writer, terms: Sequence[Term], slow: ast.expr) -> Inline:
    del slow
    return Inline(nodes.negated(equality(writer, *terms)), "boolean")


def _ordering(operator: type[ast.cmpop]) -> _Inlining:
    def inline(writer: Writer, terms: Sequence[Term], slow: ast.expr) -> Inline:
        codes = [writer.code(term) for term in terms]
        fast = nodes.compare(codes[0], operator(), codes[1])
        tests = [nodes.type_is(code, "int") for code, term in zip(codes, terms, strict=True) if term.kind != "number"]
        return Inline(nodes.choice(nodes.both(*tests), fast, slow) if tests else fast, "boolean")

    return inline


def _count(writer: Writer, terms: Sequence[Term], slow: ast.expr) -> Inline:
    del slow
    code = writer.code(terms[0])
    if terms[0].kind in PYTHON:
        return Inline(nodes.call("len", code), "number")
    fast = nodes.choice(nodes.type_is(code, "list"), nodes.call("len", code), nodes.call("length", code))
    return Inline(fast, "number", defined=False)


def _affix(method: str) -> _Inlining:
    def inline(writer: Writer, terms: Sequence[Term], slow: ast.expr) -> Inline | None:
        del slow
        codes = [writer.code(term) for term in terms]
        fast = nodes.method(codes[0], method, codes[1])
        unsure = [code for code, term in zip(codes, terms, strict=True) if term.kind != "string"]
        if not unsure:
            return Inline(fast, "boolean")
        tests = [nodes.type_is(code, "str") for code in unsure]
        return Inline(nodes.choice(nodes.both(*tests), fast, nodes.name("U")), "boolean", defined=False)

    return inline


def _member(writer: Writer, terms: Sequence[Term], slow: ast.expr) -> Inline | None:
    value, within = (writer.code(term) for term in terms)
    kind = terms[1].kind
    stored = writer.key_code(terms[0])
    in_set = nodes.contains(stored, nodes.member(within, "items"))
    if kind == "set":
        return Inline(in_set, "boolean")
    if kind and kind != "array":
        return None
    short = nodes.compare(nodes.call("len", within), ast.Lt(), nodes.literal(_LINEAR))
    tests = [] if kind else [nodes.type_is(within, "list")]
    if terms[0].kind != "string":
        tests.append(nodes.type_is(value, "str"))
    fast = nodes.choice(nodes.both(*tests, short), nodes.contains(value, within), slow)
    return Inline(fast if kind else nodes.choice(nodes.type_is(within, "Set"), in_set, fast), "boolean")


INLINE: Final[Mapping[str, _Inlining]] = {
    "equal": _equal,
    "eq": _equal,
    "gt": _ordering(ast.Gt),
    "gte": _ordering(ast.GtE),
    "internal.member_2": _member,
    "lt": _ordering(ast.Lt),
    "lte": _ordering(ast.LtE),
    "neq": _unequal,
}
LENIENT: Final[Mapping[str, _Inlining]] = {
    "count": _count,
    "endswith": _affix("endswith"),
    "startswith": _affix("startswith"),
}
"""Those whose errors are undefined, as they are unless the plan is compiled strictly."""
