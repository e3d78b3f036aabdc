"""Turns a plan into Python functions. The only module that compiles and executes code, and only what ``nodes`` made.

Each function is compiled by itself, so that no step holds the interpreter for long while decisions go on elsewhere.
"""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from authorizer.errors import PlanError
from authorizer.policy.plan import nodes, running, values
from authorizer.policy.plan.calling import Known
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.control import write_blocks
from authorizer.policy.plan.form import DATA, INPUT, Block, Plan
from authorizer.policy.plan.splitting import Piece, pieces
from authorizer.policy.plan.terms import Term, constant
from authorizer.policy.plan.units import CHARGED, Unit, Variant, Written
from authorizer.policy.plan.values import UNDEFINED, BuiltinError, Set, Value
from authorizer.policy.plan.writing import Writer

_EMPTY: Final = object()
"""Stands in the memory where nothing has been evaluated yet."""


class Compiled:
    """A plan that can be evaluated, by several threads at once."""

    def __init__(
        self, entries: Mapping[str, Callable[..., Any]], slots: int, names: dict[str, Any], data: Value
    ) -> None:
        self._entries = entries
        self._names = names
        # As long as this is there, so are the data as a whole, though functions may refer to parts only.
        self._data = data
        self._memory = [None] * running.RESERVED + [_EMPTY] * (slots - running.RESERVED)
        self._bound = data is not UNDEFINED
        self.entrypoints = tuple(entries)

    def __del__(self) -> None:
        # The functions and their names refer to each other: without this, only a search for cycles would free them.
        self._names.clear()

    def evaluate(self, entrypoint: str, input_: Value, context: Context, data: Value = UNDEFINED) -> list[Value]:
        """Return the result set: for each answer an object of the query's variables.

        ``input_`` and ``data`` are decoded JSON; data are left out if and only if the plan is bound to some. Raises
        KeyError for an unknown entry point, BudgetError for what costs too much, EvaluationError for rules in conflict,
        and, where the plan was compiled strictly, BuiltinError.
        """
        memory = self._memory.copy()
        memory[0], memory[1] = context.budget, context
        try:
            if self._bound:
                return self._entries[entrypoint](input_, memory)  # type: ignore[no-any-return]
            return self._entries[entrypoint](input_, data, memory)  # type: ignore[no-any-return]
        except RecursionError:
            raise BudgetError from None


def compile_plan(plan: Plan, *, data: Value = UNDEFINED, strict: bool = False) -> Compiled:
    """Compile a plan, bound to ``data`` if given; ``strict`` makes errors of builtin functions errors.

    INVARIANT: data is never changed after this. Raises PlanError: AZ351 beyond a limit, AZ352 for a builtin function
    that is refused, AZ353 for a function that calls itself.
    """
    names: dict[str, Any] = {
        "__builtins__": {"type": type, "str": str, "list": list, "dict": dict, "bool": bool, "int": int, "len": len},
        "U": UNDEFINED,
        "E": _EMPTY,
        "Set": Set,
        "BuiltinError": BuiltinError,
    }
    names |= {each.__name__: each for each in _CALLED}
    unit = Unit(plan, data, names, strict=strict)
    roots = [unit.calls(blocks, bound=unit.bound) for blocks in unit.entrypoints.values()]
    order, counts = _order(unit, [variant for calls in roots for variant in calls])
    for variant in order:
        # One evaluation runs one entry point.
        counts[variant] = counts.get(variant, 0) + max((calls.get(variant, 0) for calls in roots), default=0)
    for variant in order:
        _function(unit, variant, kept=counts[variant] > 1)
    entries = {
        name: _entry(unit, f"e{number}", blocks) for number, (name, blocks) in enumerate(unit.entrypoints.items())
    }
    return Compiled(entries, unit.slots, names, data)


_CALLED: Final = (
    running.dot, running.base, running.values, running.values_in_order, running.items, running.items_in_order,
    running.length, running.merged, running.replaced, running.dynamic, running.owned, running.insert,
    running.insert_once, running.add, running.append, running.stored, running.same, running.fork, running.conflict,
)  # fmt: skip


def _order(unit: Unit, roots: Iterable[Variant]) -> tuple[list[Variant], dict[Variant, int]]:
    """Return the functions that are reached, callees first, and how often each is called: two means more than once."""
    order: list[Variant] = []
    counts: dict[Variant, int] = {}
    state: dict[Variant, bool] = {}
    for root in roots:
        stack: list[tuple[Variant, list[Variant]]] = []
        if root not in state:
            stack.append((root, _callees(unit, root, counts)))
            state[root] = False
        while stack:
            variant, rest = stack[-1]
            if not rest:
                stack.pop()
                state[variant] = True
                order.append(variant)
                continue
            following = rest.pop()
            if following not in state:
                state[following] = False
                stack.append((following, _callees(unit, following, counts)))
            elif not state[following]:
                raise PlanError("AZ353", f"the function {following[0]} calls itself")
    return order, counts


def _callees(unit: Unit, variant: Variant, counts: dict[Variant, int]) -> list[Variant]:
    name, bound = variant
    calls = unit.calls(unit.bodies[name], bound=bound)
    # A function with arguments is not remembered, so it may run many times, and all that it calls with it.
    times = 1 if len(unit.plan.functions[name].parameters) == DATA + 1 else 2
    for callee, count in calls.items():
        counts[callee] = counts.get(callee, 0) + count * times
    return list(calls)


