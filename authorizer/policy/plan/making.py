"""Writes the statements that make values: constants, copies, collections and what is put into them."""

import msgspec

from authorizer.errors import PlanError
from authorizer.policy.plan import nodes
from authorizer.policy.plan.form import Block, Literally, Local, Statement
from authorizer.policy.plan.liveness import CHANGING, defined_by, read_by
from authorizer.policy.plan.simplify import statements
from authorizer.policy.plan.terms import Pending, Term, constant
from authorizer.policy.plan.units import Unit
from authorizer.policy.plan.values import UNDEFINED, equal
from authorizer.policy.plan.writing import MAKING, UNDEFINED_TERM, Writer, when

_KEYED = frozenset({"ObjectInsert", "ObjectInsertOnce"})
_CHECKED = {"ArrayAppend": "append", "ObjectInsert": "insert", "ObjectInsertOnce": "insert_once", "SetAdd": "add"}


def assign(writer: Writer, statement: Statement) -> bool:
    """``target = source``; a constant, or a copy of a local that may be undefined."""
    source = statement.operands[0]
    term = constant(source.value) if type(source) is Literally else writer.term(source)
    # What a rule has bound to a variable is a value like any other.
    writer.define(statement.target, msgspec.structs.replace(term, base=False) if term.base else term)
    return True


def reset(writer: Writer, statement: Statement) -> bool:
    """Make a local undefined again."""
    writer.define(statement.target, UNDEFINED_TERM)
    return True


def assign_once(writer: Writer, statement: Statement) -> bool:
    """``target = source``, where another value assigned before is a conflict."""
    if not writer.require_defined(statement.operands[0]):
        return False
    source = writer.term(statement.operands[0])
    target = writer.local(statement.target)
    if target.value is UNDEFINED:
        writer.define(statement.target, source)
        return True
    if target.known and source.known and equal(target.value, source.value):
        return True
    name = f"l{statement.target}"
    value = writer.code(source)
    if statement.target in writer.copied:
        value = nodes.call("owned", nodes.name("own"), value, nodes.budget())
    if target.name != name:
        writer.emit(nodes.assign(name, writer.code(target)))
    first = when(nodes.is_(nodes.name(name), nodes.name("U")))
    writer.emit(first)
    out, writer.out = writer.out, first.body
    writer.emit(nodes.assign(name, value))
    writer.out = first.orelse
    again = when(nodes.negated(nodes.call("same", nodes.name(name), writer.code(source), nodes.budget())))
    writer.emit(again)
    writer.out = again.body
    writer.emit(nodes.expression(nodes.call("conflict")))
    writer.out = out
    writer.env[statement.target] = Term(name, fresh=False)
    return True


def make(writer: Writer, unit: Unit, statement: Statement, rest: Block) -> bool:
    """Make an empty collection; ``rest`` are the statements of the block that follow."""
    del unit
    kind = MAKING[statement.kind]
    if statement.target not in writer.shared and _is_filled_at_once(statement.target, rest):
        writer.env[statement.target] = Pending(kind)
        return True
    empty = nodes.array_display(()) if kind == "array" else nodes.object_display(())
    writer.store(statement.target, nodes.call("Set", empty) if kind == "set" else empty, kind, made=True)
    return True


def _is_filled_at_once(local: int, rest: Block) -> bool:
    """Tell whether all that is put into a new collection is put in before anything else can see it."""
    seen = False
    for statement in rest:
        if statement.kind in CHANGING and statement.target == local:
            if seen or statement.kind == "ObjectInsertOnce" or Local(local) in statement.operands:
                return False
        elif local in set(read_by(statement)):
            seen = True
        elif local in defined_by(statement):
            return True
        if statement.blocks:
            seen = True
            if any(each.kind in CHANGING and each.target == local for each in statements(statement.blocks)):
                return False
    return True


def change(writer: Writer, statement: Statement) -> bool:
    """Put an element or a member into a collection."""
    if not writer.require_defined(*statement.operands):
        return False
    parts = [writer.term(operand) for operand in statement.operands]
    found = writer.env.get(statement.target)
    if type(found) is Pending and found.kind != _kind(statement):
        found = writer.local(statement.target)
    if type(found) is Pending:
        found.parts.append((parts[0], parts[-1]))
        return True
    if not writer.require_defined(Local(statement.target)):
        return False
    target = writer.local(statement.target)
    if any(part.name == target.name for part in parts if part.name):
        raise PlanError("AZ350", "a collection is put into itself")
    code = writer.code(target)
    if statement.kind == "ObjectInsertOnce" or writer.made.get(statement.target) != _kind(statement):
        arguments = [writer.code(part) for part in parts]
        writer.emit(nodes.expression(nodes.call(_CHECKED[statement.kind], code, *arguments, nodes.budget())))
    elif statement.kind == "ArrayAppend":
        writer.emit(nodes.expression(nodes.method(code, "append", writer.code(parts[0]))))
    else:
        items = nodes.member(code, "items") if statement.kind == "SetAdd" else code
        writer.emit(nodes.assign_item(items, writer.key_code(parts[0]), writer.code(parts[-1])))
    return True


def _kind(statement: Statement) -> str:
    return "object" if statement.kind in _KEYED else "array" if statement.kind == "ArrayAppend" else "set"


def merge(writer: Writer, statement: Statement) -> bool:
    """Merge two objects, the second over the first."""
    first, second = (writer.term(operand) for operand in statement.operands)
    if first.value is UNDEFINED:
        return writer.fail()
    writer.store(
        statement.target, nodes.call("merged", writer.code(first), writer.code(second), nodes.budget()), defined=False
    )
    writer.require(nodes.is_defined(writer.code(writer.local(statement.target))))
    writer.refine(Local(statement.target), defined=True)
    return True


def add_result(writer: Writer, statement: Statement) -> bool:
    """Add one answer to the results of the entry point."""
    if not writer.require_defined(statement.operands[0]):
        return False
    value = writer.code(writer.term(statement.operands[0]))
    writer.emit(nodes.expression(nodes.method(nodes.name("rs"), "append", value)))
    return True
