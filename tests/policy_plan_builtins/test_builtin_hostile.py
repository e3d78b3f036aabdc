"""Every builtin with the largest that a request can hold: what it does without a charge is little.

Steps are asserted, not seconds: the lines of Python that a call executes, each round of a loop one, against the steps that it
has charged for when it ends, is cut off, or has an error.
"""

import random
import sys

import pytest

from authorizer.policy.plan.builtins import BUILTINS
from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.plan.context import Budget, BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Set, set_of, type_name

BUDGET = 25_000
LINES, FREE = 5, 20_000
"""So many lines may be executed for each step, and so many beside them."""

MEGABYTE = 1_000_000
TEXTS = [
    "a" * MEGABYTE, "1" * MEGABYTE, "." * MEGABYTE, "/" * MEGABYTE, "%" * MEGABYTE, "[" * MEGABYTE, "{a" * 500_000,
    "é" * 500_000, "\n" * MEGABYTE, "- " * 500_000, "a: 1\n" * 200_000, "[" + "1," * 400_000 + "1]", "QUJD" * 250_000,
    "a%d&" * 250_000, "1h" * 500_000, "%d" * 500_000, "{{.a}}" * 160_000, "(a*)*" * 200_000, "*a" * 500_000,
    "1.2.3-" + "a." * 400_000, "e30." * 250_000, "10.0.0.0/8", "(a|b)*c", "", "2006-01-02T15:04:05Z", "x" * 2000,
    "{a(x:" + "[" * 900, "1" * 780 + "u", "[" * 120 + "]" * 120, "- " * 300,
]  # fmt: skip
NUMBERS = [0, 3, -7, 1.5e300, 2**13_900, 10**12, -(10**12), 64, 2.5]
LISTS = [
    list(range(300_000)), [str(n) for n in range(150_000)], [[n] for n in range(150_000)], ["a" * 20] * 40_000,
    [{"a": n} for n in range(80_000)], [2**13_900] * 200, ["/".join("abcdefgh")] * 50_000, [], ["a"], [[]],
    [{"op": "add", "path": f"/a{n}", "value": n} for n in range(15_000)], [f"10.{n >> 8}.{n & 255}.0/24" for n in range(40_000)],
]  # fmt: skip
OBJECTS = [
    {str(n): n for n in range(80_000)}, {str(n): [str((n + 1) % 9_000), str(n * 7 % 9_000)] for n in range(9_000)},
    {"a": {"b": {"c": 1}}}, {"a" * 500_000: "b" * 500_000}, {}, {"type": "object", "properties": {"a": {"pattern": "(a*)*b"}}},
]  # fmt: skip
SETS = [set_of(each) for each in LISTS[:4]] + [Set()]
POOL = [None, True, *TEXTS, *NUMBERS, *LISTS, *OBJECTS, *SETS]
CALLED = sorted(name for name in BUILTINS if name in SIGNATURES)


class Lines:
    """Counts what the interpreter says that it does."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, *_event: object) -> "Lines":
        self.seen += 1
        return self


def fitting(declared: str) -> list[object]:
    return [each for each in POOL if type_name(each) == declared] or POOL


def calls(name: str) -> list[list[object]]:
    """Return operands: each of the pool in each place, beside others by chance, which is the same each time."""
    chance = random.Random(name)
    places = [fitting(each["type"]) for each in SIGNATURES[name].arguments]
    return [
        [each if other == at else chance.choice(choices) for other, choices in enumerate(places)]
        for at, place in enumerate(places)
        for each in place
    ]


@pytest.mark.parametrize("name", CALLED)
def test_what_is_done_is_charged(name: str) -> None:
    builtin = BUILTINS[name]
    for operands in calls(name):
        budget = Budget(BUDGET)
        context = [Context(10**18, bytes, budget)] if builtin.context else []
        lines = Lines()
        sys.settrace(lines)
        try:
            builtin.function(*context, *operands)
        except (BudgetError, BuiltinError):
            pass
        finally:
            sys.settrace(None)
        charged = min(BUDGET - budget.left, BUDGET)
        assert lines.seen <= FREE + LINES * charged, [str(each)[:40] for each in operands]


def test_all_are_called() -> None:
    assert len(CALLED) > 190
