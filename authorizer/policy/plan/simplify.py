"""Rewrites a function before code is made of it: what OPA's planner writes for every rule, in its shortest form."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from authorizer.policy.plan.form import DATA, INPUT, Block, Function, Literally, Local, Operand, Statement
from authorizer.policy.plan.liveness import assigned, defined_by, escaping, exposed, read_by

_ROUNDS: Final = 8


def simplified(function: Function) -> tuple[Block, ...]:
    """Return the blocks of a function in a form that means the same."""
    blocks = tuple(_without_detours(block) for block in function.blocks)
    blocks = _without_unread_copies(_own_names(blocks, function.parameters), function.result)
    return _returning(_joined(blocks, function.result), function.result)


def plain(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks of an entry point in a form that means the same."""
    return _without_unread_copies(_own_names(tuple(_without_detours(block) for block in blocks), (INPUT, DATA)), -1)


def statements(blocks: Sequence[Block]) -> Iterator[Statement]:
    """Yield every statement at any depth."""
    for block in blocks:
        for statement in block:
            yield statement
            yield from statements(statement.blocks)


def _mapped(block: Block, change: Callable[[Statement], Statement | None]) -> Block:
    """Return the block with each statement, innermost first, changed or (None) left out."""
    found = []
    for statement in block:
        inner = tuple(_mapped(each, change) for each in statement.blocks)
        changed = change(msgspec.structs.replace(statement, blocks=inner) if inner else statement)
        if changed is not None:
            found.append(changed)
    return tuple(found)


def _without_detours(block: Block) -> Block:
    """Leave out what a break makes unreachable, and blocks that do nothing but break."""
    found: list[Statement] = []
    for each in block:
        statement = each
        if each.blocks:
            inner = tuple(_without_detours(one) for one in each.blocks)
            if each.kind == "Block":
                inner = tuple(one for one in inner if one and not (one[0].kind == "Break" and one[0].levels == 0))
                if not inner:
                    continue
                first = inner[0][0]
                if first.kind == "Break":
                    statement = msgspec.structs.replace(first, levels=first.levels - 1)
                else:
                    statement = msgspec.structs.replace(each, blocks=inner)
            else:
                statement = msgspec.structs.replace(each, blocks=inner)
        found.append(statement)
        if statement.kind in ("Break", "ReturnLocal"):
            break
    return tuple(found)


def _own_names(blocks: tuple[Block, ...], parameters: Sequence[int]) -> tuple[Block, ...]:
    """Give each block locals of its own, where the planner used the same numbers again."""
    left = escaping(blocks)
    following = max((local for each in statements(blocks) for local in (*read_by(each), *defined_by(each))), default=0)
    found = []
    for block in blocks:
        own = assigned(block) - left.get(id(block), frozenset()) - exposed(block) - frozenset(parameters)
        names = {local: following + 1 + at for at, local in enumerate(sorted(own))}
        following += len(names)
        found.append(_mapped(block, lambda each, names=names: _renamed(each, names)) if names else block)  # type: ignore[misc]
    return tuple(found)


def _renamed(statement: Statement, names: Mapping[int, int]) -> Statement:
    def operand(each: Operand) -> Operand:
        return Local(names.get(each.number, each.number)) if type(each) is Local else each

    return msgspec.structs.replace(
        statement,
        target=names.get(statement.target, statement.target),
        key=names.get(statement.key, statement.key),
        operands=tuple(map(operand, statement.operands)),
        path=tuple(map(operand, statement.path)),
    )


def _without_unread_copies(blocks: tuple[Block, ...], result: int) -> tuple[Block, ...]:
    """Leave out copies and constants that nothing reads."""
    reads = Counter(local for statement in statements(blocks) for local in read_by(statement))
    reads[result] += 1

    def change(statement: Statement) -> Statement | None:
        if statement.kind in ("AssignVar", "Constant") and not reads[statement.target]:
            return None
        return statement

    for _ in range(_ROUNDS):
        before = sum(reads.values())
        blocks = tuple(_mapped(block, change) for block in blocks)
        reads = Counter(local for statement in statements(blocks) for local in read_by(statement))
        reads[result] += 1
        if sum(reads.values()) == before:
            break
    return blocks


