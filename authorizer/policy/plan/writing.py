"""The state of writing one function: the code so far, what is known of each local, and where a failure goes.

A statement that is undefined leaves its block. Where nothing but the block's end follows, that is the false side of an
``if`` whose body holds the rest (a nested frame); in the body of a loop it is ``continue``; a long block, and one that
is left from within an inner one, is a ``while True`` that is left by ``break``.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from authorizer.errors import PlanError
from authorizer.policy.plan import nodes
from authorizer.policy.plan.form import Block, Literally, Operand
from authorizer.policy.plan.liveness import CHANGING, defined_by, escaping
from authorizer.policy.plan.paths import Path, reads_of
from authorizer.policy.plan.simplify import statements
from authorizer.policy.plan.terms import UNKNOWN, Constants, Pending, Term, constant, is_simple
from authorizer.policy.plan.values import UNDEFINED, key

MAX_LOOPS: Final = 18
"""Loops within loops: CPython takes 20 of what it counts as nested blocks."""
MAX_INDENT: Final = 200
_LONG: Final = 10
"""Statements after which a block is written flat, if a loop may be spent on it."""

MAKING: Final[Mapping[str, str]] = {"MakeArray": "array", "MakeObject": "object", "MakeSet": "set"}
UNDEFINED_TERM: Final = Term(value=UNDEFINED, defined=False)


class Frame:
    """A block of the plan: how it is left, and by which loop of Python's."""

    __slots__ = ("leave", "loop")

    def __init__(self, leave: Literal["", "break", "continue"] = "", loop: int = -1) -> None:
        self.leave = leave
        self.loop = loop


class Loop:
    """A loop of Python's; ``flags`` say that it was left for a frame further out."""

    __slots__ = ("flags",)

    def __init__(self) -> None:
        self.flags: dict[str, Frame] = {}


