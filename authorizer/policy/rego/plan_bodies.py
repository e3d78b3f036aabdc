"""Expressions as plan statements: calls, ``not``, ``every``, ``with``."""

from msgspec.structs import replace

from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.rego.frames import Frame, Generation, Node
from authorizer.policy.rego.plan_terms import plan_term, unify, unify_operand
from authorizer.policy.rego.problems import Refusal
from authorizer.policy.rego.syntax import (
    DECLARATIONS,
    NAMES,
    Bind,
    Body,
    Call,
    Every,
    Expr,
    Nested,
    Ref,
    Scalar,
    Term,
    Var,
    term_text,
)
from authorizer.policy.rego.writing import Block, Operand, boolean, local

_TRUE, _FALSE = boolean(value=True), boolean(value=False)


def plan_body(frame: Frame, body: Body) -> None:
    """Write all expressions; the writer then stands where all of them hold."""
    for expr in body:
        plan_expression(frame, expr)


def plan_expression(frame: Frame, expr: Expr) -> None:
    """Write one expression; the writer then stands where it holds."""
    frame.writer.stand(frame.file, expr.at)
    _expression(frame, expr)


def _expression(frame: Frame, expr: Expr) -> None:
    what = expr.what
    writer = frame.writer
    if expr.withs:
        _replaced(frame, expr)
    elif isinstance(what, Nested):
        _nested(frame, what.body, negated=expr.negated)
    elif expr.negated:
        with frame.scope(), writer.block() as inner:
            _expression(frame, replace(expr, negated=False))
        writer.emit("Not", block=inner)
    elif isinstance(what, Bind):
        unify(frame, what.left, what.right)
    elif isinstance(what, Call):
        _call(frame, what)
    elif isinstance(what, Every):
        _every(frame, what)
    else:
        assert not isinstance(what, DECLARATIONS)
        _holds(frame, what)


def _nested(frame: Frame, body: Body, *, negated: bool) -> None:
    """Go on once where a body holds at least once; where ``negated`` it does not hold at all."""
    writer = frame.writer
    held = writer.local()
    writer.emit("ResetLocal", target=held)
    with frame.scope(), writer.block() as inner:
        plan_body(frame, body)
        writer.assign(_TRUE, held)
    writer.emit("Block", blocks=[inner])
    writer.emit("IsUndefined" if negated else "IsDefined", source=held)


def _holds(frame: Frame, term: Term) -> None:
    """Go on only where the term is neither false nor undefined."""
    if isinstance(term, NAMES):
        frame.writer.emit("NotEqual", a=plan_term(frame, term), b=_FALSE)
    elif isinstance(term, Scalar):
        if term.value is False:
            frame.writer.emit("Break", index=0)
    else:
        plan_term(frame, term)


def _every(frame: Frame, every: Every) -> None:
    writer = frame.writer
    failed = writer.local()
    writer.emit("ResetLocal", target=failed)
    domain = plan_term(frame, every.domain)
    shapes: list[Block] = []
    for kind in ("IsArray", "IsObject", "IsSet"):
        with writer.block() as shape:
            writer.emit(kind, source=domain)
            writer.emit("Break", index=1)
        shapes.append(shape)
    with writer.block() as outer:
        writer.emit("Block", blocks=shapes)
        writer.emit("Break", index=1)
    writer.emit("Block", blocks=[outer])
    held = writer.local()
    with frame.scope(), writer.block() as whole:
        key, value = writer.scan(domain)
        writer.emit("ResetLocal", target=held)
        with writer.block() as inner:
            if every.key is not None:
                unify_operand(frame, key, every.key)
            unify_operand(frame, value, every.value)
            frame.session.plan_body(frame, every.body)
            writer.assign(_TRUE, held)
        writer.emit("Block", blocks=[inner])
        writer.emit("IsUndefined", source=held)
        writer.assign(_TRUE, failed)
    writer.statements.extend(whole["stmts"])
    writer.emit("IsUndefined", source=failed)


# -- calls -------------------------------------------------------------------------------------------------------------


def _call(frame: Frame, call: Call) -> None:
    name = term_text(call.operator)
    if name == "eq" and len(call.args) == 3:  # the value of a unification is true where it has one
        unify(frame, call.args[0], call.args[1])
        unify_operand(frame, _TRUE, call.args[2])
        return
    session = frame.session
    replacement = session.replacement(name)
    node = session.root.find(call.operator.path) if name.startswith("data.") else None
    taken = _taken(node, name)
    if replacement is not None:
        _call_replacement(frame, call, replacement, taken)
    elif node is not None:
        _call_function(frame, frame.function(node, taken), call, taken, frame.arguments())
    else:
        _call_builtin(frame, name, call, taken)


def _taken(node: Node | None, name: str) -> int:
    if node is not None and node.rules:
        return len(node.rules[0].rule.args or ())
    return len(SIGNATURES[name].arguments) if name in SIGNATURES else 0


def _call_builtin(frame: Frame, name: str, call: Call, taken: int) -> None:
    frame.session.tables.builtins.setdefault(name, (frame.session.file_name(frame.file), call.at))
    if not SIGNATURES[name].relation:
        _call_function(frame, name, call, taken, [])
        return
    writer = frame.writer
    args = [plan_term(frame, arg) for arg in call.args[:taken]]
    result = writer.local()
    writer.emit("Call", func=name, args=args, result=result)
    if len(call.args) > taken:
        _, value = writer.scan(local(result))
        unify_operand(frame, value, call.args[taken])
    else:
        size = writer.local()
        writer.emit("Len", source=local(result), target=size)
        writer.emit("NotEqual", a=local(size), b=local(writer.integer(0)))


