"""Writes the statements that look: members and elements, lengths, types, and whether two values are equal."""

import ast

from authorizer.policy.plan import nodes
from authorizer.policy.plan.form import Local, Statement
from authorizer.policy.plan.running import base, dot, length
from authorizer.policy.plan.terms import PYTHON, Term, constant
from authorizer.policy.plan.values import UNDEFINED, equal
from authorizer.policy.plan.writing import Writer

_KINDS = {"IsArray": "array", "IsObject": "object", "IsSet": "set"}
_SCALARS = frozenset({"string", "number", "boolean", "null"})


def member(writer: Writer, statement: Statement) -> bool:
    """``target = source[key]``."""
    if not writer.require_defined(statement.operands[1]):
        return False
    source, name = (writer.term(operand) for operand in statement.operands)
    if source.known and name.known:
        found = (base if source.base else dot)(source.value, name.value)
        if found is UNDEFINED:
            return writer.fail()
        writer.define(statement.target, constant(found, base=source.base))
        return True
    if source.kind in _SCALARS:
        return writer.fail()
    steady = name.known and type(name.value) is str and source.fresh and not source.made
    seen = writer.members.get((source.name, name.value)) if steady else None
    if seen is not None:
        writer.define(statement.target, seen)
        return True
    term = writer.store(statement.target, _dot(writer, source, name), defined=False)
    writer.require(nodes.is_defined(writer.code(term)))
    writer.refine(Local(statement.target), defined=True, base=source.base)
    if steady and term.fresh:
        writer.members[source.name, name.value] = writer.local(statement.target)
    return True


def _dot(writer: Writer, source: Term, name: Term) -> ast.expr:
    """Return the look-up, with what is usual in line: a string in an object."""
    at, index = writer.code(source), writer.code(name)
    slow = nodes.call("base" if source.base else "dot", at, index)
    if source.kind and source.kind != "object":
        return slow
    if name.kind and name.kind != "string":
        return slow
    if name.known and not source.known:
        fast = nodes.choice(nodes.contains(index, at), nodes.item(at, index), nodes.name("U"))
    else:
        fast = nodes.method(at, "get", index, nodes.name("U"))
    tests = [] if source.kind == "object" else [nodes.type_is(at, "dict")]
    if name.kind != "string":
        tests.append(nodes.type_is(index, "str"))
    return nodes.choice(nodes.both(*tests), fast, slow) if tests else fast


def measure(writer: Writer, statement: Statement) -> bool:
    """``target = the length of source``."""
    source = writer.term(statement.operands[0])
    if source.known:
        found = length(source.value)
        if found is UNDEFINED:
            return writer.fail()
        writer.define(statement.target, constant(found))
        return True
    if source.kind in PYTHON:
        writer.store(statement.target, nodes.call("len", writer.code(source)), "number")
        return True
    term = writer.store(statement.target, nodes.call("length", writer.code(source)), "number", defined=False)
    writer.require(nodes.is_defined(writer.code(term)))
    writer.refine(Local(statement.target), defined=True)
    return True


def is_kind(writer: Writer, statement: Statement) -> bool:
    """Require a collection of one kind."""
    kind = _KINDS[statement.kind]
    term = writer.term(statement.operands[0])
    if term.kind or term.value is UNDEFINED:
        return term.kind == kind or writer.fail()
    writer.require(nodes.type_is(writer.code(term), PYTHON[kind]))
    writer.refine(statement.operands[0], kind=kind, defined=True)
    return True


def is_defined(writer: Writer, statement: Statement) -> bool:
    """Require a value."""
    return writer.require_defined(*statement.operands)


def is_undefined(writer: Writer, statement: Statement) -> bool:
    """Require that there is none."""
    term = writer.term(statement.operands[0])
    if term.value is UNDEFINED:
        return True
    if term.defined:
        return writer.fail()
    writer.require(nodes.is_(writer.code(term), nodes.name("U")))
    writer.refine(statement.operands[0], value=UNDEFINED)
    return True


def compare(writer: Writer, statement: Statement) -> bool:
    """Require that two values are equal, or that they are not."""
    wanted = statement.kind == "Equal"
    a, b = (writer.term(operand) for operand in statement.operands)
    if a.value is UNDEFINED or b.value is UNDEFINED:
        return writer.fail()
    if a.known and b.known:
        return equal(a.value, b.value) == wanted or writer.fail()
    if a.kind and b.kind and a.kind != b.kind:
        test: ast.expr | None = None
        if wanted:
            return writer.fail()
    else:
        test = equality(writer, a, b)
    # Where only equality is asked for, an undefined value is equal to no constant.
    unsure = [t for t in (a, b) if not t.defined] if not wanted or not (a.known or b.known) else []
    tests = [nodes.is_defined(writer.code(term)) for term in unsure]
    if test is not None:
        tests.append(test if wanted else nodes.negated(test))
    if tests:
        writer.require(nodes.both(*tests))
    for operand in statement.operands:
        if type(operand) is Local:
            writer.refine(operand, defined=True)
    return True


def equality(writer: Writer, a: Term, b: Term) -> ast.expr:
    """Return the shortest test that says whether two terms are equal."""
    if a.known:
        a, b = b, a
    left, right = writer.code(a), writer.code(b)
    if b.known:
        value = b.value
        if value is None or type(value) is bool:
            return nodes.is_(left, right)
        if type(value) is str or (b.kind == "number" and (a.kind == "number" or value not in (0, 1))):
            return nodes.equals(left, right)
        if b.kind == "number":
            return nodes.both(nodes.equals(left, right), nodes.negated(nodes.type_is(left, "bool")))
        return nodes.call("equal", left, right)
    if "string" in (a.kind, b.kind) or (a.kind == b.kind == "number"):
        return nodes.equals(left, right)
    return nodes.choice(nodes.type_is(left, "str"), nodes.equals(left, right), nodes.call("equal", left, right))
