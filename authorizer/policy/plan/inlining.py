"""Builtin functions that are written in line where the types of their operands allow it."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from authorizer.policy.plan.terms import Term
from authorizer.policy.plan.writing import Writer

_Inline = Callable[[Writer, Sequence[Term]], tuple[ast.expr, str] | None]

INLINE: Final[Mapping[str, _Inline]] = {}
