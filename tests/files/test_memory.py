"""Large documents are let go in steps, and only what nobody else can see."""

import gc
from typing import ClassVar

import msgspec
import pytest

from authorizer import memory


class Node(msgspec.Struct, frozen=True):
    inner: object


class Watched:
    """Says when it goes."""

    gone: ClassVar[list[int]] = []

    def __init__(self, number: int, inner: object = None) -> None:
        self.number = number
        self.inner = inner

    def __del__(self) -> None:
        self.gone.append(self.number)


@pytest.fixture(autouse=True)
def none_gone():
    Watched.gone.clear()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    "made",
    [
        lambda: {"a": {"b": [Watched(1), Watched(2)]}},
        lambda: [[[Watched(1)], Watched(2)]],
        lambda: Node(({Watched(1)}, frozenset({Watched(2)}))),
        lambda: {Node(Watched(1)): Watched(2)},
        lambda: Watched(1, Watched(2)),
        lambda: [*range(1000), Watched(1), *([] for _ in range(1000)), Watched(2)],
        lambda: {n: Watched(1 + n % 2) for n in range(1000)},
    ],
)
def test_what_nobody_holds_goes(made) -> None:
    held = [made()]
    memory.take_apart(held)
    assert (held, set(Watched.gone)) == ([], {1, 2})


def test_what_is_held_stays_as_it_is() -> None:
    shared = {"list": [1, {"deep": Watched(1)}], "set": {1, 2}}
    held = [{"mine": [Watched(2)], "shared": shared, "part": [shared["list"]]}]
    memory.take_apart(held)
    assert list(Watched.gone) == [2]
    assert shared["list"][1]["deep"].number == 1
    assert shared["set"] == {1, 2}


def test_unused_is_what_only_the_list_holds() -> None:
    used, too = [1], [3]
    held = [used, [2], {"of": used}, too]
    assert sorted(memory.unused(held), key=str) == [[2], {"of": [1]}]
    assert held == [used, too]


def test_what_one_other_holds_stays_however_often_it_was_looked() -> None:
    # The interpreter rewrites code that runs often; what it then counts must still be what it counted first.
    shared = [[] for _ in range(200)]
    for _ in range(5_000):
        memory.take_apart([shared])
        memory.take_apart([{"held": shared}])
    assert len(shared) == 200
    held: list[object] = [shared, shared.copy()]
    assert len(memory.unused(held)) == 1


@pytest.mark.parametrize("made", [[[] for _ in range(50_000)], {n: [] for n in range(50_000)}], ids=["list", "dict"])
def test_what_is_large_goes_in_steps(made, monkeypatch) -> None:
    ways = []
    monkeypatch.setattr(memory, "give_way", lambda: ways.append(1))
    held = [made.copy()]
    memory.take_apart(held)
    assert held == []
    assert len(ways) > 2
    made.clear()


def test_a_deep_value_needs_no_stack() -> None:
    value: list[object] = []
    for _ in range(20_000):
        value = [value]
    held: list[object] = [value]
    del value
    memory.take_apart(held)
    assert held == []


def test_what_is_made_many_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with memory.uncollected():
        with memory.uncollected():
            few = [[] for _ in range(10)]
        assert not gc.isenabled()
    assert (gc.isenabled(), gc.get_freeze_count(), len(few)) == (True, before, 10)
    with memory.uncollected():
        many = [[] for _ in range(2 * memory.MANY)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(many)
