"""Which variables terms and expressions hold, and which of them an expression makes known.

What this page calls an output is what OPA's safety check calls one; the answers must be the same, since the order of a
body's expressions follows from them.
"""

from collections.abc import Callable, Iterable
from typing import Any

from authorizer.policy.rego.syntax import (
    DECLARATIONS,
    PATTERNS,
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
    Scalar,
    SetTerm,
    Some,
    SomeIn,
    Term,
    Var,
    With,
    is_ground,
)

Arity = Callable[[Call], int]
"""The number of arguments of a called function, -1 where there is none such."""


def term_vars(
    term: Term,
    found: set[str],
    *,
    closures: bool = False,
    heads: bool = True,
    keys: bool = True,
    sets: bool = True,
) -> None:
    """Add the variables of a term. ``heads``: those that begin a reference; ``keys``: of objects; ``sets``: in sets."""
    kind = type(term)
    if kind is Scalar or kind is Number:
        return
    if isinstance(term, Var):
        found.add(term.name)
        return
    parts: Iterable[Term] = ()
    if isinstance(term, Ref):
        parts = (term.head, *term.path) if heads else term.path
    elif isinstance(term, ArrayTerm):
        parts = term.items
    elif isinstance(term, SetTerm):
        parts = term.items if sets else ()
    elif isinstance(term, ObjectTerm):
        parts = [part for key, value in term.pairs for part in ((key, value) if keys else (value,))]
    elif isinstance(term, Call):
        parts = (*term.operator.path, *term.args)
    elif isinstance(term, Comprehension) and closures:
        body_vars(term.body, found, closures=True)
        parts = term.head
    for part in parts:
        term_vars(part, found, closures=closures, heads=heads, keys=keys, sets=sets)


def expr_vars(expr: Expr, found: set[str], *, closures: bool = False) -> None:
    """Add the variables of an expression; ``closures``: those of comprehensions and ``every`` bodies too."""
    what = expr.what
    if isinstance(what, Bind):
        term_vars(what.left, found, closures=closures)
        term_vars(what.right, found, closures=closures)
    elif isinstance(what, Every):
        term_vars(what.domain, found, closures=closures)
        if closures:
            found.update(name.name for name in (what.key, what.value) if name is not None)
            body_vars(what.body, found, closures=True)
    elif isinstance(what, Nested):
        _nested_vars(what, found, closures=closures)
    else:
        assert not isinstance(what, DECLARATIONS)
        term_vars(what, found, closures=closures)
    for one in expr.withs:
        with_vars(one, found)


def _nested_vars(nested: Nested, found: set[str], *, closures: bool) -> None:
    """Add the variables that must be known outside; with ``closures`` those that may be, too."""
    inner: set[str] = set()
    if closures or not nested.own:
        body_vars(nested.body, inner, closures=closures)
    # What the compiler took out of a term stands in the same body, and nowhere else.
    found.update(inner if closures else (name for name in inner if name[0] != "@"))


def with_vars(one: With, found: set[str]) -> None:
    """Add the variables of a ``with``: functions that it names are none."""
    for step in one.target.path:
        term_vars(step, found)
    if isinstance(one.value, Ref):
        for step in one.value.path:
            term_vars(step, found)
    else:
        term_vars(one.value, found)


def body_vars(body: Body, found: set[str], *, closures: bool = False) -> None:
    """Add the variables of all expressions."""
    for expr in body:
        expr_vars(expr, found, closures=closures)


def closure_vars(expr: Expr, found: set[str]) -> None:
    """Add the variables that stand in the comprehensions and the ``every`` body of an expression."""
    what = expr.what
    if isinstance(what, Bind):
        _closures(what.left, found)
        _closures(what.right, found)
    elif isinstance(what, Every):
        _closures(what.domain, found)
        body_vars(what.body, found, closures=True)
    elif isinstance(what, Nested):
        _nested_vars(what, found, closures=True)
    else:
        assert not isinstance(what, DECLARATIONS)
        _closures(what, found)
    for one in expr.withs:
        _closures(one.value, found)


def _closures(term: Term, found: set[str]) -> None:
    if isinstance(term, Comprehension):
        term_vars(term, found, closures=True)
        return
    for part in parts_of(term):
        _closures(part, found)


_PARTS: dict[type, Callable[[Any], Iterable[Term]]] = {
    Ref: lambda ref: (ref.head, *ref.path),
    ArrayTerm: lambda array: array.items,
    SetTerm: lambda one: one.items,
    ObjectTerm: lambda one: [part for pair in one.pairs for part in pair],
    Call: lambda call: call.args,
}


def parts_of(term: Term) -> Iterable[Term]:
    """Return the terms that stand directly in a term; those of a comprehension are not looked for."""
    parts = _PARTS.get(type(term))
    return parts(term) if parts else ()


def outputs(expr: Expr, safe: set[str], arity: Arity) -> set[str]:
    """Return the variables that become known when the expression is evaluated with ``safe`` known."""
    if expr.negated or isinstance(expr.what, Nested):
        return set()
    for one in expr.withs:
        needed: set[str] = set()
        with_vars(one, needed)
        if not needed <= safe:
            return set()
    what = expr.what
    if isinstance(what, Bind):
        return _bind_outputs(what, safe)
    found: set[str] = set()
    if isinstance(what, Every):
        _ref_outputs(what.domain, safe, found)
        return found
    assert not isinstance(what, Some | SomeIn | Nested)
    _ref_outputs(what, safe, found)
    if isinstance(what, Call):
        taken = arity(what)
        if taken < 0:
            return set()
        if len(what.args) > taken:
            return _call_outputs(what, taken, safe, found)
    return found


