"""Writes the statements that hold blocks or leave them."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from authorizer.policy.plan import nodes
from authorizer.policy.plan.calling import call, call_dynamic
from authorizer.policy.plan.form import DATA, INPUT, Block, Literally, Statement
from authorizer.policy.plan.liveness import assigned, read_by
from authorizer.policy.plan.looking import compare, is_defined, is_kind, is_undefined, measure, member, members
from authorizer.policy.plan.making import add_result, assign, assign_once, change, make, merge, reset
from authorizer.policy.plan.paths import run
from authorizer.policy.plan.simplify import statements
from authorizer.policy.plan.terms import Term
from authorizer.policy.plan.units import Unit
from authorizer.policy.plan.writing import Writer


def write_blocks(writer: Writer, unit: Unit, blocks: Sequence[Block]) -> None:
    """Write blocks that follow each other."""
    for block in blocks:
        writer.enclosed(block, lambda each: _statements(writer, unit, each), _nothing)


def _nothing() -> None:
    """Do nothing at the end of a block."""


def _statements(writer: Writer, unit: Unit, block: Block) -> bool:
    """Write the statements of a block; False when its end is never reached."""
    at = 0
    while at < len(block):
        statement = block[at]
        writer.place = statement.place if statement.place[1] else writer.place
        kind = statement.kind
        found = run(block, at, writer.reads) if kind == "Dot" else ()
        at += len(found) or 1
        writer.cost += len(found) or 1
        if found:
            going = members(writer, unit, found, block[at:])
        elif kind in _WITH_REST:
            going = _WITH_REST[kind](writer, unit, statement, block[at:])
        elif kind in _WITH_UNIT:
            going = _WITH_UNIT[kind](writer, unit, statement)
        else:
            going = _SIMPLE[kind](writer, statement)
        if not going:
            return False
    return True


def _block(writer: Writer, unit: Unit, statement: Statement) -> bool:
    write_blocks(writer, unit, statement.blocks)
    return True


def _break(writer: Writer, statement: Statement) -> bool:
    target = writer.frames[-1 - statement.levels]
    if target.leave:
        writer.leave(target)
    return False


def _return(writer: Writer, statement: Statement) -> bool:
    writer.emit(ast.Return(writer.code(writer.term(statement.operands[0]))))
    return False


def _not(writer: Writer, unit: Unit, statement: Statement) -> bool:
    flag = writer.fresh("n")
    out, at = writer.out, len(writer.out)
    writer.emit(nodes.assign(flag, nodes.literal(True)))
    block = statement.blocks[0]

    def completed() -> None:
        writer.emit(nodes.assign(flag, nodes.literal(False)))

    writer.enclosed(block, lambda each: _statements(writer, unit, each), completed)
    test = _single_test(out[at + 1 :], flag)
    if test is not None:
        # The block is one test: ask for its opposite.
        del out[at], out[-1]
        writer.require(nodes.negated(test))
    else:
        writer.require(nodes.name(flag))
    return True


def _single_test(written: Sequence[ast.stmt], flag: str) -> ast.expr | None:
    if not written or any(not isinstance(each, ast.Assign | ast.Try) for each in written[:-1]):
        return None
    tests = []
    last = written[-1]
    while isinstance(last, ast.If) and len(last.body) == 1 and not last.orelse:
        tests.append(last.test)
        last = last.body[0]
    if not tests or not isinstance(last, ast.Assign) or not isinstance(last.targets[0], ast.Name):
        return None
    return nodes.both(*tests) if last.targets[0].id == flag else None


def _scan(writer: Writer, unit: Unit, statement: Statement) -> bool:
    source = writer.term(statement.operands[0])
    body = statement.blocks[0]
    writer.settle()
    left = writer.left_by(body)
    writer.synchronise(left)
    inner = list(statements((body,)))
    keyed = statement.key in left or any(statement.key in read_by(each) for each in inner)
    names = [_variable(writer, local, left) for local in (statement.key, statement.target)][0 if keyed else 1 :]
    way = ("items" if keyed else "values") + ("_in_order" if _shows_order(body, inner) else "")
    weight = nodes.literal(1)
    going = nodes.call(way, writer.code(source), nodes.budget(), weight)
    if source.made:
        # It may grow while it is gone through.
        going = nodes.call("list", going)
    saved, cost = writer.place, writer.cost

    def write() -> bool:
        writer.cost = 0
        writer.unknown(left)
        pairs = ((statement.key, names[0]), (statement.target, names[-1])) if keyed else ((statement.target, names[0]),)
        for local, name in pairs:
            writer.env[local] = Term(name, fresh=not name.startswith("l"), made=name.startswith("l"))
        done = _statements(writer, unit, body)
        if done and _is_decided(body, inner, left):
            writer.emit(ast.Break())
        weight.value = max(writer.cost, 1)  # type: ignore[attr-defined]
        return done

    writer.loop(lambda block: nodes.for_each(names, going, block), "continue", left, write, _nothing)
    writer.cost = cost
    writer.place = saved
    return True


def _shows_order(body: Block, inner: Sequence[Statement]) -> bool:
    """Tell whether the order of a loop can be seen: it appends to an array that it did not make itself."""
    own = assigned(body)
    return any(each.kind == "ArrayAppend" and each.target not in own for each in inner)


def _is_decided(body: Block, inner: Sequence[Statement], left: frozenset[int]) -> bool:
    """Tell whether a loop whose body came to its end can end: all that it leaves is one constant, and now it has."""
    last = body[-1] if body else None
    if last is None or last.kind != "AssignVar" or left != {last.target} or type(last.operands[0]) is not Literally:
        return False
    others = (each for each in inner if each is not last)
    return not any(each.target == last.target or each.kind in _LASTING for each in others)


def _variable(writer: Writer, local: int, left: frozenset[int]) -> str:
    return f"l{local}" if local in left or local in writer.shared else writer.fresh()


def _with(writer: Writer, unit: Unit, statement: Statement) -> bool:
    target = statement.target
    value = writer.term(statement.operands[0])
    before, memo, memos = writer.local(target), writer.memo, dict(writer.memos)
    if statement.path:
        path = tuple(each.value for each in statement.path if type(each) is Literally)
        if not writer.require_defined(statement.operands[0]):
            return False
        name = writer.fresh("w")
        where = nodes.name(writer.constants.name(path))
        changed = nodes.call("replaced", writer.code(before), where, writer.code(value), nodes.budget())
        writer.emit(nodes.assign(name, changed))
        writer.env[target] = Term(name, kind="object")
    elif value.known or value.fresh:
        writer.env[target] = value
    else:
        name = writer.fresh("w")
        writer.emit(nodes.assign(name, writer.code(value)))
        writer.env[target] = Term(name, defined=value.defined)
    if any(each.kind in ("Call", "CallDynamic") for each in statements(statement.blocks)):
        _remember(writer)
    writer.frames.append(writer.frames[-1])
    going = _statements(writer, unit, statement.blocks[0])
    writer.frames.pop()
    writer.env[target] = before
    writer.memo, writer.memos = memo, memos
    return going


def _remember(writer: Writer) -> None:
    """Change to the memory of the evaluation with the input and data that hold here."""
    documents = (writer.local(INPUT), writer.local(DATA))
    first, second = (term.name or writer.constants.name(term.value) for term in documents)
    at = first, second
    known = writer.memos.get(at)
    if known is None:
        known = writer.memos[at] = writer.fresh("m")
        writer.emit(nodes.assign(known, nodes.call("fork", nodes.name("m"), nodes.name("E"))))
    writer.memo = known


_LASTING: Final = frozenset(
    {"ArrayAppend", "ObjectInsert", "ObjectInsertOnce", "ResultSetAdd", "ReturnLocal", "SetAdd"}
)
"""Statements that a loop may be run for beside what it assigns."""
_SIMPLE: Final[Mapping[str, Callable[[Writer, Statement], bool]]] = {
    "ArrayAppend": change,
    "AssignVar": assign,
    "AssignVarOnce": assign_once,
    "Break": _break,
    "Constant": assign,
    "Equal": compare,
    "IsArray": is_kind,
    "IsDefined": is_defined,
    "IsObject": is_kind,
    "IsSet": is_kind,
    "IsUndefined": is_undefined,
    "Len": measure,
    "NotEqual": compare,
    "ObjectInsert": change,
    "ObjectInsertOnce": change,
    "ObjectMerge": merge,
    "ResetLocal": reset,
    "ResultSetAdd": add_result,
    "ReturnLocal": _return,
    "SetAdd": change,
}
_WITH_REST: Final[Mapping[str, Callable[[Writer, Unit, Statement, Block], bool]]] = {
    "Call": call,
    "Dot": member,
    "MakeArray": make,
    "MakeObject": make,
    "MakeSet": make,
}
_WITH_UNIT: Final[Mapping[str, Callable[[Writer, Unit, Statement], bool]]] = {
    "Block": _block,
    "CallDynamic": call_dynamic,
    "Not": _not,
    "Scan": _scan,
    "With": _with,
}