def _joined(blocks: tuple[Block, ...], result: int) -> tuple[Block, ...]:
    """Let a rule's body assign the function's result where the planner wrote one block more to copy it there."""
    found: list[Block] = []
    for block in blocks:
        body = found[-1] if found else ()
        local = _copied(block, result)
        if local is not None and body and body[0].kind == "ResetLocal" and body[0].target == local:
            rest = body[1:]
            if all(_is_assignment(each, local) for each in statements((rest,)) if _mentions(each, local)):
                found[-1] = _mapped(rest, lambda each, local=local: _retargeted(each, local, result))  # type: ignore[misc]
                continue
        found.append(block)
    return tuple(found)


def _copied(block: Block, result: int) -> int | None:
    """Return the local of the block ``IsDefined local; AssignVarOnce result local``."""
    if [each.kind for each in block] != ["IsDefined", "AssignVarOnce"] or block[1].target != result:
        return None
    source = block[0].operands[0]
    return source.number if type(source) is Local and source == block[1].operands[0] else None


def _mentions(statement: Statement, local: int) -> bool:
    return local in defined_by(statement) or local in set(read_by(statement))


def _is_assignment(statement: Statement, local: int) -> bool:
    return statement.kind == "AssignVarOnce" and statement.target == local and Local(local) not in statement.operands


def _retargeted(statement: Statement, local: int, result: int) -> Statement:
    if statement.kind == "AssignVarOnce" and statement.target == local:
        return msgspec.structs.replace(statement, target=result)
    return statement


def _returning(blocks: tuple[Block, ...], result: int) -> tuple[Block, ...]:
    """Return at once where the result is assigned, if nothing after that could change it or be in conflict with it."""
    if not blocks or not _returns(blocks[-1], result):
        return blocks
    bodies, default = blocks[:-1], None
    if bodies and _defaults(bodies[-1], result):
        bodies, default = bodies[:-1], bodies[-1][-1]
    mentions = [each for each in statements(bodies) if _mentions(each, result)]
    sources = {each.operands[0] for each in mentions if _is_assignment(each, result)}
    if not mentions or not all(_is_assignment(each, result) for each in mentions):
        return blocks
    same = len(sources) == 1 and type(next(iter(sources))) is Literally
    if not (same or (len(mentions) == 1 and not _assigns_within(bodies, result, "Scan"))):
        return blocks
    if _assigns_within(bodies, result, "Not"):
        return blocks

    def change(statement: Statement) -> Statement:
        if statement.target != result:
            return statement
        return Statement("ReturnLocal", statement.place, operands=statement.operands)

    found = [_without_detours(_mapped(block, change)) for block in bodies]
    if default is not None:
        found.append((*blocks[-2][1:-1], Statement("ReturnLocal", default.place, operands=default.operands)))
    return tuple(found)


def _returns(block: Block, result: int) -> bool:
    return [each.kind for each in block] == ["ReturnLocal"] and block[0].operands[0] == Local(result)


def _defaults(block: Block, result: int) -> bool:
    """Tell whether a block is ``IsUndefined result; (making of a constant); AssignVarOnce result``."""
    if len(block) < 2 or block[0].kind != "IsUndefined" or block[0].operands[0] != Local(result):
        return False
    last = block[-1]
    between = block[1:-1]
    return _is_assignment(last, result) and not any(_mentions(each, result) or each.blocks for each in between)


def _assigns_within(blocks: Sequence[Block], result: int, kind: str) -> bool:
    """Tell whether the result is assigned inside of a statement of that kind."""
    around = [each for each in statements(blocks) if each.kind == kind]
    inside = (each for outer in around for each in statements(outer.blocks))
    return any(each.kind == "AssignVarOnce" and each.target == result for each in inside)
