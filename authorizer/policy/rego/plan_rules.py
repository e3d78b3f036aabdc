"""Rules as functions of the plan: one function for all rules that share the part of their path before a variable."""

from typing import Any

from authorizer.policy.rego.frames import Frame, Node, Pending, Placed, Session
from authorizer.policy.rego.plan_terms import plan_term, unify_operand
from authorizer.policy.rego.problems import Refusal
from authorizer.policy.rego.syntax import Rule, Term, Var
from authorizer.policy.rego.writing import Block, local

MAX_FUNCTIONS = 100_000
MAX_GENERATIONS = 16


def plan_rules(session: Session, node: Node, taken: int) -> str:
    """Return the name of the function of a node's rules; ``write_pending`` writes it. ``taken``: how many arguments.

    Raises Refusal beyond a bound.
    """
    generation = session.generation
    path = node.path
    name = generation.functions.get(path)
    if name is None:
        name = generation.functions[path] = f"g{generation.number}.data.{'.'.join(path)}"
        generation.pending.append(Pending(node, name, taken, tuple(session.replaced[-1])))
        session.planned += 1
        if session.planned > MAX_FUNCTIONS or len(session.generations) > MAX_GENERATIONS:
            refusal = Refusal("G103", "too much is replaced by `with`", node.rules[0].rule.at, "replace less at a time")
            refusal.file = node.rules[0].file
            raise refusal
    return name


def write_pending(session: Session) -> None:
    """Write the functions that were asked for in this generation, and those that they ask for. Raises Refusal.

    INVARIANT: chains of rules may be long, so no function is written while another one is, but for those that an
    expression's own ``with`` replaces.
    """
    generation = session.generation
    while generation.pending:
        one = generation.pending.pop()
        session.replaced.append(list(one.replaced))
        function = _Function(session, one.name, one.taken)
        try:
            function.write(one.node)
        except Refusal as refusal:
            refusal.file = refusal.file or one.node.rules[0].file
            raise
        session.replaced.pop()
        session.functions.append(function.told((f"g{generation.number}", *one.node.path)))


