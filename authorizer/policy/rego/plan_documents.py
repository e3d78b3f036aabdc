"""References into ``data``, where rules make some of the documents and others are given.

A path of strings that leads to a rule is a call. A variable that has a value already is looked up among the functions
at run time where the rules allow it (CallDynamic). Where a variable runs over rules, each rule is asked, the answers
are gathered in an array, and what follows loops over that: the rest of the body is written once.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from authorizer.policy.rego.frames import Frame, Node
from authorizer.policy.rego.syntax import Ref, Scalar, Term, Var
from authorizer.policy.rego.variables import term_vars
from authorizer.policy.rego.writing import Operand, boolean, local

Path: TypeAlias = tuple[Term, ...]
Follow = Callable[[Frame, Operand, Path], Operand]
"""How ``plan_terms`` goes along a path from a value."""


class _Way(Struct, frozen=True):
    """How far a path was gone: the node of rules there (None: no rules below), the rest, and what was gone in data."""

    node: Node | None
    gone: Path
    rest: Path


def data_reference(frame: Frame, ref: Ref, follow: Follow) -> Operand:
    """Write the way to a document; return where it is."""
    found = _by_lookup(frame, ref.path, follow)
    return found if found is not None else _walk(frame, _Way(frame.session.root, (), ref.path), follow)


def call_rules(frame: Frame, node: Node) -> Operand:
    """Write the call of the function of a node's rules."""
    name = frame.function(node)
    result = frame.writer.local()
    frame.writer.emit("Call", func=name, args=frame.arguments(), result=result)
    return local(result)


def _walk(frame: Frame, way: _Way, follow: Follow) -> Operand:
    node, gone, rest = way.node, way.gone, way.rest
    while node is not None and rest and isinstance(rest[0], Scalar) and isinstance(rest[0].value, str):
        node = node.child(rest[0].value)
        gone, rest = (*gone, rest[0]), rest[1:]
        if node is not None and node.rules:
            if node.is_function:  # a function is no document
                frame.writer.emit("Break", index=0)
                return boolean(value=False)
            return follow(frame, call_rules(frame, node), rest)
    if node is None:
        return _given(frame, (*gone, *rest), follow)
    if not rest:
        return _extent(frame, node, gone, follow)
    if not isinstance(rest[0], Var):  # names are strings: no other term leads to a rule
        return _given(frame, (*gone, *rest), follow)
    return _alternatives(frame, _Way(node, gone, rest), follow)


def _given(frame: Frame, path: Path, follow: Follow) -> Operand:
    """Write the way to a given document.

    INVARIANT: what is gone by known keys stands in two blocks, as in OPA's plans. Whoever evaluates them knows by that
    where the path in the given data ends: in it, and only there, ``data.x[2]`` finds the member ``"2"`` too.
    """
    writer = frame.writer
    loops = max((index for index, step in enumerate(path, 1) if frame.is_unseen(step)), default=0)
    source = follow(frame, frame.document("data"), path[:loops])
    if loops == len(path):
        return source
    with writer.block() as outer:
        with writer.block() as inner:
            source = follow(frame, source, path[loops:])
            writer.emit("Break", index=1)
        writer.emit("Block", blocks=[inner])
        writer.emit("Break", index=1)
    writer.emit("Block", blocks=[outer])
    return source


# -- whole documents ---------------------------------------------------------------------------------------------------


def _extent(frame: Frame, node: Node, gone: Path, follow: Follow) -> Operand:
    """Write the object of all documents below a node: what rules make, put over what is given."""
    writer = frame.writer
    made = _made(frame, node)
    target = writer.local()
    with writer.block() as outer:
        with writer.block() as inner:
            given = follow(frame, frame.document("data"), gone)
            writer.emit("ObjectMerge", a=writer.as_local(given), b=made, target=target)
            writer.emit("Break", index=1)
        writer.emit("Block", blocks=[inner])
        writer.assign(local(made), target)
    writer.emit("Block", blocks=[outer])
    return local(target)


def _made(frame: Frame, node: Node) -> int:
    writer = frame.writer
    target = writer.local()
    writer.emit("MakeObject", target=target)
    for name, child in node.children():
        if child.is_function:
            continue
        with writer.block() as inner:
            value = call_rules(frame, child) if child.rules else local(_made(frame, child))
            writer.emit("ObjectInsert", key=writer.string(name), value=value, object=target)
        writer.emit("Block", blocks=[inner])
    return target


# -- variables that run over rules -------------------------------------------------------------------------------------


