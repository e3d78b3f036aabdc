"""Calls out of terms: each nested call becomes an expression of its own before the one that it stands in.

After this pass a body holds calls only as whole expressions, the head of a rule or comprehension holds no reference and
no comprehension, and ``with`` replaces by values that need no evaluation.
"""

from collections.abc import Callable, Iterable
from itertools import count

from msgspec.structs import replace

from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import (
    CONSTANTS,
    DECLARATIONS,
    LOOKUPS,
    ROWS,
    ArrayTerm,
    Bind,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Nested,
    Number,
    ObjectTerm,
    Ref,
    Rule,
    Scalar,
    SetTerm,
    Some,
    SomeIn,
    Template,
    Term,
    Var,
    With,
    always,
    term_text,
)

_KEPT = ("internal.", "rego.metadata.")
"""Functions that the compiler answers itself."""


class Flattener:
    """Flattens rules. ``is_function`` tells builtin functions and rules with arguments, ``is_rule`` any rule."""

    def __init__(
        self,
        numbers: "count[int]",
        findings: Findings,
        is_function: Callable[[Ref], bool],
        is_rule: Callable[[Ref], bool],
    ) -> None:
        self._numbers = numbers
        self._findings = findings
        self._is_function = is_function
        self._is_rule = is_rule

    def rule(self, rule: Rule) -> Rule:
        """Return the rule with flat bodies and a head of variables and values."""
        body = self.body(rule.body)
        extra: list[Expr] = []
        path = tuple(self._step(self.term(step, extra), extra) for step in rule.path)
        args = None if rule.args is None else tuple(self._named(self.term(arg, extra), extra) for arg in rule.args)
        key = None if rule.key is None else self._named(self.term(rule.key, extra), extra)
        value = None if rule.value is None else self._named(self.term(rule.value, extra), extra)
        return replace(
            rule,
            path=path,
            args=args,
            key=key,
            value=value,
            body=_joined(body, extra),
            elses=tuple(map(self.rule, rule.elses)),
        )

    def body(self, body: Body) -> Body:
        """Return the body with all calls on lines of their own."""
        flat: list[Expr] = []
        for expr in body:
            flat.extend(self._expr(expr))
        return tuple(flat) or always(body[0].at)

    def _new(self, term: Term) -> Var:
        return Var(f"@{next(self._numbers)}", term.at)

    def _hoisted(self, term: Term, out: list[Expr]) -> Var:
        made = self._new(term)
        out.append(Expr(Bind(made, term, declares=False, at=term.at), term.at))
        return made

    def _named(self, term: Term, out: list[Expr]) -> Term:
        """Return a variable for what must be evaluated."""
        return self._hoisted(term, out) if requires_evaluation(term) else term

    def _step(self, term: Term, out: list[Expr]) -> Term:
        return term if isinstance(term, Var | Scalar | Number) else self._hoisted(term, out)

    def _expr(self, expr: Expr) -> Iterable[Expr]:
        flat: list[Expr] = []
        what = expr.what
        if isinstance(what, Call) and term_text(what.operator) == "print":
            return flat
        withs = tuple(self._with(one, flat) for one in expr.withs)
        extra: list[Expr] = []
        if isinstance(what, Bind):
            left = self.term(what.left, extra)
            what = Bind(left, self.term(what.right, extra), what.declares, what.at)
        elif isinstance(what, Call):
            what = Call(what.operator, tuple(self.term(arg, extra) for arg in what.args), what.at)
        elif isinstance(what, Every):
            domain = self._hoisted(self.term(what.domain, extra), extra)
            what = Every(what.key, what.value, domain, self.body(what.body), what.at)
        elif isinstance(what, Nested):
            what = Nested(self.body(what.body), what.own, what.at)
        else:
            assert not isinstance(what, DECLARATIONS)
            what = self.term(what, extra)
        flat.extend(replace(one, withs=withs) if withs else one for one in extra)
        flat.append(replace(expr, what=what, withs=withs))
        return flat

    def _with(self, one: With, out: list[Expr]) -> With:
        target = one.target
        value = one.value
        if isinstance(value, Var) and self._is_function(Ref(value, (), value.at)):
            value = Ref(value, (), value.at)
        root = target.head.name if isinstance(target.head, Var) else ""
        replaces_function = self._is_function(target)
        if root not in {"input", "data"}:
            name = term_text(target)
            if not replaces_function:
                self._findings.add("G202", "`with` replaces input, data or a function", target.at)
            elif name == "eq" or name.startswith(_KEPT) or SIGNATURES[name].relation or not SIGNATURES[name].result:
                self._findings.add("G202", f"{name} cannot be replaced", target.at)
        if isinstance(value, Ref) and (self._is_function(value) or (replaces_function and self._is_rule(value))):
            return With(target, value, one.at)
        return With(target, self._named(self.term(value, out), out), one.at)

    def term(self, term: Term, out: list[Expr]) -> Term:
        """Return the term with variables for its calls, which are appended to ``out``."""
        kind = type(term)
        if kind is Scalar or kind is Number or kind is Var:
            return term
        if isinstance(term, Ref):
            return self._reference(term, out)
        if isinstance(term, Call):
            args = tuple(self.term(arg, out) for arg in term.args)
            made = self._new(term)
            out.append(Expr(Call(term.operator, (*args, made), term.at), term.at, generated=True))
            return made
        if isinstance(term, ArrayTerm):
            return ArrayTerm(tuple(self.term(item, out) for item in term.items), term.at)
        if isinstance(term, SetTerm):
            return SetTerm(tuple(self.term(item, out) for item in term.items), term.at)
        if isinstance(term, ObjectTerm):
            return ObjectTerm(tuple((self.term(key, out), self.term(value, out)) for key, value in term.pairs), term.at)
        if isinstance(term, Comprehension):
            body = self.body(term.body)
            extra: list[Expr] = []
            head = tuple(self._named(self.term(one, extra), extra) for one in term.head)
            return Comprehension(term.kind, head, _joined(body, extra), term.at)
        assert isinstance(term, Template)
        return self.term(self._template(term), out)

    def _reference(self, ref: Ref, out: list[Expr]) -> Ref:
        head = self.term(ref.head, out)
        path = tuple(self.term(step, out) for step in ref.path)
        return Ref(head if isinstance(head, Var) else self._hoisted(head, out), path, ref.at)

    def _template(self, template: Template) -> Call:
        """Return the call that joins the parts; a part without a value is an empty set to it."""
        parts: list[Term] = []
        for part in template.parts:
            if isinstance(part, Scalar):
                parts.append(part)
                continue
            what = part.what
            assert not isinstance(what, Bind | Every | Some | SomeIn | Nested)
            if isinstance(what, CONSTANTS) and not part.withs:
                parts.append(what)
            elif isinstance(what, Var):
                parts.append(SetTerm((what,), what.at))
            else:
                made = self._new(what)
                bind = Expr(Bind(made, what, declares=False, at=what.at), what.at, withs=part.withs)
                parts.append(Comprehension("set", (made,), (bind,), what.at))
        at = template.at
        operator = Ref(Var("internal", at), (Scalar("template_string", at),), at)
        return Call(operator, (ArrayTerm(tuple(parts) or (Scalar("", at),), at),), at)


def _joined(body: Body, extra: list[Expr]) -> Body:
    """Append to a body; the ``true`` that stands for an empty one goes."""
    if not extra:
        return body
    if len(body) == 1 and isinstance(body[0].what, Scalar) and body[0].what.value is True and not body[0].negated:
        return tuple(extra)
    return (*body, *extra)


def requires_evaluation(term: Term) -> bool:
    """Tell whether a reference or comprehension stands in the term."""
    if isinstance(term, LOOKUPS):
        return True
    if isinstance(term, ROWS):
        return any(map(requires_evaluation, term.items))
    if isinstance(term, ObjectTerm):
        return any(requires_evaluation(key) or requires_evaluation(value) for key, value in term.pairs)
    return False
