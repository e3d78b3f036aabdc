"""Writes calls: of the plan's functions, by name or by a path known only when it runs, and of builtin functions."""

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from authorizer.errors import PlanError
from authorizer.policy.plan import nodes
from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.plan.context import BudgetError
from authorizer.policy.plan.form import DATA, Block, Literally, Local, Operand, Statement
from authorizer.policy.plan.inlining import INLINE, LENIENT
from authorizer.policy.plan.terms import Term, constant
from authorizer.policy.plan.units import CHARGED, Unit, Variant
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, Value
from authorizer.policy.plan.writing import Writer, when

_REMEMBERED: Final = frozenset({"io.jwt.decode"})
"""Functions of one text that cost much and depend on nothing else: a client sends the same token many times."""
_MOST_REMEMBERED: Final = 1_000
_BUILTIN: Final = 12
"""The cost of a builtin function beside what it charges for."""


class Known(Struct, frozen=True):
    """The value of a function that is constant."""

    value: Any


def call(writer: Writer, unit: Unit, statement: Statement, rest: Block) -> bool:
    """``target = function(operands)``; ``rest`` are the statements that follow."""
    if statement.function not in unit.plan.functions:
        return _builtin(writer, unit, statement, rest)
    if not writer.require_defined(*statement.operands[DATA + 1 :]):
        return False
    variant = statement.function, _is_bound(writer, unit, statement.operands)
    if variant not in unit.written:
        raise PlanError("AZ350", f"{statement.function} is called with data that are none")
    written = unit.written[variant]
    writer.cost += min(written.cost, CHARGED)
    if written.constant is UNDEFINED:
        return writer.fail()
    if isinstance(written.constant, Known):
        writer.define(statement.target, constant(written.constant.value))
        return True
    calling = nodes.call(written.name, *_arguments(writer, statement.operands, bound=variant[1]))
    known = (f"{writer.memo}[{written.slot}]", ())
    if written.slot and known in writer.members:
        writer.define(statement.target, writer.members[known])
        return True
    if written.slot:
        memory, place = nodes.name(writer.memo), nodes.literal(written.slot)
        term = writer.store(statement.target, nodes.item(memory, place))
        first = when(nodes.is_(nodes.name(term.name), nodes.name("E")))
        writer.emit(first)
        out, writer.out = writer.out, first.body
        writer.emit(nodes.assign(term.name, calling))
        writer.emit(nodes.assign_item(memory, place, nodes.name(term.name)))
        writer.out = out
    else:
        term = writer.store(statement.target, calling)
    going = _answered(writer, statement.target, term, rest, "boolean" if written.answers is not None else "")
    answer = writer.local(statement.target)
    if written.slot and term.fresh and answer.name == term.name:
        writer.members[known] = answer
    return going


def _answered(writer: Writer, target: int, term: Term, rest: Block, kind: str) -> bool:
    """Require an answer, unless the next statement is a test that undefined would not pass either."""
    asked = rest and rest[0].kind == "NotEqual" and set(rest[0].operands) == {Local(target), Literally(False)}
    if kind == "boolean" and asked and writer.reads[target] == 1:
        # Of true, false and undefined only true goes on.
        found = writer.take(Local(target))
        writer.require(nodes.is_(writer.code(term) if found is None else found, nodes.literal(True)))
        writer.env[target] = constant(True)
        return True
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
    if not writer.require_defined(*statement.path, *statement.operands[DATA + 1 :]):
        return False
    bound = _is_bound(writer, unit, statement.operands)
    table = {}
    for function in unit.dynamic(statement):
        variant: Variant = function.name, bound
        if variant not in unit.written:
            raise PlanError("AZ350", f"{function.name} is called with data that are none")
        table[function.path] = unit.names[unit.written[variant].name]
        writer.cost += min(unit.written[variant].cost, CHARGED)
    path = nodes.tuple_display([writer.code(writer.term(operand)) for operand in statement.path])
    name = writer.fresh("f")
    writer.emit(nodes.assign(name, nodes.call("dynamic", nodes.name(writer.constants.name(table)), path)))
    writer.require(nodes.is_not(nodes.name(name), nodes.literal(None)))
    calling = nodes.call(name, *_arguments(writer, statement.operands, bound=bound))
    return _answered(writer, statement.target, writer.store(statement.target, calling), (), "")


def _builtin(writer: Writer, unit: Unit, statement: Statement, rest: Block) -> bool:
    builtin = unit.builtin(statement.function)
    if not writer.require_defined(*statement.operands):
        return False
    writer.cost += _BUILTIN
    target = statement.target
    terms = [writer.term(operand) for operand in statement.operands]
    if not builtin.context and all(term.known for term in terms):
        try:
            value = builtin.function(*(term.value for term in terms))
        except BudgetError:
            value = None
        except BuiltinError:
            value = None if unit.strict else UNDEFINED
        else:
            if value is not UNDEFINED:
                writer.define(target, constant(value))
                return True
        if value is UNDEFINED:
            return writer.fail()
    codes = [writer.code(term) for term in terms]
    if builtin.context:
        codes.insert(0, nodes.item(nodes.name("m"), nodes.literal(1)))
    function = _remembering(builtin.function) if statement.function in _REMEMBERED else builtin.function
    calling = nodes.call(writer.constants.name(function), *codes)
    inlining = INLINE.get(statement.function) or (None if unit.strict else LENIENT.get(statement.function))
    inline = inlining(writer, terms, calling) if inlining is not None else None
    if inline is not None:
        term = writer.store(target, inline.code, inline.kind, defined=inline.defined)
        return True if inline.defined else _answered(writer, target, term, rest, inline.kind)
    term = writer.store(target, calling)
    if not unit.strict:
        tried = writer.out.pop()
        writer.emit(nodes.attempt(tried, "BuiltinError", nodes.assign(term.name, nodes.name("U"))))
    return _answered(writer, target, term, rest, _result(statement.function))


def _result(function: str) -> str:
    """Return the type of what a builtin function returns, if it has one type."""
    declared = SIGNATURES[function].result if function in SIGNATURES else None
    kind = declared["type"] if declared else ""
    return "" if kind == "any" else kind


def _remembering(function: Callable[..., Value]) -> Callable[[Any, Value], Value]:
    """Return a function of one operand that remembers its latest answers; errors are not remembered."""
    answers: dict[str, Value] = {}

    def answer(context: Any, value: Value) -> Value:
        known = answers.get(value) if type(value) is str else None
        if known is None:
            known = function(context, value)
            if type(value) is str:
                while len(answers) >= _MOST_REMEMBERED:
                    answers.pop(next(iter(answers), ""), None)
                answers[value] = known
        return known

    return answer
