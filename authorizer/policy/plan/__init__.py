"""OPA's plan IR (https://www.openpolicyagent.org/docs/ir) turned into Python functions.

Reading: ``reading`` makes a ``form.Plan`` of the JSON, or refuses it. Writing: ``simplify``, ``liveness``, then
``writing`` (state), ``control``, ``making``, ``looking``, ``calling``, ``inlining`` (one family of statements each) on
``nodes`` and ``terms``; ``units`` knows the whole plan, ``compile`` makes functions of it. Running: ``values``,
``running``, ``context`` and the builtins are what the functions call.
"""

from authorizer.policy.plan.compile import Compiled, compile_plan
from authorizer.policy.plan.context import Budget, BudgetError, Context
from authorizer.policy.plan.form import Plan
from authorizer.policy.plan.reading import read
from authorizer.policy.plan.running import EvaluationError

__all__ = [
    "Budget",
    "BudgetError",
    "Compiled",
    "Context",
    "EvaluationError",
    "Plan",
    "compile_plan",
    "read",
]