def _call_function(frame: Frame, name: str, call: Call, taken: int, given: list[Operand]) -> None:
    writer = frame.writer
    args = [*given, *(plan_term(frame, arg) for arg in call.args[:taken])]
    result = writer.local()
    writer.emit("Call", func=name, args=args, result=result)
    _take(frame, local(result), call, taken)


def _take(frame: Frame, result: Operand, call: Call, taken: int) -> None:
    """Give the result to whoever takes it; where nobody does it must not be false."""
    if len(call.args) > taken:
        unify_operand(frame, result, call.args[taken])
    else:
        frame.writer.emit("NotEqual", a=result, b=_FALSE)


def _call_replacement(frame: Frame, call: Call, replacement: Term, taken: int) -> None:
    """Write the call of what ``with`` put in place of the function: a function, or a value for any arguments."""
    session = frame.session
    if isinstance(replacement, Ref) and isinstance(replacement.head, Var):
        root = replacement.head.name
        if root == "data":
            node = session.root.find(replacement.path)
            if node is not None and node.is_function:
                _call_function(frame, _plain_function(frame, node, taken), call, taken, frame.arguments())
                return
        elif root != "input":
            _call_builtin(frame, term_text(replacement), call, taken)
            return
    for arg in call.args[:taken]:
        plan_term(frame, arg)
    _take(frame, plan_term(frame, replacement), call, taken)


def _plain_function(frame: Frame, node: Node, taken: int) -> str:
    """Return the function of rules that replace one; in it nothing is replaced."""
    session = frame.session
    generation = session.generation
    if generation.plain is None:
        session.last_generation += 1
        generation.plain = Generation(session.last_generation, ())
    session.generations.append(generation.plain)
    session.replaced.append([])
    name = frame.function(node, taken)
    session.write_pending(session)
    session.replaced.pop()
    session.generations.pop()
    return name


# -- with --------------------------------------------------------------------------------------------------------------


class _Replacing:
    """What one expression's ``with`` replaces: documents, and functions."""

    def __init__(self, frame: Frame, expr: Expr) -> None:
        self.documents: list[tuple[str, tuple[str, ...], Term]] = []
        self.functions: dict[str, Term] = {}
        self.passed: list[str] = []
        root = frame.session.root
        for one in expr.withs:
            assert isinstance(one.target.head, Var)
            head = one.target.head.name
            name = term_text(one.target)
            node = root.find(one.target.path) if head == "data" else None
            if head not in {"input", "data"} or (node is not None and node.is_function):
                self.functions[name] = one.value
                if isinstance(one.value, Var):
                    self.passed.append(one.value.name)
                continue
            steps = tuple(step.value if isinstance(step, Scalar) else None for step in one.target.path)
            if not all(isinstance(step, str) for step in steps):
                raise Refusal("G202", "`with` replaces what a path of names leads to", one.at)
            if head == "data" and isinstance(one.value, Ref):
                raise Refusal("G202", "a function replaces functions only", one.at)
            self.documents.append((head, tuple(step for step in steps if isinstance(step, str)), one.value))

    def hidden(self) -> list[tuple[str, ...]]:
        return [path for head, path, _ in self.documents if head == "data" and path]


def _replaced(frame: Frame, expr: Expr) -> None:
    """Write an expression with documents and functions replaced; what follows sees the old ones again.

    Functions that could see what is replaced at planning time are planned again, as a generation of their own.
    """
    writer, session = frame.writer, frame.session
    replacing = _Replacing(frame, expr)
    _check_partial(frame, expr, replacing)
    values = [plan_term(frame, value) for _, _, value in replacing.documents]
    saved = {head: writer.assign(frame.document(head)) for head in sorted({head for head, _, _ in replacing.documents})}
    shadows = bool(replacing.functions) or any(
        not path or session.root.find(_scalars(path)) is not None
        for head, path, _ in replacing.documents
        if head == "data"
    )
    session.replaced[-1].append(replacing.functions)
    hidden = [_hide(session.root, path) for path in replacing.hidden()] if shadows else []
    if shadows:
        session.last_generation += 1
        session.generations.append(Generation(session.last_generation, tuple(replacing.passed)))
    for (head, path, _), value in zip(replacing.documents, values, strict=True):
        _put(frame, head, [writer.tables.string(step) for step in path], value)
    _expression(frame, replace(expr, withs=()))
    if shadows:
        session.write_pending(session)
        session.generations.pop()
    for stack in hidden:
        if stack is not None:
            stack.pop()
    session.replaced[-1].pop()
    for head, number in saved.items():
        _put(frame, head, [], local(number))


def _put(frame: Frame, head: str, path: list[int], value: Operand) -> None:
    inner: Block = {"stmts": []}
    writer = frame.writer
    writer.emit("With", local=frame.document(head)["value"], path=path, value=value, block=inner)
    writer.statements = inner["stmts"]


def _scalars(path: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple(Scalar(step, (1, 1)) for step in path)


def _hide(root: Node, path: tuple[str, ...]) -> "list[Node | None] | None":
    """Hide the rules below a path; return the stack to take that back from."""
    node = root.find(_scalars(path[:-1]))
    if node is None:
        return None
    stack = node.stacks.setdefault(path[-1], [])
    stack.append(None)
    return stack


def _check_partial(frame: Frame, expr: Expr, replacing: _Replacing) -> None:
    for path in replacing.hidden():
        for length in range(1, len(path)):
            node = frame.session.root.find(_scalars(path[:length]))
            if node is not None and node.rules:
                raise Refusal("G202", "`with` cannot replace a part of what a rule makes", expr.withs[0].at)
