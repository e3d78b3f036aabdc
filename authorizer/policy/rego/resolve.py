"""Names: what the imports and the package's rules mean, and which variables are local to which body.

Each variable that ``:=``, ``some``, ``every`` or an argument declares gets its own name: later passes need no scopes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count

from msgspec.structs import replace

from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import (
    RESERVED,
    ROWS,
    ArrayTerm,
    At,
    Bind,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Module,
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
    written,
)

_SEEN, _ASSIGNED, _DECLARED, _ARGUMENT = "is used above", "is assigned above", "is declared above", "is an argument"


class _Scope:
    """One body. ``hidden``: names that it declares somewhere, so they mean no rule and no import in it."""

    def __init__(self, hidden: Iterable[str]) -> None:
        self.hidden = frozenset(hidden)
        self.names: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.declared: dict[str, At] = {}


class Resolver:
    """Resolves the rules of one module.

    ``exported`` are the names of the package's rules, of all its modules; ``numbers`` makes new names of variables;
    ``noted`` answers ``rego.metadata.rule`` and ``rego.metadata.chain``.
    """

    def __init__(
        self,
        module: Module,
        exported: Iterable[str],
        findings: Findings,
        numbers: "count[int]",
        noted: Callable[[Rule, str, At], Term],
    ) -> None:
        self._module = module
        self._findings = findings
        self._numbers = numbers
        self._noted = noted
        self._scopes: list[_Scope] = []
        self._rule: Rule | None = None
        self._shown: list[tuple[str, At, tuple[_Scope, ...]]] = []
        """What template strings show without declaring it, and the bodies that may."""
        package = ("data", *module.package)
        self._globals: dict[str, tuple[str, ...]] = {name: (*package, name) for name in exported}
        named: dict[str, At] = {}
        features: set[tuple[str, ...]] = set()
        for one in module.imports:
            if not one.name:
                if module.version and one.path in features:
                    findings.add("G203", f"{'.'.join(one.path)} is imported twice", one.at, "once is enough")
                features.add(one.path)
            else:
                if module.version and one.name in named:
                    findings.add("G203", f"another import is called `{one.name}`", one.at, "name one of them with `as`")
                named[one.name] = one.at
                self._globals[one.name] = one.path

    def rule(self, rule: Rule) -> Rule:
        """Return the rule with all names resolved; its path begins at ``data``."""
        name = rule.path[0]
        assert isinstance(name, Var)
        if self._module.version and name.name in RESERVED:
            self._findings.add("G203", f"a rule cannot be called `{name.name}`", rule.at, "choose another name")
        at = name.at
        package: tuple[Term, ...] = (
            Var("data", at),
            *(Scalar(part, at) for part in self._module.package),
            Scalar(name.name, at),
        )
        branches = [self._branch(one, package) for one in (replace(rule, elses=()), *rule.elses)]
        return replace(branches[0], elses=tuple(branches[1:]))

    def _branch(self, rule: Rule, package: tuple[Term, ...]) -> Rule:
        self._rule = rule
        args = rule.args or ()
        outer = _Scope(name for arg in args for name in pattern_names(arg))
        self._scopes = [outer]
        named = tuple(map(self._argument, args))
        scope = self._scopes[0]
        scope.hidden |= frozenset(declared_names(rule.body))
        body = self._exprs(rule.body)
        path = (*package, *(self.term(step) for step in rule.path[1:]))
        key = None if rule.key is None else self.term(rule.key)
        value = None if rule.value is None else self.term(rule.value)
        self._unused(scope)
        self._undeclared()
        return replace(rule, path=path, args=None if rule.args is None else named, key=key, value=value, body=body)

    def query(self, body: Body) -> Body:
        """Return a query with all names resolved."""
        self._scopes = [_Scope(declared_names(body))]
        resolved = self._exprs(body)
        self._unused(self._scopes[0])
        self._undeclared()
        return resolved

    def _argument(self, term: Term) -> Term:
        if isinstance(term, Var):
            scope = self._scopes[0]
            if term.name[0] == "$":
                return term
            if term.name not in scope.names:
                self._bind(scope, term.name, _ARGUMENT)
            return Var(scope.names[term.name], term.at)
        if isinstance(term, Ref) and isinstance(term.head, Var) and term.head.name in RESERVED:
            if term.path:
                self._findings.add("G301", f"`{term.head.name}` has no value here", term.at, "compare in the body")
            else:
                self._findings.add("G203", f"an argument cannot be called `{term.head.name}`", term.at)
            return term
        if isinstance(term, ArrayTerm):
            return replace(term, items=tuple(map(self._argument, term.items)))
        if isinstance(term, ObjectTerm):
            pairs = tuple((self.term(key), self._argument(value)) for key, value in term.pairs)
            return replace(term, pairs=pairs)
        if isinstance(term, Call):
            self._findings.add("G201", "the argument of a function cannot be a call", term.at)
            return term
        return self.term(term)

    # -- scopes ------------------------------------------------------------------------------------------------------

    def _bind(self, scope: _Scope, name: str, kind: str) -> str:
        made = f"{name}@{next(self._numbers)}"
        scope.names[name] = made
        scope.kinds[name] = kind
        return made

    def _declare(self, var: Var, kind: str) -> Var:
        if var.name[0] == "$":
            return var
        scope = self._scopes[-1]
        before = scope.kinds.get(var.name)
        if before is not None:
            self._findings.add("G201", f"`{var.name}` {before}", var.at, "choose another name")
            return Var(scope.names[var.name], var.at)
        made = self._bind(scope, var.name, kind)
        if kind == _DECLARED:
            scope.declared[var.name] = var.at
        return Var(made, var.at)

    def _unused(self, scope: _Scope) -> None:
        for name, at in scope.declared.items():
            self._findings.add("G204", f"`{name}` is declared and not used", at, "leave it out, or use it")

    def _local(self, name: str) -> str | None:
        """Return the name that an enclosing body gave the variable, and note its use."""
        for scope in reversed(self._scopes):
            found = scope.names.get(name)
            if found is not None:
                scope.declared.pop(name, None)
                return found
        return None

    def _variable(self, var: Var) -> Term:
        name = var.name
        if name[0] == "$":
            return var
        local = self._local(name)
        if local is not None:
            return Var(local, var.at)
        meant = self._globals.get(name)
        if meant is not None and not any(name in scope.hidden for scope in self._scopes):
            return _reference(meant, var.at)
        if name not in RESERVED:
            scope = self._scopes[-1]
            scope.names[name] = name
            scope.kinds[name] = _SEEN
        return var

    # -- terms -------------------------------------------------------------------------------------------------------

    def term(self, term: Term) -> Term:
        """Return the term with its names resolved."""
        kind = type(term)
        if kind is Scalar or kind is Number:
            return term
        if isinstance(term, Var):
            return self._variable(term)
        if isinstance(term, Ref):
            return self._reference(term)
        if isinstance(term, ArrayTerm):
            return ArrayTerm(tuple(map(self.term, term.items)), term.at)
        if isinstance(term, SetTerm):
            return SetTerm(tuple(map(self.term, term.items)), term.at)
        if isinstance(term, ObjectTerm):
            return ObjectTerm(tuple((self.term(key), self.term(value)) for key, value in term.pairs), term.at)
        if isinstance(term, Call):
            return self._call(term)
        if isinstance(term, Comprehension):
            with_names = _Scope(declared_names(term.body))
            self._scopes.append(with_names)
            body = self._exprs(term.body)
            head = tuple(map(self.term, term.head))
            self._unused(with_names)
            self._scopes.pop()
            return Comprehension(term.kind, head, body, term.at)
        assert isinstance(term, Template)
        return Template(tuple(map(self._part, term.parts)), term.at, term.raw)

    def _part(self, part: Scalar | Expr) -> Scalar | Expr:
        if isinstance(part, Scalar):
            return part
        scope = _Scope(())
        enclosing = tuple(self._scopes)
        self._scopes.append(scope)
        resolved = self._plain(part)
        self._scopes.pop()
        assert not isinstance(resolved.what, Bind | Every | Some | SomeIn | Nested)
        names = [*scope.names, *(name for name in free_names(resolved.what) if name[0] == "$")]
        self._shown += [(name, part.at, enclosing) for name in names]
        return resolved

    def _undeclared(self) -> None:
        for name, at, scopes in self._shown:
            if not any(name in scope.names for scope in scopes):
                told = f"a template string shows `{written(name)}`, which nothing declares"
                self._findings.add("G201", told, at, "declare it in the body")
        self._shown = []

    def _reference(self, ref: Ref) -> Ref:
        head = self._variable(ref.head) if isinstance(ref.head, Var) else self.term(ref.head)
        path = tuple(map(self.term, ref.path))
        if isinstance(head, Ref):
            return Ref(head.head, (*head.path, *path), ref.at)
        return Ref(head, path, ref.at)

    def _call(self, call: Call) -> Term:
        operator = call.operator
        head = operator.head
        if isinstance(head, Var):
            local = self._local(head.name)
            if local is not None and local != head.name:
                self._findings.add("G201", f"`{head.name}` is a variable here, not a function", call.at)
                return call
            meant = self._globals.get(head.name)
            if meant is not None and not any(head.name in scope.hidden for scope in self._scopes):
                base = _reference(meant, head.at)
                operator = Ref(base.head, (*base.path, *map(self.term, operator.path)), operator.at)
            elif head.name == "rego" and not call.args and term_text(operator).startswith("rego.metadata."):
                assert self._rule is not None
                return self._noted(self._rule, term_text(operator), call.at)
            elif operator.path:
                operator = Ref(head, tuple(map(self.term, operator.path)), operator.at)
        else:
            operator = self._reference(operator)
        return Call(operator, tuple(map(self.term, call.args)), call.at)

    # -- expressions -------------------------------------------------------------------------------------------------

    def _exprs(self, body: Body) -> Body:
        resolved = tuple(one for expr in body if (one := self._expr(expr)) is not None)
        return resolved or always(body[0].at)

    def _expr(self, expr: Expr) -> Expr | None:
        what = expr.what
        if isinstance(what, Bind):
            if what.declares:
                return self._assignment(expr, what)
            return replace(expr, what=self._bound(what), withs=self._withs(expr))
        if isinstance(what, Some):
            for name in what.names:
                self._declare(name, _DECLARED)
            return None
        if isinstance(what, SomeIn):
            return self._some_in(expr, what)
        if isinstance(what, Every):
            return self._every(expr, what)
        if isinstance(what, Nested):
            return self._nested(expr, what)
        return self._plain(expr)

    def _plain(self, expr: Expr) -> Expr:
        what = expr.what
        assert not isinstance(what, Bind | Every | Some | SomeIn | Nested)
        return replace(expr, what=self.term(what), withs=self._withs(expr))

    def _bound(self, bind: Bind) -> Bind:
        return Bind(self.term(bind.left), self.term(bind.right), declares=False, at=bind.at)

    def _assignment(self, expr: Expr, bind: Bind) -> Expr:
        if expr.negated:
            self._findings.add("G201", "`not` cannot declare a variable", expr.at, "declare it on a line of its own")
        right = self.term(bind.right)
        withs = self._withs(expr)
        left = self._pattern(bind.left)
        return replace(expr, what=Bind(left, right, declares=True, at=bind.at), withs=withs)

    def _pattern(self, term: Term) -> Term:
        """Declare the variables on the left of ``:=``."""
        if isinstance(term, Var):
            return self._declare(term, _ASSIGNED)
        if isinstance(term, ArrayTerm):
            return ArrayTerm(tuple(map(self._pattern, term.items)), term.at)
        if isinstance(term, ObjectTerm):
            return ObjectTerm(tuple((self.term(key), self._pattern(value)) for key, value in term.pairs), term.at)
        if isinstance(term, Ref) and not term.path and isinstance(term.head, Var) and term.head.name in RESERVED:
            if self._module.version == 0:
                return self._declare(term.head, _ASSIGNED)
            self._findings.add("G203", f"a variable cannot be called `{term.head.name}`", term.at)
            return term
        self._findings.add("G201", f"`{term_text(term)}` cannot be assigned to", term.at, "compare with =")
        return term

    def _some_in(self, expr: Expr, some: SomeIn) -> Expr:
        bound = set(pattern_names(some.value)) | (set() if some.key is None else set(pattern_names(some.key)))
        for name in sorted(bound & set(free_names(some.domain))):
            self._findings.add("G201", f"`{name}` is assigned before", some.at, "choose another name")
            return expr
        domain = self.term(some.domain)
        withs = self._withs(expr)
        key = Var(f"${next(self._numbers)}k", some.at) if some.key is None else self._members(some.key)
        value = self._members(some.value)
        whole = (
            Ref(domain.head, (*domain.path, key), some.at) if isinstance(domain, Ref) else Ref(domain, (key,), some.at)
        )
        return Expr(Bind(value, whole, declares=False, at=some.at), expr.at, withs=withs)

    def _members(self, term: Term) -> Term:
        """Declare the variables before ``in``; what they do not stand in is compared."""
        if isinstance(term, Var):
            made = self._declare(term, _DECLARED)
            self._scopes[-1].declared.pop(term.name, None)
            return made
        if isinstance(term, ArrayTerm):
            return ArrayTerm(tuple(map(self._members, term.items)), term.at)
        if isinstance(term, ObjectTerm):
            return ObjectTerm(tuple((self.term(key), self._members(value)) for key, value in term.pairs), term.at)
        return self.term(term)

    def _every(self, expr: Expr, every: Every) -> Expr:
        domain = self.term(every.domain)
        withs = self._withs(expr)
        names = [one.name for one in (every.key, every.value) if one is not None]
        scope = _Scope((*names, *declared_names(every.body)))
        self._scopes.append(scope)
        key = Var(f"@{next(self._numbers)}", every.at) if every.key is None else self._declare(every.key, _DECLARED)
        value = self._declare(every.value, _DECLARED)
        body = self._exprs(every.body)
        self._unused(scope)
        self._scopes.pop()
        return replace(expr, what=Every(key, value, domain, body, every.at), withs=withs)

    def _nested(self, expr: Expr, nested: Nested) -> Expr:
        withs = self._withs(expr)
        if not nested.own:
            return replace(expr, what=replace(nested, body=self._exprs(nested.body)), withs=withs)
        scope = _Scope(declared_names(nested.body))
        self._scopes.append(scope)
        body = self._exprs(nested.body)
        self._unused(scope)
        self._scopes.pop()
        return replace(expr, what=replace(nested, body=body), withs=withs)

    def _withs(self, expr: Expr) -> tuple[With, ...]:
        return tuple(With(self._target(one.target), self.term(one.value), one.at) for one in expr.withs)

    def _target(self, target: Ref) -> Ref:
        """Resolve what is replaced: a local variable that is called ``input`` is not meant."""
        if isinstance(target.head, Var):
            meant = self._globals.get(target.head.name)
            path = tuple(map(self.term, target.path))
            if meant is not None and not any(target.head.name in scope.hidden for scope in self._scopes):
                base = _reference(meant, target.at)
                return Ref(base.head, (*base.path, *path), target.at)
            return Ref(target.head, path, target.at)
        return target


def _reference(path: tuple[str, ...], at: At) -> Ref:
    return Ref(Var(path[0], at), tuple(Scalar(part, at) for part in path[1:]), at)


def pattern_names(term: Term) -> Iterator[str]:
    """Yield the variables of a pattern: of its arrays and of the values of its objects."""
    if isinstance(term, Var):
        if term.name[0] != "$":
            yield term.name
    elif isinstance(term, ArrayTerm):
        for item in term.items:
            yield from pattern_names(item)
    elif isinstance(term, ObjectTerm):
        for _, value in term.pairs:
            yield from pattern_names(value)


def free_names(term: Term) -> Iterator[str]:
    """Yield the variables of a term outside of comprehensions, but no operator of a call."""
    if isinstance(term, Var):
        yield term.name
    elif isinstance(term, Ref):
        for part in (term.head, *term.path):
            yield from free_names(part)
    elif isinstance(term, ROWS):
        for item in term.items:
            yield from free_names(item)
    elif isinstance(term, ObjectTerm):
        for key, value in term.pairs:
            yield from free_names(key)
            yield from free_names(value)
    elif isinstance(term, Call):
        for arg in term.args:
            yield from free_names(arg)


def declared_names(body: Body) -> Iterator[str]:
    """Yield what a body declares with ``:=`` and ``some``, in ``every`` too, not in comprehensions."""
    for expr in body:
        what = expr.what
        if isinstance(what, Bind):
            if what.declares:
                yield from pattern_names(what.left)
        elif isinstance(what, Some):
            yield from (name.name for name in what.names)
        elif isinstance(what, SomeIn):
            yield from pattern_names(what.value)
            if what.key is not None:
                yield from pattern_names(what.key)
        elif isinstance(what, Every):
            yield from declared_names(what.body)


def exported_names(modules: Iterable[Module]) -> Mapping[tuple[str, ...], set[str]]:
    """Return the names of the rules of each package."""
    names: dict[tuple[str, ...], set[str]] = {}
    for module in modules:
        package = names.setdefault(module.package, set())
        package.update(written(rule.path[0].name) for rule in module.rules if isinstance(rule.path[0], Var))
    return names
