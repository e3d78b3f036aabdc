"""What can be wrong with Rego, and how it is told.

The family of a code is what OPA calls: G1 rego_parse_error, G2 rego_compile_error, G3 rego_unsafe_var_error, G4
rego_type_error, G5 rego_recursion_error.
"""

from collections.abc import Iterable, Sequence

from authorizer.errors import Place, Problem, ProblemsError
from authorizer.policy.rego.syntax import At

MAX_PROBLEMS = 100


class RegoError(ProblemsError):
    """Modules are refused; all that was found is in ``problems``."""


class Refusal(Exception):  # noqa: N818 - it never leaves the room: RegoError is what callers see
    """One problem at ``at``; ``file`` is named by whoever knows it."""

    def __init__(self, code: str, message: str, at: At, hint: str = "") -> None:
        self.code = code
        self.message = message
        self.at = at
        self.hint = hint
        self.file = ""
        super().__init__(message)


class Findings:
    """Collects the problems of one module, with the lines that they stand in."""

    def __init__(self, file: str, lines: Sequence[str]) -> None:
        self._file = file
        self._lines = lines
        self.problems: list[Problem] = []

    def add(self, code: str, message: str, at: At, hint: str = "") -> None:
        """Note a problem; beyond a bound nothing is noted any more."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem_at(self._file, self._lines, Refusal(code, message, at, hint)))

    def take(self, refusal: Refusal) -> None:
        """Note what was raised."""
        self.add(refusal.code, refusal.message, refusal.at, refusal.hint)


def problem_at(file: str, lines: Sequence[str], refusal: Refusal) -> Problem:
    """Return the problem with its source line, tabs as single spaces so that the caret fits."""
    line, column = refusal.at
    excerpt = lines[line - 1].replace("\t", " ")[:200] if 0 < line <= len(lines) else ""
    column = max(1, column)
    place = Place(file, line, column)
    return Problem(refusal.code, refusal.message, place, refusal.hint, excerpt=excerpt if column <= 200 else "")


def stop(problems: Iterable[Problem]) -> None:
    """Raise RegoError where there are problems."""
    if found := list(problems):
        raise RegoError(found[:MAX_PROBLEMS])