def _function(unit: Unit, variant: Variant, *, kept: bool) -> None:
    """Write, compile and note one function."""
    name, bound = variant
    function = unit.plan.functions[name]
    python = f"r{len(unit.written)}"
    blocks = unit.bodies[name]
    env = {number: Term(f"a{number}", defined=number != INPUT) for number in function.parameters}
    env[DATA] = _data(unit, bound=bound)
    parameters = [f"a{number}" for number in function.parameters]
    if bound:
        del parameters[DATA]
    parameters.insert(1 if bound else 2, "m")
    writer, parts = _written(unit, blocks, env)
    found = _constant(unit, writer.body)
    answers = _answers(writer.body)
    slot = 0
    if kept and found is None and len(function.parameters) == DATA + 1:
        slot = unit.slot()
    _compile(unit, python, parameters, parts, blocks)
    cost = 1 if writer.cost > CHARGED else writer.cost + 1
    unit.written[variant] = Written(python, found, cost, slot, answers)


def _data(unit: Unit, *, bound: bool) -> Term:
    return constant(unit.data, base=True) if bound else Term("a1", defined=False, base=True)


def _written(unit: Unit, blocks: Sequence[Block], env: Mapping[int, Term]) -> tuple[Writer, list[list[ast.stmt]]]:
    """Write blocks; return also what each became. What costs much charges for itself."""
    writer = Writer(blocks, env, unit.constants)
    writer.memos = {(env[INPUT].name, env[DATA].name or unit.constants.name(env[DATA].value)): "m"}
    parts, at = [], 0
    for block in blocks:
        write_blocks(writer, unit, (block,))
        parts.append(writer.body[at:])
        at = len(writer.body)
    if writer.cost > CHARGED:
        charge = nodes.method(nodes.budget(), "charge", nodes.literal(writer.cost))
        parts.insert(0, [nodes.expression(charge)])
    return writer, parts


def _constant(unit: Unit, body: Sequence[ast.stmt]) -> Known | values.Undefined | None:
    """Return the value of a function whose code is nothing but the return of a constant."""
    if not body:
        return UNDEFINED
    first = body[0]
    if not isinstance(first, ast.Return):
        return None
    if isinstance(first.value, ast.Constant):
        return Known(first.value.value)
    if isinstance(first.value, ast.Name) and first.value.id in unit.names:
        value = unit.names[first.value.id]
        return UNDEFINED if value is UNDEFINED else Known(value)
    return None


def _answers(body: list[ast.stmt]) -> frozenset[bool] | None:
    """Return the booleans that a function returns if it returns nothing else but undefined."""
    found = set()
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Return):
            if not isinstance(node.value, ast.Constant) or type(node.value.value) is not bool:
                return None
            found.add(node.value.value)
    return frozenset(found)


def _entry(unit: Unit, python: str, blocks: Sequence[Block]) -> Callable[..., Any]:
    _, parts = _written(unit, blocks, {INPUT: Term("a0", defined=False), DATA: _data(unit, bound=unit.bound)})
    parameters = ["a0", "m"] if unit.bound else ["a0", "a1", "m"]
    first: list[ast.stmt] = [nodes.assign("rs", nodes.array_display(()))]
    last: list[ast.stmt] = [ast.Return(nodes.name("rs"))]
    _compile(unit, python, parameters, [first, *parts, last], blocks)
    made: Callable[..., Any] = unit.names[python]
    return made


def _compile(
    unit: Unit, python: str, parameters: Sequence[str], parts: Sequence[list[ast.stmt]], blocks: Sequence[Block]
) -> None:
    file = next((each.place[0] for block in blocks for each in block if each.place[1]), -1)
    filename = unit.plan.files[file] if 0 <= file < len(unit.plan.files) else ""
    cut, body = pieces(python, parameters, parts)
    for piece in cut:
        _execute(unit, piece, filename or "<plan>")
    _execute(unit, Piece(python, list(parameters), body), filename or "<plan>")


def _execute(unit: Unit, piece: Piece, filename: str) -> None:
    definition = nodes.define(piece.name, piece.parameters, [*piece.body, ast.Return(nodes.name("U"))])
    module = ast.Module([definition], [])
    for node in ast.walk(module):
        if isinstance(node, ast.If | ast.For | ast.While) and not node.body:
            node.body.append(ast.Pass())
    _place(definition)
    code = compile(module, filename, "exec", dont_inherit=True)
    exec(code, unit.names)  # noqa: S102 - made by this package from checked statements, never from text


def _place(definition: ast.FunctionDef) -> None:
    """Give nodes that have no place that of the node above; ``ast.fix_missing_locations`` leaves a cycle behind."""
    todo: list[tuple[ast.AST, int, int]] = [(definition, 1, 0)]
    while todo:
        node, line, column = todo.pop()
        if isinstance(node, ast.stmt | ast.expr | ast.arg | ast.excepthandler | ast.keyword):
            line, column = getattr(node, "lineno", line), getattr(node, "col_offset", column)
            vars(node).update(lineno=line, end_lineno=line, col_offset=column, end_col_offset=column)
        todo += [(child, line, column) for child in ast.iter_child_nodes(node)]
