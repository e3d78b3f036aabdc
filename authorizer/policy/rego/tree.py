"""All rules by the paths of their names: who is called, who conflicts with whom, and who needs itself.

A rule stands at the part of its path before the first variable: ``p.q[x].r`` at ``p.q``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.rego.problems import Findings
from authorizer.policy.rego.syntax import (
    DECLARATIONS,
    NAMES,
    Bind,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Module,
    Nested,
    Ref,
    Rule,
    Scalar,
    Term,
    Var,
    is_ground,
    term_text,
)
from authorizer.policy.rego.variables import bare, parts_of

Numbered = tuple[int, Rule]
"""A rule with the number of its module."""


class _Node:
    __slots__ = ("children", "packages", "rules")

    def __init__(self) -> None:
        self.children: dict[object, _Node] = {}
        self.rules: list[Numbered] = []
        self.packages: list[str] = []


def _is_fixed(step: Term) -> bool:
    return not isinstance(step, NAMES) and is_ground(step)


def name_of(rule: Rule) -> str:
    """Return the rule's name from ``data`` on, up to its first variable."""
    steps = []
    for step in rule.path[1:]:
        if not _is_fixed(step):
            break
        steps.append(step)
    return term_text(Ref(rule.path[0], tuple(steps), rule.at))


def is_whole(rule: Rule) -> bool:
    """Tell whether no variable stands in the rule's name."""
    return all(map(_is_fixed, rule.path[1:]))


