"""Every error that a person can see, on one page. An error means "could not"; a denial is a value, not an error.

AuthorizerError
├── SettingsError      AZ1xx  exit 3        configuration of a process
├── DocumentError      AZ2xx  exit 3        YAML documents: syntax, unknown keys (the language has codes of its own)
├── BundleError        AZ3xx  exit 3        archives, manifests, signatures, rollback
├── KeyMaterialError   AZ4xx  exit 3        keys and key sets
├── ControlPlaneError  AZ5xx  exit 69       the control plane could not be reached or refused
├── IdentityProviderError AZ53x exit 69     an identity provider could not be asked, or its answer is refused
├── DiscoveryError     AZ6xx  exit 69       a gateway could not be read
├── ListenError        AZ7xx  exit 69       a door could not be opened
├── DemoError          AZ8xx  exit 69       a process of the demo is missing, did not start, or ended
└── GatewayError       AZ90x  exit 3        a gateway's configuration could not be made or read (from AZ910: findings)
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

Severity = Literal["error", "warning"]


class Place(Struct, frozen=True, order=True):
    """Where in a text: ``line`` and ``column`` count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(Struct, frozen=True):
    """One thing wrong in a text, with its stable code, its place, a cure if one is known, and the source line."""

    code: str
    message: str
    place: Place
    hint: str = ""
    severity: Severity = "error"
    excerpt: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.severity} {self.code}: {self.message}{hint}"

    def render(self) -> str:
        """Return the message with the source line and a caret beneath it."""
        if not self.excerpt or not self.place.column:
            return str(self)
        return f"{self}\n    {self.excerpt}\n    {' ' * (self.place.column - 1)}^"

    def members(self) -> dict[str, object]:
        """Return the members of a JSON object that tells the problem."""
        place = {"file": self.place.file, "line": self.place.line, "column": self.place.column}
        texts = {"message": self.message, "hint": self.hint, "excerpt": self.excerpt}
        return {"code": self.code, "severity": self.severity, **place, **texts}


class _Members(Struct, frozen=True):
    code: str
    file: str
    line: int
    column: int
    message: str
    severity: Severity = "error"
    hint: str = ""
    excerpt: str = ""


def problem_from(members: object) -> Problem:
    """Return the problem that ``Problem.members`` wrote, perhaps of another version of this program.

    Raises msgspec.ValidationError.
    """
    told = msgspec.convert(members, _Members)
    place = Place(told.file, told.line, told.column)
    return Problem(told.code, told.message, place, told.hint, told.severity, told.excerpt)


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by place, errors before warnings, then by code; without repeats."""
    return tuple(sorted(set(problems), key=lambda p: (p.place, p.severity, p.code, p.message)))


class AuthorizerError(Exception):
    """Root of the tree. ``code`` is stable; ``hint`` is the cure."""

    exit_status = 1

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(f"{code}: {message}" + (f" ({hint})" if hint else ""))


class ProblemsError(AuthorizerError):
    """A text is refused; all that is wrong with it is in ``problems``."""

    exit_status = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = ordered(problems)
        errors = [p for p in self.problems if p.severity == "error"]
        super().__init__(errors[0].code, f"{len(errors)} problem(s), the first: {errors[0]}")


class SettingsError(ProblemsError):
    """The configuration of a process is wrong."""


class DocumentError(ProblemsError):
    """Policy documents are wrong."""


class BundleError(AuthorizerError):
    """A bundle is malformed, unsigned, tampered with, too old or too large."""

    exit_status = 3


class PlanError(BundleError):
    """A compiled Rego policy (plan) cannot be taken: malformed, too large, or it asks for what is refused."""


class KeyMaterialError(AuthorizerError):
    """A key or key set cannot be used."""

    exit_status = 3


class ControlPlaneError(AuthorizerError):
    """The control plane could not be reached, or did not answer as agreed."""

    exit_status = 69


class IdentityProviderError(AuthorizerError):
    """An identity provider could not be asked, or its answer is refused."""

    exit_status = 69


class DiscoveryError(AuthorizerError):
    """A gateway could not be read."""

    exit_status = 69


class ListenError(AuthorizerError):
    """A door could not be opened."""

    exit_status = 69


class DemoError(AuthorizerError):
    """A process of the demo is missing, did not start, or ended."""

    exit_status = 69


class GatewayError(AuthorizerError):
    """A gateway's configuration could not be made, or could not be read."""

    exit_status = 3
