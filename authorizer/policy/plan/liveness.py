"""Which locals a block leaves behind: those that it assigns and that something after it may read.

Only these need a Python variable that all paths share; every other assignment can be given a name of its own, or none
when it is a constant or a copy. INVARIANT: what is not named here is read only where its assignment surely came before.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from authorizer.policy.plan.form import Block, Local, Statement

CHANGING: Final = frozenset({"ArrayAppend", "ObjectInsert", "ObjectInsertOnce", "SetAdd"})

_Live = frozenset[int]


def read_by(statement: Statement) -> Iterator[int]:
    """Yield the locals that the statement itself reads; what it changes, it reads."""
    for operand in (*statement.operands, *statement.path):
        if type(operand) is Local:
            yield operand.number
    if statement.kind in CHANGING or statement.kind == "AssignVarOnce":
        yield statement.target


def defined_by(statement: Statement) -> tuple[int, ...]:
    """Return the locals that the statement itself assigns."""
    if statement.kind == "Scan":
        return (statement.key, statement.target)
    if statement.target < 0 or statement.kind in CHANGING or statement.kind == "With":
        return ()
    return (statement.target,)


def assigned(block: Block) -> frozenset[int]:
    """Return the locals that the block assigns, at any depth."""
    found: set[int] = set()
    for statement in block:
        found.update(defined_by(statement))
        for inner in statement.blocks:
            found |= assigned(inner)
    return frozenset(found)


def escaping(blocks: Sequence[Block]) -> dict[int, frozenset[int]]:
    """Return, by the ``id`` of each block at any depth, the locals that it leaves behind.

    ``blocks`` are a function's, run one after the other.
    """
    left: dict[int, frozenset[int]] = {}
    _sequence(blocks, frozenset(), (), left)
    return left


def exposed(block: Block) -> frozenset[int]:
    """Return the locals that the block may read before it assigns them."""
    return _block(block, frozenset(), (frozenset(),), None)


def _sequence(
    blocks: Sequence[Block], after: _Live, exits: tuple[_Live, ...], left: dict[int, frozenset[int]] | None
) -> _Live:
    for block in reversed(blocks):
        after = _block(block, after, (after, *exits), left)
    return after


def _block(block: Block, after: _Live, exits: tuple[_Live, ...], left: dict[int, frozenset[int]] | None) -> _Live:
    """Return what is live before the block; ``exits`` are what is live where a break of 0, 1, ... levels goes.

    ``left`` takes the answer down; None only looks.
    """
    live = after
    for statement in reversed(block):
        live = _statement(statement, live, exits, left)
    if left is not None and block:
        left[id(block)] = assigned(block) & after.union(*exits)
    return live


def _statement(
    statement: Statement, after: _Live, exits: tuple[_Live, ...], left: dict[int, frozenset[int]] | None
) -> _Live:
    kind = statement.kind
    if kind == "Break":
        return exits[statement.levels]
    if kind == "ReturnLocal":
        return frozenset(read_by(statement))
    if kind == "Block":
        return _sequence(statement.blocks, after, exits, left)
    if kind == "Not":
        return after | _block(statement.blocks[0], exits[0], (after, *exits), left)
    if kind == "Scan":
        # INVARIANT: the body is looked at once to know what a next round may read, so the work stays within the square
        # of the depth.
        again = _block(statement.blocks[0], frozenset(), (frozenset(),) * (len(exits) + 1), None)
        head = after.union(again.difference(defined_by(statement)), *exits)
        if left is not None:
            _block(statement.blocks[0], head, (head, *exits), left)
        return head.union(read_by(statement))
    if kind == "With":
        # A With is part of the block around it: its failure is that block's.
        after = _block(statement.blocks[0], after, (exits[0], *exits), left)
    return (after | exits[0]).difference(defined_by(statement)).union(read_by(statement))