def _alternatives(frame: Frame, way: _Way, follow: Follow) -> Operand:
    assert way.node is not None
    writer = frame.writer
    step, after = way.rest[0], way.rest[1:]
    assert isinstance(step, Var)
    found: set[str] = set()
    for term in way.rest:
        term_vars(term, found)
    bound = sorted(name for name in found if frame.seen(name) is None)
    answers = writer.local()
    writer.emit("MakeArray", capacity=0, target=answers)
    known = way.node.children()
    for name, _ in known:
        with frame.scope(), writer.block() as inner:
            key = Scalar(name, step.at)
            _match(frame, writer.string(name), step)
            value = _walk(frame, _Way(way.node, way.gone, (key, *after)), follow)
            _gather(frame, answers, bound, value)
        writer.emit("Block", blocks=[inner])
    with frame.scope(), writer.block() as inner:
        given = follow(frame, frame.document("data"), way.gone)
        names = writer.local()
        writer.emit("MakeSet", target=names)
        for name, _ in known:
            writer.emit("SetAdd", value=writer.string(name), set=names)
        key_of, value = writer.scan(given)
        _match(frame, key_of, step)
        with writer.block() as hidden:
            writer.dot(local(names), key_of)
        writer.emit("Not", block=hidden)
        _gather(frame, answers, bound, follow(frame, value, after))
    writer.emit("Block", blocks=[inner])
    return _each_answer(frame, answers, bound)


def _match(frame: Frame, key: Operand, step: Var) -> None:
    """Bind or compare the variable that runs over the names."""
    number = frame.seen(step.name)
    if number is None:
        frame.bind(step.name, frame.writer.assign(key))
    else:
        frame.writer.equal(key, local(number))


def _gather(frame: Frame, answers: int, bound: list[str], value: Operand) -> None:
    writer = frame.writer
    row = writer.local()
    writer.emit("MakeArray", capacity=len(bound) + 1, target=row)
    for name in bound:
        writer.emit("ArrayAppend", value=frame.variable(name), array=row)
    writer.emit("ArrayAppend", value=value, array=row)
    writer.emit("ArrayAppend", value=local(row), array=answers)


def _each_answer(frame: Frame, answers: int, bound: list[str]) -> Operand:
    writer = frame.writer
    _, row = writer.scan(local(answers))
    for index, name in enumerate(bound):
        number: int = writer.dot(row, local(writer.integer(index)))["value"]
        frame.bind(name, number)
    return writer.dot(row, local(writer.integer(len(bound))))


# -- functions that are found at run time ------------------------------------------------------------------------------


def _by_lookup(frame: Frame, path: Path, follow: Follow) -> Operand | None:
    """Write a CallDynamic where the path holds known variables and the rules that it may mean all lie equally deep."""
    depth, nodes = _candidates(frame, path)
    if depth == 0:
        return None
    if not nodes:  # no rule can be meant
        return _given(frame, path, follow)
    writer = frame.writer
    for node in nodes:
        frame.function(node)
    steps = [writer.string(f"g{frame.session.generation.number}")]
    for step in path[:depth]:
        if isinstance(step, Var):
            steps.append(frame.variable(step.name))
        elif isinstance(step, Scalar) and isinstance(step.value, str):
            steps.append(writer.string(step.value))
    result = writer.local()
    with writer.block() as called:
        args = [operand["value"] for operand in frame.arguments()]
        writer.emit("CallDynamic", args=args, result=result, path=steps)
        writer.emit("Break", index=1)
    with writer.block() as given:
        writer.assign(follow(frame, frame.document("data"), path[:depth]), result)
        writer.emit("Break", index=1)
    with writer.block() as outer:
        writer.emit("Block", blocks=[called, given])
        writer.emit("Break", index=1)
    writer.emit("Block", blocks=[outer])
    return follow(frame, local(result), path[depth:])


def _candidates(frame: Frame, path: Path) -> tuple[int, list[Node]]:
    """Return how many steps of the path lead to rules, and the nodes that they may lead to; 0 steps: cannot tell."""
    cannot: tuple[int, list[Node]] = (0, [])
    if len(frame.session.parameters()) > 2:
        return cannot
    nodes = [frame.session.root]
    varies = False
    depth = 0
    for step in path:
        depth += 1
        if any(node.rules for node in nodes):
            return cannot
        if isinstance(step, Var):
            if frame.seen(step.name) is None:
                return cannot
            varies = True
            nodes = [child for node in nodes for _, child in node.children()]
        elif isinstance(step, Scalar) and isinstance(step.value, str):
            name = step.value
            nodes = [child for node in nodes if (child := node.child(name)) is not None]
        else:
            return cannot
        if all(node.rules for node in nodes) or not nodes:
            break
    if not varies or any(not node.rules or node.is_function for node in nodes):
        return cannot
    return depth, nodes
