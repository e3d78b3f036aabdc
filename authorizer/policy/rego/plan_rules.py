"""Rules as functions of the plan: one function for all rules that share the part of their path before a variable."""

from typing import Any

from authorizer.policy.rego.frames import Frame, Node, Placed, Session, strings_of
from authorizer.policy.rego.plan_terms import plan_term, unify_operand
from authorizer.policy.rego.problems import Refusal
from authorizer.policy.rego.syntax import Rule, Term, Var
from authorizer.policy.rego.writing import Block, local


def plan_rules(session: Session, node: Node, taken: int) -> str:
    """Return the name of the function of a node's rules; it is written when it is first asked for.

    ``taken`` is the number of arguments. Raises Refusal where the rules need themselves.
    """
    placed = sorted(node.rules, key=lambda one: -len(one.rule.path))
    longest = placed[0].rule
    shared = min(*(len(strings_of(one.rule)) for one in placed), len(longest.path) - 1)
    path = strings_of(longest)[:shared]
    generation = session.generation
    known = generation.functions.get(path)
    if known is not None:
        return known
    if path in session.under_way:
        raise Refusal("G501", f"the rules below data.{'.'.join(path)} need each other", longest.at)
    session.under_way.add(path)
    name = f"g{generation.number}.data.{'.'.join(path)}"
    builds = shared != len(longest.path) - 1
    function = _Function(session, name, taken)
    try:
        function.write(placed, shared, builds=builds)
    except Refusal as refusal:
        refusal.file = refusal.file or placed[0].file
        raise
    session.functions.append(function.told((f"g{generation.number}", *path)))
    session.under_way.discard(path)
    generation.functions[path] = name
    return name


class _Function:
    def __init__(self, session: Session, name: str, taken: int) -> None:
        passed = session.parameters()
        self.session = session
        self.name = name
        self.parameters = list(range(len(passed) + taken))
        self.args = self.parameters[len(passed) :]
        self.passed = dict(zip(passed, self.parameters, strict=False))
        self.frame = Frame(session, len(self.parameters), dict(self.passed))
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

    def write(self, placed: list[Placed], shared: int, *, builds: bool) -> None:
        """Write the rules. ``builds``: their paths go on after ``shared`` steps, so they fill an object."""
        writer = self.frame.writer
        self._stand(placed[0])
        if builds or placed[0].rule.key is not None:
            with writer.block() as first:
                writer.emit("MakeObject" if builds else "MakeSet", target=self.result)
            self.blocks.append(first)
        default: Placed | None = None
        for one in placed:
            if one.rule.default:
                default = one
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
        if default is not None:
            self._default(default)
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

    def _default(self, placed: Placed) -> None:
        """Write the default: the value where no other rule gave one."""
        writer = self.frame.writer
        self._stand(placed)
        self.frame.scopes = [dict(self.passed)]
        rule = placed.rule
        assert rule.value is not None
        with writer.block() as inner:
            writer.emit("IsUndefined", source=self.result)
            for number, arg in zip(self.args, rule.args or (), strict=True):
                if isinstance(arg, Var):
                    self.frame.bind(arg.name, number)
            self.session.plan_body(self.frame, rule.body)
            writer.emit("AssignVarOnce", source=plan_term(self.frame, rule.value), target=self.result)
        self.blocks.append(inner)
