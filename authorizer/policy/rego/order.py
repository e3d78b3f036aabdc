"""Safety: the expressions of a body in an order in which every variable is known before it is needed, or a problem.

An expression moves only when it must: those that can be evaluated keep the order in which they were written.
"""

from msgspec.structs import replace

from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import (
    DECLARATIONS,
    RESERVED,
    ROWS,
    At,
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
    Term,
    is_generated,
    written,
)
from authorizer.policy.rego.variables import Arity, body_vars, closure_vars, expr_vars, outputs, term_vars

_BIND = "bind it in an expression that is not negated"


class Orderer:
    """Orders the bodies of rules."""

    def __init__(self, arity: Arity, findings: Findings) -> None:
        self._arity = arity
        self._findings = findings
        self._unsafe: dict[str, At] = {}
        self._lost: list[At] = []

    def rule(self, rule: Rule) -> Rule:
        """Return the rule with ordered bodies; what can have no order is a problem."""
        safe = set(RESERVED)
        for arg in rule.args or ():
            term_vars(arg, safe, closures=True)
        body = self._body(rule.body, safe)
        self._head(rule, body, safe)
        self._report()
        return replace(rule, body=body, elses=tuple(map(self.rule, rule.elses)))

    def query(self, body: Body) -> Body:
        """Return a query in order."""
        ordered = self._body(body, set(RESERVED))
        self._report()
        return ordered

    def _head(self, rule: Rule, body: Body, safe: set[str]) -> None:
        known = set(safe)
        body_vars(body, known)
        for term in (*rule.path[1:], rule.key, rule.value):
            if term is None:
                continue
            needed: set[str] = set()
            term_vars(term, needed)
            for name in needed - known:
                self._unsafe.setdefault(name, term.at)

    def _report(self) -> None:
        """Turn what was found unsafe into problems: variables that were written, or else the expressions."""
        named = {written(name): at for name, at in sorted(self._unsafe.items()) if not is_generated(name)}
        for name, at in named.items():
            known = name in {"contains", "every", "if", "in"}
            self._findings.add(
                "G301", f"`{name}` has no value here", at, f"import future.keywords.{name}" if known else _BIND
            )
        if self._unsafe and not named:
            for at in self._lost or self._unsafe.values():
                self._findings.add("G302", "an expression that needs what nothing gives a value", at)
        self._unsafe = {}
        self._lost = []

    def _body(self, body: Body, known: set[str]) -> Body:
        present: set[str] = set()
        body_vars(body, present)
        own: list[set[str]] = []
        closed: list[set[str]] = []
        for expr in body:
            found: set[str] = set()
            expr_vars(expr, found)
            own.append(found)
            found = set()
            closure_vars(expr, found)
            closed.append((found & present) - known)
        ordered = self._ordered(body, own, closed, present & known)
        return self._closures(ordered, known)

    def _ordered(self, body: Body, own: list[set[str]], closed: list[set[str]], safe: set[str]) -> Body:
        pending = list(range(len(body)))
        ordered: list[int] = []
        while pending:
            left: list[int] = []
            for index in pending:
                made = outputs(body[index], safe, self._arity)
                if own[index] - made <= safe and closed[index] <= safe:
                    ordered.append(index)
                    safe |= made
                else:
                    left.append(index)
            if len(left) == len(pending):
                for index in left:
                    self._stuck(body[index], own[index], closed[index], safe)
                return body
            pending = left
        return tuple(body[index] for index in ordered)

    def _stuck(self, expr: Expr, own: set[str], closed: set[str], safe: set[str]) -> None:
        self._lost.append(expr.at)
        for name in (own - outputs(expr, safe, self._arity) - safe) | (closed - safe):
            self._unsafe.setdefault(name, expr.at)

    def _closures(self, body: Body, known: set[str]) -> Body:
        """Order the bodies inside of the expressions: they know what stands before them."""
        seen = set(known)
        done: list[Expr] = []
        for expr in body:
            done.append(self._expr(expr, seen))
            expr_vars(expr, seen)
        return tuple(done)

    def _expr(self, expr: Expr, known: set[str]) -> Expr:
        what = expr.what
        if isinstance(what, Bind):
            left, right = self._term(what.left, known), self._term(what.right, known)
            if left is what.left and right is what.right:
                return expr
            return replace(expr, what=Bind(left, right, what.declares, what.at))
        if isinstance(what, Every):
            inner = known | {name.name for name in (what.key, what.value) if name is not None}
            expr_vars(expr, inner)
            return replace(expr, what=replace(what, body=self._body(what.body, inner)))
        if isinstance(what, Nested):
            return replace(expr, what=replace(what, body=self._body(what.body, known)))
        assert not isinstance(what, DECLARATIONS)
        term = self._term(what, known)
        return expr if term is what else replace(expr, what=term)

    def _term(self, term: Term, known: set[str]) -> Term:
        if isinstance(term, Comprehension):
            body = self._body(term.body, known)
            present = set(known)
            body_vars(body, present)
            needed: set[str] = set()
            for one in term.head:
                term_vars(one, needed)
            for name in needed - present:
                self._unsafe.setdefault(name, term.at)
            return replace(term, body=body)
        if isinstance(term, ROWS) and term.items:
            return replace(term, items=tuple(self._term(item, known) for item in term.items))
        if isinstance(term, ObjectTerm) and term.pairs:
            pairs = tuple((self._term(key, known), self._term(value, known)) for key, value in term.pairs)
            return replace(term, pairs=pairs)
        if isinstance(term, Ref) and term.path:
            return replace(term, path=tuple(self._term(step, known) for step in term.path))
        if isinstance(term, Call):
            return replace(term, args=tuple(self._term(arg, known) for arg in term.args))
        return term