class Writer:
    """One function in the making. ``cost`` counts its statements, without those in loops, which are charged for."""

    def __init__(self, blocks: Sequence[Block], env: Mapping[int, Term], constants: Constants) -> None:
        self.constants = constants
        self.made, self.copied = _changed(blocks)
        self.body: list[ast.stmt] = []
        self.out = self.body
        self.env: dict[int, Term | Pending] = dict(env)
        self.reads = reads_of(blocks)
        self.memos: dict[tuple[str, str], str] = {}
        self.members: dict[tuple[str, Path], Term] = {}
        self.sizes: dict[str, int] = {}
        self.memo = "m"
        self.cost = 0
        self.frames: list[Frame] = []
        self.place = (0, 0, 0)
        self._escaping = escaping(blocks)
        self.shared: frozenset[int] = frozenset()
        self._loops: list[Loop] = []
        self._count = 0
        self._indent = 0
        if self.copied:
            self.emit(nodes.assign("own", nodes.object_display(())))

    # -- code

    def emit(self, statement: ast.stmt) -> None:
        """Append a statement, at the place in the source that is being worked on."""
        _, row, column = self.place
        statement.lineno = statement.end_lineno = max(row, 1)
        statement.col_offset = statement.end_col_offset = min(max(column - 1, 0), 10_000)
        self.out.append(statement)

    def fresh(self, prefix: str = "v") -> str:
        """Return a variable that is not in use."""
        self._count += 1
        return f"{prefix}{self._count}_"

    def require(self, test: ast.expr) -> None:
        """Go on only where ``test`` holds; else the block is left."""
        frame = self.frames[-1]
        if frame.leave:
            inner = when(nodes.negated(test))
            self.emit(inner)
            out, self.out = self.out, inner.body
            self.leave(frame)
            self.out = out
            return
        self._indent += 1
        if self._indent > MAX_INDENT:
            raise PlanError("AZ351", "a rule is nested too deeply")
        inner = when(test)
        self.emit(inner)
        self.out = inner.body

    def fail(self) -> bool:
        """Leave the block in any case. Returns False: nothing of it is reached any more."""
        frame = self.frames[-1]
        if frame.leave:
            self.leave(frame)
        return False

    def leave(self, frame: Frame) -> None:
        """Leave the block of ``frame`` from wherever the code is."""
        if len(self._loops) - 1 == frame.loop:
            self.emit(ast.Break() if frame.leave == "break" else ast.Continue())
            return
        flag = self.fresh("x")
        for loop in self._loops[frame.loop + 1 :]:
            loop.flags[flag] = frame
        self.emit(nodes.assign(flag, nodes.literal(True)))
        self.emit(ast.Break())

    # -- values

    def term(self, operand: Operand) -> Term:
        """Return what is known of an operand; a collection in the making is finished by this."""
        return constant(operand.value) if type(operand) is Literally else self.local(operand.number)  # type: ignore[union-attr]

    def local(self, number: int) -> Term:
        """Return what is known of a local."""
        found = self.env.get(number, UNDEFINED_TERM)
        return self._finish(number, found) if type(found) is Pending else found  # type: ignore[return-value]

    def code(self, term: Term) -> ast.expr:
        """Return the expression that reads a term."""
        if not term.known:
            return nodes.name(term.name)
        if term.value is UNDEFINED:
            return nodes.name("U")
        if is_simple(term.value):
            return nodes.literal(term.value)
        return nodes.name(self.constants.name(term.value))

    def key_code(self, term: Term) -> ast.expr:
        """Return the expression of a term as the key of an object or set."""
        if term.known:
            stored = key(term.value)
            return nodes.literal(stored) if is_simple(stored) else nodes.name(self.constants.name(stored))
        return (
            self.code(term)
            if term.kind in ("string", "number")
            else nodes.call("stored", self.code(term), nodes.budget())
        )

    def define(self, local: int, term: Term) -> None:
        """Let a local stand for a term."""
        if local in self.copied:
            self.store(local, self.code(term), defined=term.defined)
        elif local in self.shared:
            self.emit(nodes.assign(f"l{local}", self.code(term)))
            self.env[local] = Term(f"l{local}", term.value, term.kind, term.defined, fresh=False, made=term.made)
        elif term.known or term.fresh:
            self.env[local] = term
        else:
            self.store(local, self.code(term), term.kind, defined=term.defined)

    def store(self, local: int, value: ast.expr, kind: str = "", *, defined: bool = True, made: bool = False) -> Term:
        """Give a local the value of an expression; return its term."""
        shared = local in self.shared
        if local in self.copied:
            value, made = nodes.call("owned", nodes.name("own"), value, nodes.budget()), True
        name = f"l{local}" if shared else self.fresh()
        self.emit(nodes.assign(name, value))
        term = Term(name, UNKNOWN, kind, defined, fresh=not shared, made=made)
        self.env[local] = term
        return term

    def take(self, local: Operand) -> ast.expr | None:
        """Take back the last assignment if it was to ``local``, which nothing else reads; return what it assigned."""
        term = self.term(local)
        last = self.out[-1] if self.out else None
        if type(local) is Literally or not term.name or self.reads[local.number] != 1:  # type: ignore[union-attr]
            return None
        if not isinstance(last, ast.Assign) or not isinstance(last.targets[0], ast.Name):
            return None
        if last.targets[0].id != term.name or term.name.startswith("l"):
            return None
        self.out.pop()
        return last.value

    def refine(self, local: Operand, **known: Any) -> None:
        """Note what a test has shown of a local."""
        if type(local) is not Literally:
            term = self.local(local.number)  # type: ignore[union-attr]
            members = {name: getattr(term, name) for name in term.__struct_fields__} | known
            self.env[local.number] = Term(**members)  # type: ignore[union-attr]

    def require_defined(self, *operands: Operand) -> bool:
        """Go on only if the operands are defined; False when one never is."""
        for operand in operands:
            term = self.term(operand)
            if term.value is UNDEFINED:
                return self.fail()
            if not term.defined:
                self.require(nodes.is_defined(self.code(term)))
                self.refine(operand, defined=True)
        return True

    def _finish(self, local: int, pending: Pending) -> Term:
        value = pending.known()
        if value is not UNKNOWN:
            term = constant(value)
            self.env[local] = term
            return term
        return self.store(local, self._display(pending), pending.kind)

    def _display(self, pending: Pending) -> ast.expr:
        if pending.kind == "array":
            return nodes.array_display([self.code(value) for _, value in pending.parts])
        pairs = [(self.key_code(name), self.code(value)) for name, value in pending.parts]
        shown = nodes.object_display(pairs)
        return shown if pending.kind == "object" else nodes.call("Set", shown)

    def settle(self) -> None:
        """Finish what is in the making: code that may run more than once, or not at all, follows."""
        for local, found in list(self.env.items()):
            if type(found) is Pending:
                self._finish(local, found)

    # -- blocks

    def enclosed(self, block: Block, write: Callable[[Block], bool], completed: Callable[[], None]) -> None:
        """Write a block in a frame of its own; ``completed`` writes what happens where it is not left early."""
        self.settle()
        left = self._escaping.get(id(block), frozenset())
        self.synchronise(left)
        long = _length(block) > _LONG and len(self._loops) < MAX_LOOPS // 2
        if long or _is_left_from_within(block, 0, same=True):
            self.loop(nodes.once, "break", left, lambda: write(block), completed)
            return
        frame = Frame()
        self._within(frame, left, lambda: write(block), completed)

    def loop(
        self,
        make: Callable[[list[ast.stmt]], ast.stmt],
        leave: Literal["break", "continue"],
        left: frozenset[int],
        write: Callable[[], bool],
        completed: Callable[[], None],
    ) -> None:
        """Write a loop around a block; ``make`` makes the statement of its body."""
        loops = self._loops
        if len(loops) >= MAX_LOOPS:
            raise PlanError("AZ351", f"loops of one rule are nested deeper than {MAX_LOOPS}")
        loop = Loop()
        loops.append(loop)
        body: list[ast.stmt] = []
        statement = make(body)
        at, out = len(self.out), self.out
        self.emit(statement)
        self.out = body

        self._within(Frame(leave, len(loops) - 1), left, write, completed)
        if leave == "break":
            self.emit(ast.Break())
        loops.pop()
        self.out = out
        for flag, frame in loop.flags.items():
            test = when(nodes.name(flag))
            self.emit(test)
            self.out = test.body
            if frame.loop == len(loops) - 1:
                self.leave(frame)
                initial = nodes.assign(flag, nodes.literal(False))
                ast.copy_location(initial, statement)
                out.insert(at, initial)
            else:
                self.emit(ast.Break())
            self.out = out

    def _within(
        self, frame: Frame, left: frozenset[int], write: Callable[[], bool], completed: Callable[[], None]
    ) -> None:
        saved = self.out, dict(self.env), self.memo, self.shared, self._indent
        known = dict(self.memos), dict(self.members), dict(self.sizes)
        self.shared |= left
        self._indent += 1
        self.frames.append(frame)
        if write():
            completed()
        self.frames.pop()
        self.out, self.env, self.memo, self.shared, self._indent = saved
        self.memos, self.members, self.sizes = known
        self.unknown(left)

    def synchronise(self, locals_: frozenset[int]) -> None:
        """Put locals that a block may assign into the variables that all paths share."""
        for local in sorted(locals_):
            term = self.local(local)
            if term.name != f"l{local}":
                self.emit(nodes.assign(f"l{local}", self.code(term)))
                self.env[local] = Term(f"l{local}", term.value, term.kind, term.defined, fresh=False, made=term.made)

    def unknown(self, locals_: frozenset[int]) -> None:
        """Forget what was known of locals that may have been assigned in between."""
        for local in locals_:
            self.env[local] = Term(f"l{local}", defined=False, fresh=False, made=True)

    def left_by(self, block: Block) -> frozenset[int]:
        """Return the locals that a block leaves behind."""
        return self._escaping.get(id(block), frozenset())


