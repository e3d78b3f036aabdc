"""Look-ups of constant keys one after the other, and which of them on the input are worth remembering.

``input.attributes.request.http.method`` is four statements in a plan and one path here. A path that several rules begin
with is looked up once in an evaluation.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from authorizer.policy.plan.form import INPUT, Block, Literally, Local, Statement
from authorizer.policy.plan.liveness import read_by
from authorizer.policy.plan.simplify import statements

Path = tuple[str, ...]

_LONG: Final = 2


def reads_of(blocks: Iterable[Block]) -> Counter[int]:
    """Count how often each local is read."""
    return Counter(local for statement in statements(tuple(blocks)) for local in read_by(statement))


def run(block: Block, at: int, reads: Counter[int]) -> tuple[Statement, ...]:
    """Return the statements from ``at`` on of which each looks up a constant string in what only it reads."""
    found: list[Statement] = []
    while at < len(block) and block[at].kind == "Dot" and _is_text(block[at]):
        if found and (block[at].operands[0] != Local(found[-1].target) or reads[found[-1].target] != 1):
            break
        found.append(block[at])
        at += 1
    return tuple(found)


def _is_text(statement: Statement) -> bool:
    name = statement.operands[1]
    return type(name) is Literally and type(name.value) is str


def path_of(found: Iterable[Statement]) -> Path:
    """Return the keys of a run."""
    return tuple(name.value for each in found if type(name := each.operands[1]) is Literally)


def remembered(functions: Iterable[tuple[Block, ...]]) -> frozenset[Path]:
    """Return the paths on the input where the ways of several look-ups part, or end."""
    uses: Counter[Path] = Counter()
    following: dict[Path, set[str | None]] = {}
    for blocks in functions:
        reads = reads_of(blocks)
        for path in _paths(blocks, reads):
            for length in range(_LONG, len(path) + 1):
                uses[path[:length]] += 1
                following.setdefault(path[:length], set()).add(path[length] if length < len(path) else None)
    return frozenset(path for path, ways in following.items() if uses[path] > 1 and (len(ways) > 1 or None in ways))


def _paths(blocks: Iterable[Block], reads: Counter[int]) -> Iterator[Path]:
    for block in blocks:
        at = 0
        while at < len(block):
            found = run(block, at, reads)
            if found and found[0].operands[0] == Local(INPUT):
                yield path_of(found)
            at += max(len(found), 1)
        for statement in block:
            yield from _paths(statement.blocks, reads)
