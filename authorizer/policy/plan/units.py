"""What is known of the whole plan while its functions are written: which are called how, what they are named, and cost.

A function has up to two variants: over the data that the plan is bound to, which is a constant, and over other data,
which is a parameter (``with data``, or a plan that is not bound).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from authorizer.errors import PlanError
from authorizer.policy.plan.builtins import BUILTINS, REFUSED
from authorizer.policy.plan.builtins.calling import Builtin
from authorizer.policy.plan.form import DATA, Block, Function, Literally, Plan, Statement
from authorizer.policy.plan.paths import Path, remembered
from authorizer.policy.plan.running import RESERVED
from authorizer.policy.plan.simplify import plain, simplified
from authorizer.policy.plan.terms import Constants
from authorizer.policy.plan.values import UNDEFINED

Variant = tuple[str, bool]
"""A function's name, and whether it works on the bound data."""

CHARGED: Final = 5_000
"""A function that costs more than this many statements charges for itself when it is called."""


class Written(Struct, frozen=True):
    """A function that has been written.

    ``name`` is Python's, ``constant`` its value if that is known, ``cost`` what a call costs at most without loops, and
    ``slot`` the place in the memory where its value is kept (0: nowhere). ``answers`` are the booleans that it returns,
    if nothing else.
    """

    name: str
    constant: Any
    cost: int
    slot: int
    answers: frozenset[bool] | None


class Unit:
    """The plan in the making."""

    def __init__(self, plan: Plan, data: Any, names: dict[str, Any], *, strict: bool) -> None:
        self.plan = plan
        self.data = data
        self.strict = strict
        self.names = names
        self.constants = Constants(names)
        self.written: dict[Variant, Written] = {}
        self.slots = RESERVED
        self.bodies: Mapping[str, tuple[Block, ...]] = {
            name: simplified(function) for name, function in plan.functions.items()
        }
        self.entrypoints = {name: plain(blocks) for name, blocks in plan.entrypoints.items()}
        shared = remembered((*self.bodies.values(), *self.entrypoints.values()))
        self.paths: Mapping[Path, int] = {path: self.slot() for path in sorted(shared)}

    def slot(self) -> int:
        """Return a new place in the memory of an evaluation."""
        self.slots += 1
        return self.slots - 1

    @property
    def bound(self) -> bool:
        """Whether the plan is bound to data."""
        return self.data is not UNDEFINED

    def builtin(self, name: str) -> Builtin:
        """Return a builtin function. Raises PlanError AZ352 for one that is refused or unknown."""
        found = BUILTINS.get(name)
        if found is None:
            why = REFUSED.get(name, "it is not known here")
            raise PlanError("AZ352", f"the builtin function {name} cannot be used: {why}")
        return found

    def dynamic(self, statement: Statement) -> Sequence[Function]:
        """Return the functions that a call by path may reach."""
        path = statement.path
        return [
            function
            for function in self.plan.functions.values()
            if len(function.path) == len(path)
            and len(function.parameters) == len(statement.operands)
            and all(type(at) is not Literally or at.value == part for part, at in zip(function.path, path, strict=True))
        ]

    def calls(self, blocks: Sequence[Block], *, bound: bool) -> Counter[Variant]:
        """Count the calls that blocks may make, by variant; two stands for more than one."""
        found: Counter[Variant] = Counter()
        self._count(blocks, (bound,), 1, found)
        return found

    def _count(self, blocks: Sequence[Block], bound: tuple[bool, ...], times: int, found: Counter[Variant]) -> None:
        for block in blocks:
            for statement in block:
                if statement.kind == "Call" and statement.function in self.plan.functions:
                    found.update({(statement.function, each): times for each in bound})
                elif statement.kind == "CallDynamic":
                    for function in self.dynamic(statement):
                        found.update({(function.name, each): 2 for each in bound})
                inside = bound
                if statement.kind == "With" and statement.target == DATA and True in bound:
                    # Within, data is another one, or the first again.
                    inside = (True, False)
                self._count(statement.blocks, inside, 2 if statement.kind == "Scan" else times, found)
