"""Mutants that are known to change nothing, each named in a file with the reason: the rest must be killed."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.documents import load_bytes
from authorizer.policy.reading import Findings


class Equivalents(Struct, frozen=True):
    """Names of mutants with the place where each is written."""

    reasons: Mapping[str, Place]

    def stale(self, alive: Iterable[str]) -> list[Problem]:
        """Return a problem for each name that is not of a surviving mutant: the list only ever holds what it must."""
        left = self.reasons.keys() - set(alive)
        return [
            Problem("T308", f"{name!r} is no surviving mutant", self.reasons[name], "take it off the list")
            for name in sorted(left)
        ]


def read_equivalents(data: bytes, file: str) -> Equivalents:
    """Read ``MUTANT: REASON`` entries of one YAML mapping. Raises DocumentError."""
    findings = Findings()
    reasons = {}
    for document in load_bytes(data, file):
        for name, key, value in findings.named(document, "the list of equivalent mutants"):
            if findings.text(value, "the reason"):
                reasons[name] = key.place
    if findings.failed:
        raise DocumentError(findings.problems)
    return Equivalents(reasons)
