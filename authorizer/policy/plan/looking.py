"""Writes the statements that look: members and elements, lengths, types, and whether two values are equal."""

import ast
from collections.abc import Mapping, Sequence

from authorizer.policy.plan import nodes
from authorizer.policy.plan.form import INPUT, Block, Local, Statement
from authorizer.policy.plan.paths import Path, path_of
from authorizer.policy.plan.running import base, dot, length
from authorizer.policy.plan.terms import PYTHON, Term, constant
from authorizer.policy.plan.units import Unit
from authorizer.policy.plan.values import UNDEFINED, equal
from authorizer.policy.plan.writing import UNDEFINED_TERM, Writer, when

_KINDS = {"IsArray": "array", "IsObject": "object", "IsSet": "set"}
_SCALARS = frozenset({"string", "number", "boolean", "null"})


def member(writer: Writer, unit: Unit, statement: Statement, rest: Block) -> bool:
    """``target = source[key]``; ``rest`` are the statements that follow."""
    del unit
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
    if name.known and type(name.value) is int and 0 <= name.value < writer.sizes.get(source.name, 0):
        if writer.reads[statement.target]:
            writer.store(statement.target, nodes.item(writer.code(source), writer.code(name)))
        return True
    term = writer.store(statement.target, _dot(writer, source, name), defined=False)
    if source.base:
        writer.refine(Local(statement.target), base=True)
    return _found(writer, statement.target, term, rest)


def members(writer: Writer, unit: Unit, found: Sequence[Statement], rest: Block) -> bool:
    """Look up constant keys one after the other; ``found`` are the statements, ``rest`` those that follow."""
    path, target = path_of(found), found[-1].target
    source = writer.term(found[0].operands[0])
    while source.known and path:
        source, path = _known_member(source, path[0]), path[1:]
        if source.value is UNDEFINED:
            return writer.fail()
    if not path:
        writer.define(target, source)
        return True
    if source.kind in _SCALARS:
        return writer.fail()
    steady = source.fresh and not source.made and not source.known
    seen = writer.members.get((source.name, path)) if steady else None
    if seen is not None:
        writer.define(target, seen)
        return True
    slots = unit.paths if found[0].operands[0] == Local(INPUT) and not source.known else {}
    term = writer.store(target, _path(writer, source, path, slots), defined=False)
    if source.base:
        writer.refine(Local(target), base=True)
    if not _found(writer, target, term, rest):
        return False
    if steady and term.fresh and writer.local(target).defined:
        writer.members[source.name, path] = writer.local(target)
    return True


def _known_member(source: Term, name: str) -> Term:
    found = dot(source.value, name)
    return UNDEFINED_TERM if found is UNDEFINED else constant(found, base=source.base)


def _path(writer: Writer, source: Term, path: Path, slots: Mapping[Path, int]) -> ast.expr:
    """Write the look-ups of a path but for the last, which is returned. What is undefined stays so on the way."""
    if path in slots:
        name, place = writer.fresh("p"), nodes.literal(slots[path])
        memory = nodes.name(writer.memo)
        writer.emit(nodes.assign(name, nodes.item(memory, place)))
        first = when(nodes.is_(nodes.name(name), nodes.name("E")))
        writer.emit(first)
        out, writer.out = writer.out, first.body
        writer.emit(nodes.assign(name, _step(writer, source, path, slots)))
        writer.emit(nodes.assign_item(memory, place, nodes.name(name)))
        writer.out = out
        return nodes.name(name)
    return _step(writer, source, path, slots)


def _step(writer: Writer, source: Term, path: Path, slots: Mapping[Path, int]) -> ast.expr:
    if len(path) > 1:
        before = _path(writer, source, path[:-1], slots)
        if isinstance(before, ast.Name):
            source = Term(before.id, base=source.base)
        else:
            name = writer.fresh("p")
            writer.emit(nodes.assign(name, before))
            source = Term(name, base=source.base)
    return _dot(writer, source, constant(path[-1]))