class RuleTree:
    """The rules of all modules, resolved."""

    def __init__(self, modules: Sequence[Module], rules: Iterable[Numbered]) -> None:
        self._root = _Node()
        self._rules = list(rules)
        for module in modules:
            self._insert([("package", part) for part in module.package]).packages.append(".".join(module.package))
        for numbered in self._rules:
            rule = numbered[1]
            steps = []
            for step in rule.path[1:]:
                if not _is_fixed(step):
                    break
                steps.append(_step(step))
            self._insert(steps).rules.append(numbered)

    def _insert(self, steps: Iterable[object]) -> _Node:
        node = self._root
        for step in steps:
            node = node.children.setdefault(step, _Node())
        return node

    def _find(self, ref: Ref) -> _Node | None:
        if not isinstance(ref.head, Var) or ref.head.name != "data":
            return None
        node: _Node | None = self._root
        for step in ref.path:
            if node is None or not _is_fixed(step):
                return None
            node = node.children.get(_step(step))
        return node

    # -- functions ---------------------------------------------------------------------------------------------------

    def rules_at(self, ref: Ref) -> list[Rule]:
        """Return the rules that have exactly this name."""
        node = self._find(ref)
        return [rule for _, rule in node.rules] if node else []

    def is_rule(self, ref: Ref) -> bool:
        """Tell whether rules have this name."""
        return bool(self.rules_at(ref))

    def is_function(self, ref: Ref) -> bool:
        """Tell whether the name is that of a builtin function or of rules with arguments."""
        if isinstance(ref.head, Var) and ref.head.name == "data":
            return any(rule.args is not None for rule in self.rules_at(ref))
        return term_text(ref) in SIGNATURES

    def arity(self, call: Call) -> int:
        """Return how many arguments the called function takes; -1: there is no such function."""
        return self._taken(call.operator)

    def _taken(self, function: Ref) -> int:
        if isinstance(function.head, Var) and function.head.name == "data":
            args = next((rule.args for rule in self.rules_at(function)), None)
            return -1 if args is None else len(args)
        signature = SIGNATURES.get(term_text(function))
        return len(signature.arguments) if signature else -1

    # -- conflicts ---------------------------------------------------------------------------------------------------

    def conflicts(self, findings: Sequence[Findings]) -> None:
        """Note rules that cannot stand beside each other; ``findings`` are those of the modules."""
        pending: list[_Node] = [self._root]
        while pending:
            node = pending.pop()
            if node.rules:
                self._conflict(node, findings)
            pending.extend(node.children.values())

    def _conflict(self, node: _Node, findings: Sequence[Findings]) -> None:
        number, first = node.rules[0]
        rules = [rule for _, rule in node.rules]
        name = term_text(Ref(first.path[0], first.path[1:], first.at))
        whole = [rule for rule in rules if is_whole(rule)]
        inside = list(_rules_below(node))
        if whole and inside:
            others = ", ".join(sorted({name_of(rule) for _, rule in inside}))
            findings[number].add(
                "G401", f"rule {name} conflicts with {others}", first.at, "one of them is inside the other"
            )
        elif not whole and (functions := [rule for _, rule in inside if rule.args is not None]):
            findings[number].add("G401", f"rule {name} conflicts with function {name_of(functions[0])}", first.at)
        sets = {rule.key is not None for rule in rules}
        complete = sum(rule.key is None for rule in whole)
        set_shapes = {is_whole(rule) for rule in rules if rule.key is not None}
        mixed = len(sets) > 1 or len({_arity(rule) for rule in rules}) > 1 or len(set_shapes) > 1
        if mixed or (complete and complete < len(rules)):
            findings[number].add(
                "G401", f"conflicting rules {name}", first.at, "all of one kind, with one number of arguments"
            )
        defaults = [(index, rule) for index, rule in node.rules if rule.default]
        if len(defaults) > 1:
            findings[defaults[1][0]].add("G402", f"a second default of {name}", defaults[1][1].at)
        if whole and node.packages and not inside:
            findings[number].add("G401", f"rule {name} conflicts with package {node.packages[0]}", first.at)

    def given(self, data: Mapping[str, Any], findings: Sequence[Findings]) -> None:
        """Note rules that make a document which is given."""
        waiting: list[tuple[_Node, Mapping[str, Any]]] = [(self._root, data)]
        while waiting:
            node, document = waiting.pop()
            for key, below in node.children.items():
                step = key[1] if isinstance(key, tuple) and key[0] == "package" else None
                if not isinstance(step, str) or step not in document:
                    continue
                for number, rule in below.rules[:1]:
                    findings[number].add("G205", f"{name_of(rule)} is given as data too", rule.at, "rename one of them")
                if isinstance(document[step], dict):
                    waiting.append((below, document[step]))

    # -- calls -------------------------------------------------------------------------------------------------------

    def check_calls(self, body: Body, findings: Findings, version: int = 1) -> None:
        """Note calls of what is no function, with another number of arguments, or of what version 1 has no more."""
        for call, generated in calls_of(body):
            name = term_text(call.operator)
            taken = self.arity(call)
            given = len(call.args) - generated
            signature = SIGNATURES.get(name)
            if version and signature is not None and signature.deprecated:
                findings.add("G406", f"{name} is deprecated", call.at, "only Rego version 0 has it")
            if taken < 0:
                findings.add("G403", f"undefined function {name}", call.at)
            elif given != taken and (generated or given != taken + 1):
                findings.add("G404", f"{name} takes {taken} arguments, not {given}", call.at)
        for expr in walk(body):
            for one in expr.withs if isinstance(expr, Expr) else ():
                taken = self._taken(one.target)
                other = self._taken(one.value) if isinstance(one.value, Ref) else -1
                if taken >= 0 and other >= 0 and taken != other:
                    told = f"{term_text(one.target)} takes {taken} arguments, {term_text(one.value)} {other}"
                    findings.add("G404", told, one.at, "a function is replaced by one that takes as many")

    # -- recursion ---------------------------------------------------------------------------------------------------

    def recursion(self, findings: Sequence[Findings]) -> list[int]:
        """Note rules whose value needs their own; return the numbers of the rules, each after those that it needs."""
        edges: list[list[int]] = []
        numbers = {id(rule): index for index, (_, rule) in enumerate(self._rules)}
        for _, rule in self._rules:
            needed: dict[int, None] = {}
            for ref in refs_of(rule):
                for other in self._needed(ref):
                    needed[numbers[id(other)]] = None
            edges.append(list(needed))
        order: list[int] = []
        for cycle in cycles(edges, order):
            module, rule = self._rules[cycle[0]]
            told = " -> ".join(name_of(self._rules[index][1]) for index in (*cycle, cycle[0]))
            findings[module].add("G501", f"rule {name_of(rule)} is recursive: {told}", rule.at)
        return order

    def _needed(self, ref: Ref) -> Iterator[Rule]:
        """Yield the rules that a reference may need: on its way, and all below where it ends."""
        nodes = [self._root]
        for index, step in enumerate(ref.path):
            following: list[_Node] = []
            for node in nodes:
                if _is_fixed(step):
                    child = node.children.get(_step(step))
                    following.extend([child] if child else [])
                else:
                    following.extend(node.children.values())
            nodes = following
            last = index == len(ref.path) - 1
            for node in nodes:
                if not last:
                    yield from (rule for _, rule in node.rules if _may_meet(rule, ref))
        for node in nodes:
            yield from (rule for _, rule in node.rules)
            yield from (rule for _, rule in _rules_below(node))