def when(test: ast.expr) -> ast.If:
    """Return an ``if`` whose body is to be written."""
    return nodes.when(test, [])


def _is_left_from_within(block: Block, level: int, *, same: bool) -> bool:
    """Tell whether a break in a block within this one goes to the end of this one."""
    for statement in block:
        if statement.kind == "Break" and statement.levels == level and not same:
            return True
        for inner in statement.blocks:
            if _is_left_from_within(inner, level + 1, same=same and statement.kind == "With"):
                return True
    return False


def _length(block: Block) -> int:
    return len(block) + sum(_length(inner) for each in block if each.kind == "With" for inner in each.blocks)


def _changed(blocks: Sequence[Block]) -> tuple[dict[int, str], frozenset[int]]:
    """Tell the locals that are changed apart: those only made here, with the kind that they hold, and the others.

    Others may have made what those hold: a copy is changed.
    """
    changed = {each.target for each in statements(blocks) if each.kind in CHANGING}
    kinds: dict[int, set[str]] = {local: set() for local in changed}
    for each in statements(blocks):
        for local in defined_by(each):
            if local in kinds and each.kind != "ResetLocal":
                kinds[local].add(MAKING.get(each.kind, ""))
    made = {local: next(iter(found)) for local, found in kinds.items() if len(found) == 1 and "" not in found}
    return made, frozenset(local for local in changed if "" in kinds[local])