class _Function:
    def __init__(self, session: Session, name: str, taken: int) -> None:
        passed = session.parameters()
        self.session = session
        self.name = name
        self.parameters = list(range(len(passed) + taken))
        self.args = self.parameters[len(passed) :]
        self.passed = dict(zip(passed, self.parameters, strict=False))
        self.frame = Frame(session, len(self.parameters), dict(self.passed), name)
        self.result = self.frame.writer.local()
        self.answer = self.frame.writer.local()
        self.blocks: list[Block] = []

    def told(self, path: tuple[str, ...]) -> dict[str, Any]:
        """Return the function as the plan holds it."""
        return {
            "name": self.name,
            "params": self.parameters,
            "return": self.result,
            "blocks": self.blocks,
            "path": list(path),
        }

    def write(self, node: Node) -> None:
        """Write the rules: each gives the value, or where their names go on they fill an object together."""
        placed, shared, builds = node.placed, len(node.path), node.builds
        writer = self.frame.writer
        self._stand(placed[0])
        if builds or placed[0].rule.key is not None:
            with writer.block() as first:
                writer.emit("MakeObject" if builds else "MakeSet", target=self.result)
            self.blocks.append(first)
        defaults: list[Placed] = []
        for one in placed:
            if one.rule.default:
                defaults.append(one)
                continue
            blocks = self._branches(one, shared, builds=builds)
            if one.rule.key is None and not builds:
                with writer.block() as end:
                    writer.emit("IsDefined", source=self.answer)
                    writer.emit("AssignVarOnce", source=local(self.answer), target=self.result)
                blocks.append(end)
            if one.rule.elses:
                with writer.block() as outer:
                    writer.emit("Block", blocks=blocks)
                self.blocks.append(outer)
            else:
                self.blocks.extend(blocks)
        for one in defaults:
            self._default(one, shared, builds=builds)
        self._stand(placed[0])
        with writer.block() as last:
            writer.emit("ReturnLocal", source=self.result)
        self.blocks.append(last)

    def _stand(self, placed: Placed) -> None:
        self.frame.file = self.session.tables.file(placed.file)
        self.frame.writer.stand(self.frame.file, placed.rule.at)

    def _branches(self, placed: Placed, shared: int, *, builds: bool) -> list[Block]:
        """Write a rule and its ``else`` rules, each of which runs only where the one before had no answer."""
        writer = self.frame.writer
        blocks: list[Block] = []
        self._stand(placed)
        for index, rule in enumerate((placed.rule, *placed.rule.elses)):
            writer.stand(self.frame.file, rule.at)
            self.frame.scopes = [dict(self.passed)]
            with writer.block() as inner:
                writer.emit("IsUndefined" if index else "ResetLocal", **{"source" if index else "target": self.answer})
                for number, arg in zip(self.args, rule.args or (), strict=True):
                    unify_operand(self.frame, local(number), arg)
                self.session.plan_body(self.frame, rule.body)
                writer.stand(self.frame.file, rule.at)
                self._answer(rule, shared, builds=builds)
            blocks.append(inner)
        return blocks

    def _answer(self, rule: Rule, shared: int, *, builds: bool) -> None:
        writer = self.frame.writer
        steps = rule.path[shared + 1 :]
        if rule.key is not None:
            value = plan_term(self.frame, rule.key)
            if builds:
                self._insert(steps, value=None, element=value)
            else:
                writer.emit("SetAdd", value=value, set=self.result)
            return
        assert rule.value is not None
        value = plan_term(self.frame, rule.value)
        if builds:
            self._insert(steps, value=value, element=None)
        else:
            writer.emit("AssignVarOnce", source=value, target=self.answer)

    def _insert(self, steps: tuple[Term, ...], *, value: Any, element: Any) -> None:
        """Put a value, or an element of a set, into the objects along a path: inner ones first, then the outer ones."""
        writer = self.frame.writer
        keys = [plan_term(self.frame, step) for step in steps]
        holders = [self.result]
        for key in keys[:-1]:
            holders.append(self._member(holders[-1], key, "MakeObject"))
        if element is None:
            writer.emit("ObjectInsertOnce", key=keys[-1], value=value, object=holders[-1])
        else:
            elements = self._member(holders[-1], keys[-1], "MakeSet")
            writer.emit("SetAdd", value=element, set=elements)
            writer.emit("ObjectInsert", key=keys[-1], value=local(elements), object=holders[-1])
        for holder, key, child in reversed(list(zip(holders, keys, holders[1:], strict=False))):
            writer.emit("ObjectInsert", key=key, value=local(child), object=holder)

    def _member(self, holder: int, key: Any, otherwise: str) -> int:
        """Return what an object has at a key, or a new empty collection."""
        writer = self.frame.writer
        target = writer.local()
        with writer.block() as outer:
            with writer.block() as present:
                writer.emit("Dot", source=local(holder), key=key, target=target)
                writer.emit("Break", index=1)
            writer.emit("Block", blocks=[present])
            writer.emit(otherwise, target=target)
        writer.emit("Block", blocks=[outer])
        return target

    def _default(self, placed: Placed, shared: int, *, builds: bool) -> None:
        """Write the default: the value where no other rule gave one."""
        writer = self.frame.writer
        self._stand(placed)
        self.frame.scopes = [dict(self.passed)]
        rule = placed.rule
        assert rule.value is not None
        with writer.block() as inner:
            if builds:
                self._lacks(rule.path[shared + 1 :])
            else:
                writer.emit("IsUndefined", source=self.result)
            for number, arg in zip(self.args, rule.args or (), strict=True):
                if isinstance(arg, Var):
                    self.frame.bind(arg.name, number)
            self.session.plan_body(self.frame, rule.body)
            value = plan_term(self.frame, rule.value)
            if builds:
                self._insert(rule.path[shared + 1 :], value=value, element=None)
            else:
                writer.emit("AssignVarOnce", source=value, target=self.result)
        self.blocks.append(inner)

    def _lacks(self, steps: tuple[Term, ...]) -> None:
        """Go on only where the objects along a path have nothing at its end."""
        writer = self.frame.writer
        with writer.block() as present:
            source = self.result
            for step in steps:
                target = writer.local()
                writer.emit("Dot", source=local(source), key=plan_term(self.frame, step), target=target)
                source = target
        writer.emit("Not", block=present)
