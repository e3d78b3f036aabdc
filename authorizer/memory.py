"""Much to do beside decisions: large documents made and let go, and lines of a log, in small steps.

CPython stops all threads for as long as it looks for cycles among objects, or frees what hung on a last reference: with
three million objects, 1 s and 0.1 s.
"""

import gc
import itertools
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

MANY: Final = 20_000
"""Objects that may be new before a collection that looks at all of them takes longer than 1 ms."""

_PAUSE: Final = 50e-6

_T = TypeVar("_T")
_lock = threading.Lock()
_makers = 0
_was_enabled = False


def give_way() -> None:
    """Let other threads go on, as a thread with much to do does after each step: asked by them, it might take 5 ms.

    INVARIANT: it sleeps. One that only lets go of the interpreter has it again before a thread that waits for it has
    woken up, and that one waits anew: a loop beside such steps of 0.1 ms was late by 3 ms, beside these by 0.2 ms.
    """
    time.sleep(_PAUSE)


def in_steps(items: Iterable[_T], size: int) -> Iterator[_T]:
    """Pass on ``items``, and give way before each ``size`` of them."""
    for at, item in enumerate(items):
        if at % size == 0:
            give_way()
        yield item


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many objects inside that no collection will look at, then or later; they go with their last reference.

    While somebody is inside, nothing is collected. INVARIANT: what is made inside, and kept, has no cycles: one would
    stay for ever. So does a cycle of what else is alive at the end and is given up later, if more than MANY were made.
    """
    global _makers, _was_enabled  # noqa: PLW0603 - the collector is one for the process, and so is who has stopped it
    with _lock:
        if not _makers:
            _was_enabled = gc.isenabled()
            gc.disable()
        _makers += 1
    try:
        yield
    finally:
        with _lock:
            _makers -= 1
            if not _makers:
                if gc.get_count()[0] > MANY:
                    gc.freeze()
                if _was_enabled:
                    gc.enable()


def _alone() -> int:
    held: list[object] = [object()]
    each = held.pop()
    return sys.getrefcount(each)


_ALONE: Final = _alone()
"""What is counted of an object that only the variable ``each`` refers to: 2 up to Python 3.13, which counts the
argument too; 3.14 lends it.

INVARIANT: measured by the very words that use it (``pop`` into a variable, then ``getrefcount`` of it). Were the
measure one too high, what one other holds would pass for nobody's; one too low only lets go of much at once. Tests look
at both, after more rounds than an interpreter needs to rewrite code that runs often.
"""
_STEPS: Final = 100
_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})


def unused(held: list[object]) -> list[object]:
    """Take out of ``held`` what nobody else holds any more, and return it."""
    found = []
    for at in reversed(range(len(held))):
        each = held[at]
        if sys.getrefcount(each) == _ALONE + 1:  # one more for its place in ``held``
            found.append(held.pop(at))
    return found


def take_apart(held: list[object]) -> None:
    """Let go of objects, each with what it alone holds, one container at a time. Empties ``held``.

    INVARIANT: what anybody else refers to is left as it is: only what nobody can see any more is changed.
    """
    for step in itertools.count():
        if not held:
            return
        if step % _STEPS == 0:
            give_way()
        each = held.pop()
        if sys.getrefcount(each) > _ALONE:
            continue
        if type(each) is dict:
            if len(each) > _STEPS:
                held.append(each)
                held += [inner for _ in range(_STEPS) if type(inner := each.popitem()[1]) not in _PLAIN]
            else:
                held += [inner for inner in each.values() if type(inner) not in _PLAIN]
        elif type(each) is list:
            if len(each) > _STEPS:
                held.append(each)
                held += [inner for _ in range(_STEPS) if type(inner := each.pop()) not in _PLAIN]
            else:
                held += [inner for inner in each if type(inner) not in _PLAIN]
        else:
            held += [inner for inner in gc.get_referents(each) if type(inner) not in _PLAIN]
