"""Checks that calls, unifications and references can ever succeed, by the types that the source tells."""

from collections.abc import Sequence

from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import (
    COLLECTIONS,
    DECLARATIONS,
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
    Term,
    Var,
    term_text,
    written,
)
from authorizer.policy.rego.tree import RuleTree, is_whole
from authorizer.policy.rego.types import (
    ANY,
    BOOLEAN,
    NULL,
    NUMBER,
    STRING,
    Type,
    array_of,
    declared,
    either,
    elements,
    meet,
    member,
    set_of,
)
from authorizer.policy.rego.variables import expr_vars, term_vars

_DECLARED = {
    name: (tuple(map(declared, one.arguments)), declared(one.result) if one.result else BOOLEAN)
    for name, one in SIGNATURES.items()
}


class TypeChecker:
    """Checks rules in the order of their dependencies, so that the type of what a rule needs is known before it."""

    def __init__(self, tree: RuleTree) -> None:
        self._tree = tree
        self._rules: dict[str, list[Type]] = {}
        self._taken: dict[str, list[tuple[Type, ...]]] = {}
        self._known: dict[str, Type] = {}
        self._findings = Findings("", ())

    def rule(self, rule: Rule, name: str, findings: Findings) -> None:
        """Check a rule and remember the type of its value under ``name``, from ``data`` on.

        As in OPA, the bodies of ``every`` and those that ``and``, ``or`` and ``not`` hold are not looked into.
        """
        self._findings = findings
        types = self._rules.setdefault(name, [])
        for branch in (rule, *rule.elses):
            self._known = {}
            self._body(branch.body)
            if branch.args is not None:  # each is what the body takes it for
                self._taken.setdefault(name, []).append(tuple(map(self._type, branch.args)))
            if branch.key is not None:
                types.append(set_of(self._type(branch.key)))
            elif branch.value is not None:
                types.append(self._type(branch.value))

    def _body(self, body: Body) -> None:
        for expr in body:
            self._expr(expr)

    def _expr(self, expr: Expr) -> None:
        what = expr.what
        if expr.withs:  # what is replaced may have other types: nothing is known
            self._unknown(expr)
        elif isinstance(what, Bind):
            self._bind(what)
        elif isinstance(what, Call):
            self._call(what)
        elif isinstance(what, Every):
            self._type(what.domain)
        elif isinstance(what, Nested):
            pass
        else:
            assert not isinstance(what, DECLARATIONS)
            self._type(what)

    def _unknown(self, expr: Expr) -> None:
        names: set[str] = set()
        expr_vars(expr, names)
        for name in names:
            self._known.setdefault(name, ANY)

    # -- unification -------------------------------------------------------------------------------------------------

    def _bind(self, bind: Bind) -> None:
        left, right = bind.left, bind.right
        if isinstance(left, Var) and left.name not in self._known:
            self._known[left.name] = self._type(right)
        elif isinstance(right, Var) and right.name not in self._known:
            self._known[right.name] = self._type(left)
        elif not self._unify(left, right):
            shown = f"{self._type(left)} and {self._type(right)}"
            self._findings.add("G405", f"these are never equal: {shown}", bind.at, "compare like with like")

    def _unify(self, left: Term, right: Term) -> bool:
        if isinstance(left, ArrayTerm) and isinstance(right, ArrayTerm):
            if len(left.items) != len(right.items):
                return False
            pairs = zip(left.items, right.items, strict=True)
            return all(self._unify(one, other) for one, other in pairs)
        if isinstance(left, Var) and left.name not in self._known:
            self._known[left.name] = self._type(right)
            return True
        if isinstance(right, Var) and right.name not in self._known:
            self._known[right.name] = self._type(left)
            return True
        if isinstance(left, ArrayTerm | ObjectTerm):
            return self._take(left, self._type(right))
        return self._take(right, self._type(left))

    def _take(self, pattern: Term, given: Type) -> bool:
        """Give a value's type to a pattern; False where the pattern can never match it."""
        if isinstance(pattern, Var):
            known = self._known.setdefault(pattern.name, given)
            return meet(known, given)
        if given == ANY and isinstance(pattern, COLLECTIONS):
            self._forget(pattern)
            return True
        if isinstance(pattern, ArrayTerm):
            found = [self._take(item, self._inner(given, index)) for index, item in enumerate(pattern.items)]
            return all(found) and meet(self._type(pattern), given)
        if isinstance(pattern, ObjectTerm):
            found = []
            for key, value in pattern.pairs:
                text = key.value if isinstance(key, Scalar) and isinstance(key.value, str) else None
                found.append(self._take(value, self._inner(given, text)))
            return all(found) and meet(self._type(pattern), given)
        return meet(self._type(pattern), given)

    def _forget(self, term: Term) -> None:
        """Take what stands in a collection as of any type: OPA does where the collection itself may be of any."""
        names: set[str] = set()
        term_vars(term, names)
        self._known |= dict.fromkeys(names, ANY)

    def _inner(self, given: Type, constant: object) -> Type:
        key = NUMBER if isinstance(constant, int) else STRING if isinstance(constant, str) else ANY
        return member(given, key, constant) or ANY

    # -- calls -------------------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> None:
        name = term_text(call.operator)
        known = _DECLARED.get(name)
        if name.startswith("data.") or known is None:
            clauses = self._taken.get(name, [])
            wanted: Sequence[Type] = [either(column) for column in zip(*clauses, strict=True)]
            taken, result = self._tree.arity(call), self._of_rule(name)
        else:
            wanted, result = known
            taken = len(wanted)
            if SIGNATURES[name].relation:
                result = ANY
        for position, (arg, one) in enumerate(zip(call.args, wanted, strict=False), 1):
            if isinstance(arg, Var) and arg.name not in self._known:
                self._known[arg.name] = one
            elif one == ANY and isinstance(arg, COLLECTIONS):
                self._forget(arg)
            elif not meet(self._type(arg), one):
                given = self._type(arg)
                self._findings.add("G405", f"{name} takes {one} as argument {position}, not {given}", arg.at)
        for arg in call.args[:taken]:
            self._type(arg)
        for arg in call.args[taken:]:
            if not self._take(arg, result):
                self._findings.add("G405", f"{name} gives {result}, never {self._type(arg)}", arg.at)

    def _of_rule(self, name: str) -> Type:
        types = self._rules.get(name)
        return either(types) if types else ANY

    # -- types of terms ----------------------------------------------------------------------------------------------

    def _type(self, term: Term) -> Type:
        if isinstance(term, Scalar):
            return NULL if term.value is None else STRING if isinstance(term.value, str) else BOOLEAN
        if isinstance(term, Number):
            return NUMBER
        if isinstance(term, Var):
            return self._known.get(term.name, ANY)
        if isinstance(term, Ref):
            return self._reference(term)
        if isinstance(term, ArrayTerm):
            return Type("array", items=tuple(map(self._type, term.items)))
        if isinstance(term, SetTerm):
            return set_of(either(map(self._type, term.items)) if term.items else ANY)
        if isinstance(term, ObjectTerm):
            return self._object(term)
        if isinstance(term, Comprehension):
            outer, self._known = self._known, dict(self._known)
            self._body(term.body)
            head = [self._type(one) for one in term.head]
            self._known = outer
            if term.kind == "object":
                return Type("object", keys=head[0], rest=head[1])
            return array_of(head[0]) if term.kind == "array" else set_of(head[0])
        return ANY

    def _object(self, term: ObjectTerm) -> Type:
        members: dict[str, Type] = {}
        keys: list[Type] = []
        values: list[Type] = []
        for key, value in term.pairs:
            if isinstance(key, Scalar) and isinstance(key.value, str):
                members[key.value] = self._type(value)
            else:
                keys.append(self._type(key))
                values.append(self._type(value))
        known = tuple(members.items())
        return (
            Type("object", members=known, keys=either(keys), rest=either(values))
            if keys
            else Type("object", members=known)
        )

    def _reference(self, ref: Ref) -> Type:
        assert isinstance(ref.head, Var)
        steps: Sequence[Term] = ref.path
        if ref.head.name == "data":
            found, steps = self._document(ref)
        elif ref.head.name == "input":
            found = ANY
        else:
            found = self._known.setdefault(ref.head.name, ANY)
        for step in steps:
            inner = self._step(found, step)
            if inner is None:
                name = written(ref.head.name)
                what = f"`{term_text(ref)}`" if name else "this"
                self._findings.add("G405", f"{what} has no value: {found} has no such member", ref.at)
                return ANY
            found = inner
        return found

    def _step(self, source: Type, step: Term) -> Type | None:
        if isinstance(step, Var) and step.name not in self._known:
            pair = elements(source)
            if pair is None:
                return None
            self._known[step.name] = pair[0]
            return pair[1]
        constant: object = None
        if isinstance(step, Scalar) and isinstance(step.value, str):
            constant = step.value
        elif isinstance(step, Number) and step.text.isdigit():
            constant = int(step.text)
        return member(source, self._type(step), constant)

    def _document(self, ref: Ref) -> tuple[Type, Sequence[Term]]:
        """Return the type of the rule that a reference leads to, and the steps after it."""
        for length in range(1, len(ref.path) + 1):
            name = Ref(ref.head, ref.path[:length], ref.at)
            rules = self._tree.rules_at(name)
            if rules:
                if any(rule.args is not None for rule in rules):
                    self._findings.add("G404", f"{term_text(name)} is a function", ref.at, "call it")
                    break
                if not all(map(is_whole, rules)):
                    break
                return self._of_rule(term_text(name)), ref.path[length:]
        for step in ref.path:
            if isinstance(step, Var):
                self._known.setdefault(step.name, ANY)
        return ANY, ()
