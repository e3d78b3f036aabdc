"""The last rewriting before the plan: ``==`` tests become unifications, and what a call takes is evaluated before it.

INVARIANT: a reference or comprehension that stands inside of another term is bound on a line before, also for a negated
expression: ``not f(input.x)`` has no value where ``input.x`` has none. That is what OPA's plans mean.
"""

from itertools import count

from msgspec.structs import replace

from authorizer.policy.rego.syntax import (
    DECLARATIONS,
    LOOKUPS,
    ArrayTerm,
    Bind,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Nested,
    ObjectTerm,
    Ref,
    Rule,
    SetTerm,
    Term,
    Var,
)


class Lowerer:
    """Lowers rules; ``numbers`` makes new names of variables."""

    def __init__(self, numbers: "count[int]") -> None:
        self._numbers = numbers

    def rule(self, rule: Rule) -> Rule:
        """Return the rule as the planner takes it."""
        return replace(rule, body=self.body(rule.body), elses=tuple(map(self.rule, rule.elses)))

    def body(self, body: Body) -> Body:
        """Return the body as the planner takes it."""
        out: list[Expr] = []
        for expr in body:
            self._expr(expr, out)
        return tuple(out)

    def _expr(self, expr: Expr, out: list[Expr]) -> None:
        what = expr.what
        if isinstance(what, Call) and len(what.args) == 2 and not expr.generated and _is_equal(what):
            what = Bind(what.args[0], what.args[1], declares=False, at=what.at)
        lowered: Term | Bind | Every | Nested
        if isinstance(what, Bind):
            left = self._shallow(what.left, expr, out)
            lowered = Bind(left, self._shallow(what.right, expr, out), what.declares, what.at)
        elif isinstance(what, Call):
            lowered = Call(what.operator, tuple(self._deep(arg, expr, out) for arg in what.args), what.at)
        elif isinstance(what, Every):
            lowered = replace(what, domain=self._deep(what.domain, expr, out), body=self.body(what.body))
        elif isinstance(what, Nested):
            lowered = replace(what, body=self.body(what.body))
        else:
            assert not isinstance(what, DECLARATIONS)
            lowered = self._shallow(what, expr, out)
        out.append(replace(expr, what=lowered))

    def _shallow(self, term: Term, expr: Expr, out: list[Expr]) -> Term:
        """Lower what stands inside of a reference or comprehension; other terms as ``_deep`` does."""
        if isinstance(term, Ref):
            return Ref(term.head, tuple(self._deep(step, expr, out) for step in term.path), term.at)
        if isinstance(term, Comprehension):
            return replace(term, body=self.body(term.body))
        return self._deep(term, expr, out)

    def _deep(self, term: Term, expr: Expr, out: list[Expr]) -> Term:
        if isinstance(term, LOOKUPS):
            made = Var(f"@{next(self._numbers)}", term.at)
            inner = self._shallow(term, expr, out)
            out.append(Expr(Bind(made, inner, declares=False, at=term.at), expr.at, withs=expr.withs))
            return made
        if isinstance(term, ArrayTerm):
            return ArrayTerm(tuple(self._deep(item, expr, out) for item in term.items), term.at)
        if isinstance(term, SetTerm):
            return SetTerm(tuple(self._deep(item, expr, out) for item in term.items), term.at)
        if isinstance(term, ObjectTerm):
            pairs = ((self._deep(key, expr, out), self._deep(value, expr, out)) for key, value in term.pairs)
            return ObjectTerm(tuple(pairs), term.at)
        return term


def _is_equal(call: Call) -> bool:
    return not call.operator.path and isinstance(call.operator.head, Var) and call.operator.head.name == "equal"
