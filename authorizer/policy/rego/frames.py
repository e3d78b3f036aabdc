"""What the planner knows while it works: rules by name, what ``with`` hides or replaces, variables in scope."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from msgspec import Struct

from authorizer.policy.rego.syntax import Body, Module, Rule, Scalar, Term, Var
from authorizer.policy.rego.writing import DATA, INPUT, Operand, Tables, Writer, local


class Placed(Struct, frozen=True):
    """A rule and the file that it comes from."""

    rule: Rule
    file: str


class Node:
    """A step of the tree of rules. ``with data.x`` hides a child for a while: the last of its stack counts."""

    def __init__(self) -> None:
        self.stacks: dict[str, list[Node | None]] = {}
        self.rules: list[Placed] = []

    @cached_property
    def placed(self) -> list[Placed]:
        """The rules here, those with the longest names first."""
        return sorted(self.rules, key=lambda one: -len(one.rule.path))

    @cached_property
    def path(self) -> tuple[str, ...]:
        """The steps that the names of all rules here share, after ``data``: strings before any variable."""
        longest = self.placed[0].rule
        shared = min(*(len(strings_of(one.rule)) for one in self.placed), len(longest.path) - 1)
        return strings_of(longest)[:shared]

    @property
    def builds(self) -> bool:
        """Whether the names go on after what they share, so that the rules fill an object together."""
        return len(self.path) != len(self.placed[0].rule.path) - 1

    def child(self, name: str) -> "Node | None":
        """Return the child, None where there is none or it is hidden."""
        stack = self.stacks.get(name)
        return stack[-1] if stack else None

    def children(self) -> list[tuple[str, "Node"]]:
        """Return the children that are not hidden, by name."""
        return sorted((name, stack[-1]) for name, stack in self.stacks.items() if stack and stack[-1] is not None)

    def find(self, path: tuple[Term, ...]) -> "Node | None":
        """Return the node that a path of strings leads to."""
        node: Node | None = self
        for step in path:
            if node is None or not isinstance(step, Scalar) or not isinstance(step.value, str):
                return None
            node = node.child(step.value)
        return node

    @property
    def is_function(self) -> bool:
        """Whether the rules here take arguments."""
        return bool(self.rules) and self.rules[0].rule.args is not None


def strings_of(rule: Rule) -> tuple[str, ...]:
    """Return the steps of the rule's path after ``data`` up to the first that is not a string."""
    steps: list[str] = []
    for step in rule.path[1:]:
        if not isinstance(step, Scalar) or not isinstance(step.value, str):
            break
        steps.append(step.value)
    return tuple(steps)


def tree_of(modules: list[tuple[Module, list[Rule]]]) -> Node:
    """Return the tree of all rules; rules below others are planned with them, since together they make one object."""
    root = Node()
    prefixes = {strings_of(rule) for _, rules in modules for rule in rules}
    for module, rules in modules:
        if not rules:
            _insert(root, module.package)
        for rule in rules:
            steps = strings_of(rule)
            shortest = next((steps[:length] for length in range(len(steps)) if steps[:length] in prefixes), steps)
            _insert(root, shortest).rules.append(Placed(rule, module.file))
    return root


def _insert(root: Node, steps: tuple[str, ...]) -> Node:
    node = root
    for step in steps:
        stack = node.stacks.setdefault(step, [Node()])
        assert stack[0] is not None
        node = stack[0]
    return node


class Pending(Struct, frozen=True):
    """A function that is called and not yet written. ``replaced``: what calls in it mean."""

    node: Node
    name: str
    taken: int
    replaced: tuple[dict[str, Term], ...]


class Generation(Struct):
    """The functions planned so far under one set of replacements. ``passed``: variables that all of them take.

    ``plain`` is for what replaces a function: it calls the functions as they are.
    """

    number: int
    passed: tuple[str, ...]
    functions: dict[tuple[str, ...], str] = {}
    pending: list[Pending] = []
    plain: "Generation | None" = None


class Session:
    """What the functions of one plan share.

    ``plan_rules`` returns the name of the function of rules, ``plan_body`` writes a body: terms, bodies and rules need
    each other, and each has a page of its own.
    """

    def __init__(
        self,
        root: Node,
        plan_rules: "Callable[[Session, Node, int], str]",
        plan_body: "Callable[[Frame, Body], None]",
        write_pending: "Callable[[Session], None]",
    ) -> None:
        self.root = root
        self.plan_rules = plan_rules
        self.plan_body = plan_body
        self.write_pending = write_pending
        self.tables = Tables()
        self.functions: list[dict[str, Any]] = []
        self.generations = [Generation(0, ("input", "data"))]
        self.last_generation = 0
        self.replaced: list[list[dict[str, Term]]] = [[]]
        self.planned = 0
        self.calls: dict[str, set[str]] = {}

    @property
    def generation(self) -> Generation:
        """The one that is planned in."""
        return self.generations[-1]

    def parameters(self) -> tuple[str, ...]:
        """Return the variables that every function takes: input, data, and what replaces functions."""
        return tuple(name for generation in self.generations for name in generation.passed)

    def file_name(self, number: int) -> str:
        """Return the name of a file by its number."""
        return list(self.tables.files)[number]

    def replacement(self, operator: str) -> Term | None:
        """Return what ``with`` puts in place of a function."""
        for replaced in reversed(self.replaced[-1]):
            if operator in replaced:
                return replaced[operator]
        return None


class Frame:
    """One function or plan while it is written: its writer and the locals of the variables in scope."""

    def __init__(self, session: Session, first_local: int, names: dict[str, int], name: str = "") -> None:
        self.session = session
        self.name = name
        self.writer = Writer(session.tables, first_local)
        self.scopes = [names]
        self.file = 0

    def seen(self, name: str) -> int | None:
        """Return the local of a variable, None where it has none yet."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def bind(self, name: str, number: int) -> None:
        """Give a variable its local."""
        self.scopes[-1][name] = number

    def variable(self, name: str) -> Operand:
        """Return the operand of a variable; one that nothing gave a value is undefined."""
        number = self.seen(name)
        if number is None:
            number = self.writer.local()
            self.bind(name, number)
        return local(number)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Forget afterwards what was bound within."""
        self.scopes.append({})
        try:
            yield
        finally:
            self.scopes.pop()

    def document(self, name: str) -> Operand:
        """Return the operand of ``input`` or ``data``."""
        number = self.seen(name)
        return local((INPUT if name == "input" else DATA) if number is None else number)

    def arguments(self) -> list[Operand]:
        """Return what every call of a planned function begins with."""
        return [self.variable(name) for name in self.session.parameters()]

    def function(self, node: Node, taken: int = 0) -> str:
        """Return the name of the function of rules that this one calls."""
        name = self.session.plan_rules(self.session, node, taken)
        self.session.calls.setdefault(self.name, set()).add(name)
        return name

    def is_unseen(self, term: Term) -> bool:
        """Tell whether the term is a variable without a value, or holds one."""
        if isinstance(term, Var):
            return self.seen(term.name) is None
        parts = [*getattr(term, "items", ()), *(part for pair in getattr(term, "pairs", ()) for part in pair)]
        return any(map(self.is_unseen, parts))