def _call_outputs(call: Call, taken: int, safe: set[str], found: set[str]) -> set[str]:
    needed: set[str] = set()
    for arg in call.args[:taken]:
        term_vars(arg, needed, heads=False, keys=False, sets=False)
    if not needed <= safe | found:
        return set()
    for arg in call.args[taken:]:
        term_vars(arg, found, heads=False, keys=False, sets=False)
    return found


def _bind_outputs(bind: Bind, safe: set[str]) -> set[str]:
    known: set[str] = set()
    _ref_outputs(bind.left, safe, known)
    _ref_outputs(bind.right, safe, known)
    known |= safe
    if bind.declares:
        # What := declares is made by its right side alone, never the other way round.
        declared: set[str] = set()
        term_vars(bind.left, declared)
        known -= declared
    return (known | _Unifier(known).run(bind.left, bind.right)) - safe


def _ref_outputs(term: Term, safe: set[str], found: set[str]) -> None:
    """Add the variables in the paths of references whose heads are known: evaluation runs over them."""
    if isinstance(term, Ref):
        if not head_is_safe(term, safe):
            return
        if not is_ground(term):
            for step in term.path:
                term_vars(step, found, heads=False)
    for part in parts_of(term):
        _ref_outputs(part, safe, found)


def head_is_safe(ref: Ref, safe: set[str]) -> bool:
    """Tell whether what the reference begins with is known."""
    if isinstance(ref.head, Var):
        return ref.head.name in safe
    needed: set[str] = set()
    term_vars(ref.head, needed)
    return needed <= safe


class _Unifier:
    """Finds the variables that ``a = b`` makes known."""

    def __init__(self, safe: set[str]) -> None:
        self.safe = safe
        self.unified: set[str] = set()
        self.unknown: dict[str, set[str]] = {}

    def run(self, left: Term, right: Term) -> set[str]:
        self.unify(left, right)
        return self.unified

    def known(self, name: str) -> bool:
        return name in self.safe or name in self.unified

    def unify(self, a: Term, b: Term) -> None:
        if isinstance(a, Var):
            self._variable(a, b)
        elif isinstance(b, Var):
            self._variable(b, a)
        elif isinstance(a, ArrayTerm) and isinstance(b, ArrayTerm):
            if len(a.items) == len(b.items):
                for one, other in zip(a.items, b.items, strict=True):
                    self.unify(one, other)
        elif isinstance(a, ObjectTerm) and isinstance(b, ObjectTerm):
            if len(a.pairs) == len(b.pairs):
                values = {bare(key): value for key, value in b.pairs}
                for key, value in a.pairs:
                    if bare(key) in values:
                        self.unify(value, values[bare(key)])
        else:
            for one, other in ((a, b), (b, a)):
                if isinstance(one, PATTERNS) and self._evaluates(other):
                    self.mark_all(one)

    def _evaluates(self, term: Term) -> bool:
        """Tell whether the term has a value of its own that a pattern can be matched with."""
        return isinstance(term, Comprehension) or (isinstance(term, Ref) and head_is_safe(term, self.safe))

    def _variable(self, var: Var, other: Term) -> None:
        name = var.name
        if isinstance(other, Var):
            if self.known(other.name):
                self.mark(name)
            elif self.known(name):
                self.mark(other.name)
            else:
                self.unknown.setdefault(name, set()).add(other.name)
                self.unknown.setdefault(other.name, set()).add(name)
        elif isinstance(other, PATTERNS):
            self._all(name, other)
        elif not isinstance(other, Ref) or head_is_safe(other, self.safe):
            self.mark(name)

    def _all(self, name: str, pattern: Term) -> None:
        if self.known(name):
            self.mark_all(pattern)
            return
        needed: set[str] = set()
        term_vars(pattern, needed, heads=False, keys=False)
        needed -= self.safe | self.unified
        if needed:
            self.unknown.setdefault(name, set()).update(needed)
        else:
            self.mark(name)

    def mark_all(self, pattern: Term) -> None:
        found: set[str] = set()
        term_vars(pattern, found, heads=False, keys=False)
        for name in found:
            self.mark(name)

    def mark(self, name: str) -> None:
        pending = [name]
        while pending:
            one = pending.pop()
            if one in self.unified and one not in self.unknown:
                continue
            self.unified.add(one)
            pending.extend(self.unknown.pop(one, ()))
            for dependent, needed in list(self.unknown.items()):
                needed.discard(one)
                if not needed:
                    pending.append(dependent)
                    del self.unknown[dependent]


def bare(term: Term) -> object:
    """Return the term without its places, to compare it."""
    kind = type(term)
    if isinstance(term, Scalar):
        return (kind, type(term.value), term.value)
    if isinstance(term, Number):
        return (kind, term.text)
    if isinstance(term, Var):
        return (kind, term.name)
    if isinstance(term, Comprehension):
        return (kind, id(term))
    if isinstance(term, ObjectTerm):
        return (kind, *((bare(key), bare(value)) for key, value in term.pairs))
    return (kind, *map(bare, parts_of(term)))
