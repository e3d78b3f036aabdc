"""What an evaluation is given beside the input: the time, chance, and how much it may cost.

One unit of cost is about one statement of a plan, or 16 bytes or one element that a builtin function reads or makes.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

from msgspec import Struct, field

AMPLE: Final = 250_000
"""Units of cost of an evaluation that nobody waits for, as in tests of rules: some 20 ms at the worst."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class BudgetError(Exception):
    """An evaluation would cost more than it may, in steps, bytes or depth: it cannot be evaluated."""


class Budget(Struct):
    """What is left of an evaluation's allowance."""

    left: int = AMPLE

    def charge(self, units: int) -> None:
        """Take ``units`` away. Raises BudgetError when nothing is left.

        INVARIANT: what is charged for has not happened yet, so that one large step cannot overrun.
        """
        self.left -= units
        if self.left < 0:
            raise BudgetError


def charge_order(values: Collection[Any], budget: Budget) -> None:
    """Charge for bringing values in order: collections are compared deeply."""
    budget.charge(4 * len(values))
    if not _SCALARS.issuperset(map(type, values)):
        budget.charge(56 * len(values))


class Context(Struct):
    """One evaluation's surroundings.

    ``now_ns`` is nanoseconds since the epoch; ``random`` gives that many random bytes; ``cache`` is where builtin
    functions keep what must be the same throughout one evaluation, keyed by their name.
    """

    now_ns: int
    random: Callable[[int], bytes]
    budget: Budget = field(default_factory=Budget)
    cache: dict[Any, Any] = field(default_factory=dict)
