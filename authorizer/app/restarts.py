"""How long to wait before a worker that ended is started again."""

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
SETTLED_SECONDS = 10.0
"""A worker that lived this long is well: the next failure counts as its first."""


def failures(before: int, lived: float) -> int:
    """Return how many times in a row a worker has failed, it having lived for ``lived`` seconds this time."""
    return 1 if lived >= SETTLED_SECONDS else before + 1


def delay(failed: int, chance: float) -> float:
    """Return seconds: twice as many for each failure in a row, at most 30.

    ``chance`` in [0, 1) takes away up to the half, so that workers which fail together do not come back together; the
    other half stays, so that a worker which dies at once never makes the supervisor spin.
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failed - 1, 32))
    return longest * (1.0 - chance / 2.0)
