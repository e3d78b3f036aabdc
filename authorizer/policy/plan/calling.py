"""Writes calls: of the plan's functions, by name or by a path known only when it runs, and of builtin functions."""

import ast
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from authorizer.policy.plan import nodes
from authorizer.policy.plan.form import DATA, Local, Operand, Statement
from authorizer.policy.plan.inlining import INLINE
from authorizer.policy.plan.terms import Term, constant
from authorizer.policy.plan.units import CHARGED, Unit, Variant
from authorizer.policy.plan.values import UNDEFINED, BuiltinError
from authorizer.policy.plan.writing import Writer


class Known(Struct, frozen=True):
    """The value of a function that is constant."""

    value: Any


def call(writer: Writer, unit: Unit, statement: Statement) -> bool:
    """``target = function(operands)``."""
    if statement.function not in unit.plan.functions:
        return _builtin(writer, unit, statement)
    variant = statement.function, _is_bound(writer, unit, statement.operands)
    written = unit.written[variant]
    writer.cost += min(written.cost, CHARGED)
    if written.constant is UNDEFINED:
        return writer.fail()
    if isinstance(written.constant, Known):
        writer.define(statement.target, constant(written.constant.value))
        return True
    calling = nodes.call(written.name, *_arguments(writer, statement.operands, bound=variant[1]))
    if written.slot:
        term = writer.store(statement.target, nodes.item(nodes.name(writer.memo), nodes.literal(written.slot)))
        first = nodes.when(nodes.is_(nodes.name(term.name), nodes.name("E")), [])
        writer.emit(first)
        out, writer.out = writer.out, first.body
        writer.emit(nodes.assign(term.name, calling))
        place = nodes.name(writer.memo)
        writer.emit(nodes.assign_item(place, nodes.literal(written.slot), nodes.name(term.name)))
        writer.out = out
    else:
        term = writer.store(statement.target, calling)
    return _answered(writer, statement.target, term)


def _answered(writer: Writer, target: int, term: Term, kind: str = "") -> bool:
    writer.require(nodes.is_defined(writer.code(term)))
    writer.refine(Local(target), defined=True, kind=kind)
    return True


def _is_bound(writer: Writer, unit: Unit, operands: Sequence[Operand]) -> bool:
    return unit.bound and len(operands) > DATA and writer.term(operands[DATA]).value is unit.data


def _arguments(writer: Writer, operands: Sequence[Operand], *, bound: bool) -> list[ast.expr]:
    codes = [writer.code(writer.term(operand)) for operand in operands]
    return [codes[0], *([] if bound else [codes[1]]), nodes.name(writer.memo), *codes[2:]]


def call_dynamic(writer: Writer, unit: Unit, statement: Statement) -> bool:
    """``target = (the function at a path)(operands)``."""
    if not writer.require_defined(*statement.path):
        return False
    bound = _is_bound(writer, unit, statement.operands)
    table = {}
    for function in unit.dynamic(statement):
        variant: Variant = function.name, bound
        table[function.path] = unit.names[unit.written[variant].name]
        writer.cost += min(unit.written[variant].cost, CHARGED)
    path = nodes.tuple_display([writer.code(writer.term(operand)) for operand in statement.path])
    name = writer.fresh("f")
    writer.emit(nodes.assign(name, nodes.call("dynamic", nodes.name(writer.constants.name(table)), path)))
    writer.require(nodes.is_not(nodes.name(name), nodes.literal(None)))
    calling = nodes.call(name, *_arguments(writer, statement.operands, bound=bound))
    return _answered(writer, statement.target, writer.store(statement.target, calling))


def _builtin(writer: Writer, unit: Unit, statement: Statement) -> bool:
    builtin = unit.builtin(statement.function)
    if not writer.require_defined(*statement.operands):
        return False
    writer.cost += 2
    terms = [writer.term(operand) for operand in statement.operands]
    if not builtin.context and all(term.known for term in terms):
        try:
            value = builtin.function(*(term.value for term in terms))
        except BuiltinError:
            value = None if unit.strict else UNDEFINED
        else:
            if value is not UNDEFINED:
                writer.define(statement.target, constant(value))
                return True
        if value is UNDEFINED:
            return writer.fail()
    inline = INLINE.get(statement.function)
    found = inline(writer, terms) if inline is not None else None
    if found is not None:
        code, kind = found
        writer.store(statement.target, code, kind)
        return True
    codes = [writer.code(term) for term in terms]
    if builtin.context:
        codes.insert(0, nodes.item(nodes.name("m"), nodes.literal(1)))
    calling = nodes.call(writer.constants.name(builtin.function), *codes)
    term = writer.store(statement.target, calling)
    if not unit.strict:
        tried = writer.out.pop()
        failed = nodes.assign(term.name, nodes.name("U"))
        writer.emit(nodes.attempt(tried, "BuiltinError", failed))
    return _answered(writer, statement.target, term)
