"""Walking a value, and reaching the nodes of a graph that is given as an object of neighbours."""

from collections.abc import Mapping
from typing import Any, Final

from authorizer.policy.plan.builtins.calling import DEEP, Builtin, contextual, deep, elements, mapping
from authorizer.policy.plan.builtins.rendering import MAX_DEPTH
from authorizer.policy.plan.context import BudgetError, Context, charge_order
from authorizer.policy.plan.values import Set, Value, key, set_of, sorted_items, sorted_values


def _walk(context: Context, value: Value) -> list[Value]:
    """Return ``[path, value]`` of a value and everything within, depth first."""
    found: list[Value] = []
    waiting: list[tuple[list[Value], Value]] = [([], value)]
    while waiting:
        path, current = waiting.pop()
        context.budget.charge(2 + len(path))
        found.append([path, current])
        kind = type(current)
        if kind not in DEEP:
            continue
        context.budget.charge(4 * len(current))
        if kind is list:
            inner = list(enumerate(current))
        elif kind is dict:
            charge_order(current, context.budget)
            inner = sorted_items(current)
        else:
            charge_order(current.items, context.budget)
            inner = [(each, each) for each in sorted_values(current)]
        waiting += [([*path, name], each) for name, each in reversed(inner)]
    return found


def _neighbours(context: Context, graph: dict[Any, Value], node: Value) -> list[Value] | None:
    """Return a node's neighbours, None if the graph has no such node."""
    stored = key(node)
    if stored not in graph:
        return None
    edges = graph[stored]
    if type(edges) is list:
        return edges
    if type(edges) is not Set:
        return []
    charge_order(edges.items, context.budget)
    return sorted_values(edges)


def _reachable(context: Context, value: Value, start: Value) -> Set:
    graph = mapping(value, 1)
    waiting = elements(start, 2, "{array, set}")
    context.budget.charge(len(waiting))
    waiting = list(waiting)
    reached = Set()
    while waiting:
        context.budget.charge(10)
        node = waiting.pop()
        deep(context, node)
        if node in reached:
            continue
        edges = _neighbours(context, graph, node)
        if edges is not None:
            context.budget.charge(len(edges))
            waiting += edges
            reached.items[key(node)] = node
    return reached


def _paths(context: Context, value: Value, start: Value) -> Set:
    graph = mapping(value, 1)
    paths: list[Value] = []

    def extend(path: list[Value], seen: frozenset[Any], node: Value) -> None:
        if len(path) > MAX_DEPTH:
            raise BudgetError
        context.budget.charge(1 + 2 * len(path))
        edges = _neighbours(context, graph, node)
        if edges is None:
            paths.append(path)
            return
        longer = [*path, node]
        if not edges:
            paths.append(longer)
        passed = seen | {key(node)}
        deep(context, *edges)
        for each in edges:
            if key(each) in passed:
                context.budget.charge(len(longer))
                paths.append(longer)
            else:
                extend(longer, passed, each)

    for node in elements(start, 2, "{array, set}"):
        context.budget.charge(6)
        deep(context, node)
        edges = _neighbours(context, graph, node)
        if edges is None:
            continue
        if not edges:
            paths.append([node])
        for each in edges:
            extend([node], frozenset({key(node)}), each)
    return set_of(paths)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "graph.reachable": contextual(_reachable),
    "graph.reachable_paths": contextual(_paths),
    "walk": contextual(_walk),
}