def _found(writer: Writer, target: int, term: Term, rest: Block) -> bool:
    """Require that something was found, unless the next statement is a test that undefined would not pass either."""
    if rest and rest[0].kind == "Equal" and Local(target) in rest[0].operands and writer.reads[target] == 1:
        other = writer.term(rest[0].operands[1 if rest[0].operands[0] == Local(target) else 0])
        if other.known and other.value is not UNDEFINED:
            return True
    writer.require(nodes.is_defined(writer.code(term)))
    writer.refine(Local(target), defined=True)
    return True


def _dot(writer: Writer, source: Term, name: Term) -> ast.expr:
    """Return the look-up, with what is usual in line: a string in an object."""
    at, index = writer.code(source), writer.code(name)
    charged = [] if name.known or name.kind in _SCALARS else [nodes.budget()]
    slow = nodes.call("base" if source.base else "dot", at, index, *charged)
    if name.known and type(name.value) is int and name.value >= 0 and source.kind in ("", "array") and not source.base:
        inside = nodes.compare(nodes.call("len", at), ast.Gt(), index)
        fast = nodes.choice(inside, nodes.item(at, index), nodes.name("U"))
        return fast if source.kind else nodes.choice(nodes.type_is(at, "list"), fast, slow)
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
        if source.kind == "array" and source.fresh and not source.made:
            writer.refine(Local(statement.target), measures=source.name)
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
        test = _test(writer, statement, a, b)
    # Where only equality is asked for, an undefined value is equal to no constant.
    unsure = [t for t in (a, b) if not t.defined] if not wanted or not (a.known or b.known) else []
    tests = [nodes.is_defined(writer.code(term)) for term in unsure]
    if test is not None:
        tests.append(test if wanted else nodes.negated(test))
    if tests:
        writer.require(nodes.both(*tests))
    for operand, term, other in zip(statement.operands, (a, b), (b, a), strict=True):
        if type(operand) is Local and not term.defined:
            writer.refine(operand, defined=True)
        if wanted and term.measures and type(other.value) is int:
            writer.sizes[term.measures] = other.value
    return True


def _test(writer: Writer, statement: Statement, a: Term, b: Term) -> ast.expr:
    """Return the test of equality; what was assigned only for it is written into it."""
    if a.known or b.known:
        at = 1 if a.known else 0
        term = b if a.known else a
        value = a.value if a.known else b.value
        truth = term.kind == "boolean" and term.defined
        if type(value) is str or (type(value) is bool and (truth or statement.kind == "Equal")):
            found = writer.take(statement.operands[at])
            if found is not None:
                code = nodes.literal(value)
                if type(value) is str:
                    return nodes.equals(found, code)
                if truth:
                    return found if value else nodes.negated(found)
                return nodes.is_(found, code)
    return equality(writer, a, b)


def equality(writer: Writer, a: Term, b: Term) -> ast.expr:
    """Return the shortest test that says whether two terms are equal."""
    if a.known:
        a, b = b, a
    if a.known and UNDEFINED not in (a.value, b.value):
        return nodes.literal(equal(a.value, b.value))
    left, right = writer.code(a), writer.code(b)
    if b.known:
        value = b.value
        if value is None or type(value) is bool:
            return nodes.is_(left, right)
        if type(value) is str or (b.kind == "number" and (a.kind == "number" or value not in (0, 1))):
            return nodes.equals(left, right)
        if b.kind == "number":
            return nodes.both(nodes.equals(left, right), nodes.negated(nodes.type_is(left, "bool")))
        return nodes.call("same", left, right, nodes.budget())
    if "string" in (a.kind, b.kind) or (a.kind == b.kind == "number"):
        return nodes.equals(left, right)
    return nodes.choice(
        nodes.type_is(left, "str"), nodes.equals(left, right), nodes.call("same", left, right, nodes.budget())
    )