def _step(step: Term) -> object:
    if isinstance(step, Scalar) and isinstance(step.value, str):
        return ("package", step.value)
    return bare(step)


def _arity(rule: Rule) -> int:
    return -1 if rule.args is None else len(rule.args)


def _rules_below(node: _Node) -> Iterator[Numbered]:
    pending = list(node.children.values())
    while pending:
        one = pending.pop()
        yield from one.rules
        pending.extend(one.children.values())


def _may_meet(rule: Rule, ref: Ref) -> bool:
    return all(
        not (_is_fixed(mine) and _is_fixed(other)) or bare(mine) == bare(other)
        for mine, other in zip(rule.path[1:], ref.path, strict=False)
    )


def cycles(edges: Sequence[Sequence[int]], done: list[int]) -> Iterator[list[int]]:
    """Yield one cycle for each rule that a walk comes back to. No recursion: chains of rules are long.

    ``done`` is filled with the rules, each after those that it leads to.
    """
    state = [0] * len(edges)  # 0 new, 1 on the walk, 2 done
    for start in range(len(edges)):
        if state[start]:
            continue
        walk = [start]
        iterators = [iter(edges[start])]
        state[start] = 1
        while walk:
            for following in iterators[-1]:
                if state[following] == 1:
                    yield walk[walk.index(following) :]
                elif state[following] == 0:
                    state[following] = 1
                    walk.append(following)
                    iterators.append(iter(edges[following]))
                    break
            else:
                done.append(walk.pop())
                state[done[-1]] = 2
                iterators.pop()


def _branches(rule: Rule) -> Iterator[Rule]:
    yield rule
    yield from rule.elses


def _expr_terms(expr: Expr) -> Iterator[Term]:
    what = expr.what
    if isinstance(what, Bind):
        yield from (what.left, what.right)
    elif isinstance(what, Every):
        yield what.domain
    elif not isinstance(what, Nested):
        assert not isinstance(what, DECLARATIONS)
        yield what
    for one in expr.withs:
        yield one.value


def walk(body: Body, *, nested: bool = True) -> Iterator[Expr | Term]:
    """Yield every expression and every term of a body at every depth, each once; what is ``Nested`` may be left out."""
    bodies = [body]
    while bodies:
        for expr in bodies.pop():
            yield expr
            if isinstance(expr.what, Every) or (nested and isinstance(expr.what, Nested)):
                bodies.append(expr.what.body)
            pending = list(_expr_terms(expr))
            while pending:
                term = pending.pop()
                yield term
                if isinstance(term, Comprehension):
                    pending.extend(term.head)
                    bodies.append(term.body)
                else:
                    pending.extend(parts_of(term))


def refs_of(rule: Rule) -> Iterator[Ref]:
    """Yield every reference into ``data`` of a rule, the names of called functions too."""
    for branch in _branches(rule):
        heads = [
            term for term in (*branch.path[1:], *(branch.args or ()), branch.key, branch.value) if term is not None
        ]
        holder = tuple(Expr(term, branch.at) for term in heads)
        for found in walk((*branch.body, *holder)):
            ref = found.operator if isinstance(found, Call) else found
            if isinstance(ref, Ref) and isinstance(ref.head, Var) and ref.head.name == "data":
                yield ref


def calls_of(body: Body) -> Iterator[tuple[Call, bool]]:
    """Yield the calls of a flat body, each with whether its last argument takes the result."""
    for found in walk(body):
        if isinstance(found, Expr) and isinstance(found.what, Call):
            yield found.what, found.generated
