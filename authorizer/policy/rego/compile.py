"""Modules to a plan: every pass in its order, and the problems of all of them at once where they can be told apart."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from msgspec import Struct

from authorizer.policy.rego.annotations import Annotations
from authorizer.policy.rego.checking import TypeChecker
from authorizer.policy.rego.flatten import Flattener
from authorizer.policy.rego.frames import Frame, Session, tree_of
from authorizer.policy.rego.lower import Lowerer
from authorizer.policy.rego.order import Orderer
from authorizer.policy.rego.plan_bodies import plan_body
from authorizer.policy.rego.plan_documents import data_reference
from authorizer.policy.rego.plan_rules import plan_rules, write_pending
from authorizer.policy.rego.plan_terms import follow
from authorizer.policy.rego.problems import Findings, Refusal, RegoError, stop
from authorizer.policy.rego.resolve import Resolver, exported_names
from authorizer.policy.rego.syntax import Body, Module, Ref, Rule, Scalar, Var, is_generated, written
from authorizer.policy.rego.tracing import Tracer
from authorizer.policy.rego.tree import Numbered, RuleTree, cycles, name_of
from authorizer.policy.rego.variables import body_vars
from authorizer.policy.rego.writing import DATA, INPUT, local


class Checked(Struct, frozen=True):
    """Modules that passed all checks: their rules as the planner takes them, and the modules themselves."""

    modules: tuple[Module, ...]
    rules: tuple[tuple[Rule, ...], ...]
    tree: RuleTree


def check_modules(modules: Sequence[Module], *, data: Mapping[str, Any] | None = None) -> Checked:
    """Resolve, check and rewrite modules. ``data`` are documents that no rule may make too.

    Raises RegoError with the problems of the first pass that found any.
    """
    numbers = count(1)
    findings = [Findings(module.file, module.lines) for module in modules]
    annotations = Annotations(modules, findings)
    _raise(findings)
    exported = exported_names(modules)
    rules: list[Numbered] = []
    for index, module in enumerate(modules):
        resolver = Resolver(module, exported[module.package], findings[index], numbers, annotations.term_for(index))
        rules.extend((index, resolver.rule(rule)) for rule in module.rules)
    _raise(findings)
    tree = RuleTree(modules, rules)
    flat: list[Numbered] = []
    for index, rule in rules:
        flat.append((index, Flattener(numbers, findings[index], tree.is_function, tree.is_rule).rule(rule)))
    tree = RuleTree(modules, flat)
    tree.conflicts(findings)
    tree.given(data or {}, findings)
    for index, rule in flat:
        for branch in (rule, *rule.elses):
            tree.check_calls(branch.body, findings[index], modules[index].version)
    _raise(findings)
    lowerer = Lowerer(numbers)
    lowered: list[list[Rule]] = [[] for _ in modules]
    for index, rule in flat:
        lowered[index].append(lowerer.rule(Orderer(tree.arity, findings[index]).rule(rule)))
    order = tree.recursion(findings)
    _raise(findings)
    checker = TypeChecker(tree)
    ordered = [(index, rule) for index, rules_of in enumerate(lowered) for rule in rules_of]
    for position in order:
        index, rule = ordered[position]
        checker.rule(rule, name_of(rule), findings[index])
    _raise(findings)
    return Checked(tuple(modules), tuple(map(tuple, lowered)), tree)


def _raise(findings: Sequence[Findings]) -> None:
    stop(problem for one in findings for problem in one.problems)


def compile_modules(
    modules: Sequence[Module],
    *,
    entrypoints: Sequence[str] = (),
    queries: Mapping[str, Body] | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the plan of modules, as ``policy.plan.read`` takes it and as OPA writes it to ``plan.json``.

    ``entrypoints`` are paths such as ``acme/allow``, whose result is ``{"result": value}``; ``queries`` are bodies by
    the name of their plan, whose results hold the variables. Raises RegoError.
    """
    return plan_modules(check_modules(modules, data=data), entrypoints, queries or {})


def plan_modules(
    checked: Checked, entrypoints: Sequence[str], queries: Mapping[str, Body], tracer: Tracer | None = None
) -> dict[str, Any]:
    """Return the plan of checked modules; ``tracer`` makes it tell what it does. Raises RegoError."""
    root = tree_of(list(zip(checked.modules, map(list, checked.rules), strict=True)))
    session = Session(root, plan_rules, tracer.plan_body if tracer else plan_body, write_pending)
    plans: list[dict[str, Any]] = []
    try:
        plans.extend(_entrypoint(session, path) for path in entrypoints)
        plans.extend(_query(session, checked.tree, name, body) for name, body in queries.items())
        write_pending(session)
        _check_calls(session)
    except Refusal as refusal:
        lines = {module.file: module.lines for module in checked.modules}
        found = Findings(refusal.file or "<query>", lines.get(refusal.file, ()))
        found.take(refusal)
        raise RegoError(found.problems) from None
    return {"static": session.tables.static(), "plans": {"plans": plans}, "funcs": {"funcs": session.functions}}


def _check_calls(session: Session) -> None:
    """Refuse functions that call themselves: rules below one name are one function, so they cannot need each other."""
    numbers = {name: index for index, name in enumerate(session.calls)}
    edges = [[numbers[name] for name in called if name in numbers] for called in session.calls.values()]
    for cycle in cycles(edges, []):
        name = list(session.calls)[cycle[0]].partition(".")[2]
        raise Refusal("G501", f"the rules below {name} need each other", (1, 1), "give them names of their own")


def _frame(session: Session) -> Frame:
    frame = Frame(session, 2, {"input": INPUT, "data": DATA})
    frame.file = session.tables.file("<query>")
    frame.writer.stand(frame.file, (1, 1))
    return frame


def _entrypoint(session: Session, path: str) -> dict[str, Any]:
    frame = _frame(session)
    writer = frame.writer
    with writer.block() as block:
        steps = tuple(Scalar(step, (1, 1)) for step in path.split("/"))
        value = data_reference(frame, Ref(Var("data", (1, 1)), steps, (1, 1)), follow)
        result = writer.local()
        writer.emit("MakeObject", target=result)
        writer.emit("ObjectInsert", key=writer.string("result"), value=value, object=result)
        writer.emit("ResultSetAdd", value=result)
    return {"name": path, "blocks": [block]}


def _query(session: Session, tree: RuleTree, name: str, body: Body) -> dict[str, Any]:
    findings = Findings("<query>", ())
    numbers = count(1)
    nowhere = Module("<query>", (), (), (), (), 1, (1, 1))
    resolved = Resolver(nowhere, (), findings, numbers, lambda _rule, name, at: Scalar(name, at)).query(body)
    flat = Flattener(numbers, findings, tree.is_function, tree.is_rule).body(resolved)
    tree.check_calls(flat, findings)
    ordered = Orderer(tree.arity, findings).query(flat)
    stop(findings.problems)
    lowered = Lowerer(numbers).body(ordered)
    names: set[str] = set()
    body_vars(ordered, names)
    frame = _frame(session)
    writer = frame.writer
    with writer.block() as block:
        plan_body(frame, lowered)
        result = writer.local()
        writer.emit("MakeObject", target=result)
        for one in sorted(names - {"input", "data"}):
            number = frame.seen(one)
            if number is not None and not is_generated(one):
                writer.emit("ObjectInsert", key=writer.string(written(one)), value=local(number), object=result)
        writer.emit("ResultSetAdd", value=result)
    return {"name": name, "blocks": [block]}
