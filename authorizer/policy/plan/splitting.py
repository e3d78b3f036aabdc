"""Cuts a long function into pieces that are compiled one by one.

The compiler of Python does not let other threads run before it has a whole function: with 1,000 rules of one name that
took 0.3 s in which nothing was decided.
"""

import ast
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from authorizer.policy.plan import nodes

SIZE: Final = 1_500
"""Nodes of one piece: some two milliseconds of compiling."""

_shared = re.compile(r"l\d+|own|rs").fullmatch


class Piece(Struct):
    """A function that holds a part of another."""

    name: str
    parameters: list[str]
    body: list[ast.stmt]


def pieces(
    function: str, parameters: Sequence[str], parts: Sequence[list[ast.stmt]]
) -> tuple[list[Piece], list[ast.stmt]]:
    """Return the pieces of a function, and its body that calls them. ``parts`` are its blocks, one after the other.

    INVARIANT: what one block leaves to another is a variable that ``_shared`` knows; all others are its own.
    """
    groups = _groups(parts)
    if len(groups) == 1:
        return [], groups[0]
    found: list[Piece] = []
    body: list[ast.stmt] = []
    names = [_names(group) for group in groups]
    before: set[str] = set()
    for at, (group, (read, stored, returns)) in enumerate(zip(groups, names, strict=True)):
        after = {name for later, _, _ in names[at + 1 :] for name in later}
        given, left = sorted((read | stored) & before), sorted(stored & after)
        before |= stored
        if returns and left:
            body.extend(group)
            continue
        piece = Piece(f"{function}_{at}", [*parameters, *given], group)
        found.append(piece)
        calling = nodes.call(piece.name, *map(nodes.name, piece.parameters))
        if returns:
            answer = f"answer{at}"
            back = ast.Return(nodes.name(answer))
            body += [nodes.assign(answer, calling), nodes.when(nodes.is_defined(nodes.name(answer)), [back])]
        elif left:
            group.append(ast.Return(nodes.tuple_display([nodes.name(name) for name in left])))
            body.append(nodes.assign_all(left, calling))
        else:
            body.append(nodes.expression(calling))
    return found, body


def _groups(parts: Sequence[list[ast.stmt]]) -> list[list[ast.stmt]]:
    groups: list[list[ast.stmt]] = [[]]
    size = 0
    for part in parts:
        added = sum(1 for statement in part for _ in ast.walk(statement))
        if size and size + added > SIZE:
            groups.append([])
            size = 0
        groups[-1].extend(part)
        size += added
    return groups


def _names(group: Sequence[ast.stmt]) -> tuple[set[str], set[str], bool]:
    """Return the shared variables that a group reads, those that it assigns, and whether it returns."""
    read: set[str] = set()
    stored: set[str] = set()
    returns = False
    for statement in group:
        for node in ast.walk(statement):
            if isinstance(node, ast.Return):
                returns = True
            elif isinstance(node, ast.Name) and _shared(node.id):
                (stored if isinstance(node.ctx, ast.Store) else read).add(node.id)
    return read, stored, returns
