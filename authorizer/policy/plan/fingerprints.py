"""What an entry point of a plan does, as a digest: equal digests decide alike, wherever in which file rules stand."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from authorizer.policy.plan.form import Block, Plan, Statement


def fingerprints(plan: Plan, data: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest (hexadecimal) for each entry point: of its statements, the functions it can reach, and the data.

    What differs may still mean the same. Names that a compiler gave to functions count, places do not.
    """
    known = repr(_sorted(data))
    shapes = {name: repr(list(map(_block, one.blocks))) for name, one in plan.functions.items()}
    calls = {name: _called(one.blocks, plan) for name, one in plan.functions.items()}
    found = {}
    for name, blocks in plan.entrypoints.items():
        reached: set[str] = set()
        waiting = sorted(_called(blocks, plan))
        while waiting:
            function = waiting.pop()
            if function not in reached:
                reached.add(function)
                waiting += calls[function]
        whole = [repr(list(map(_block, blocks))), *(f"{one} {shapes[one]}" for one in sorted(reached)), known]
        found[name] = hashlib.sha256("\n".join(whole).encode("utf-8", "surrogatepass")).hexdigest()
    return found


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _block(block: Block) -> list[Any]:
    return [_shape(one) for one in block]


def _shape(one: Statement) -> tuple[Any, ...]:
    inner = list(map(_block, one.blocks))
    return one.kind, one.target, one.key, one.operands, one.path, one.function, one.levels, inner


def _called(blocks: tuple[Block, ...], plan: Plan) -> set[str]:
    """Return the functions that blocks call; of a call whose path is reckoned, all."""
    called: set[str] = set()
    for one in _statements(blocks):
        if one.kind == "Call" and one.function in plan.functions:
            called.add(one.function)
        elif one.kind == "CallDynamic":
            called |= plan.functions.keys()
    return called


def _statements(blocks: tuple[Block, ...]) -> Iterator[Statement]:
    for block in blocks:
        for one in block:
            yield one
            yield from _statements(one.blocks)
