"""``authorizer policy test``, ``coverage``, ``mutate``: run the cases, and measure how much they would notice."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from authorizer.cli import policy_rego
from authorizer.cli.policy_documents import (
    FAILED,
    add_arguments,
    answering,
    check_cases,
    estate_of,
    print_json,
    read_files,
    read_sources,
    with_cases,
)
from authorizer.errors import DocumentError
from authorizer.pdp.sources import compile_documents
from authorizer.policy import testing
from authorizer.policy.authoring import coverage, recorded
from authorizer.policy.authoring.equivalents import read_equivalents
from authorizer.policy.authoring.junit import junit
from authorizer.policy.authoring.mutants import Mutant
from authorizer.policy.authoring.trials import Trials, survivors
from authorizer.policy.rego.testing import Report as Rules
from authorizer.policy.rego.testing import summary


def add_verbs(verbs: Any) -> None:
    """Register the verbs."""
    test = verbs.add_parser("test", help="run the cases of Tests documents; exit status 4 if one fails")
    add_arguments(test)
    test.add_argument("--junit", metavar="FILE", help="write the report as JUnit XML too")
    test.add_argument("--coverage", action="store_true", help="show what the cases exercise, too")
    test.add_argument("--from-decisions", metavar="FILE", help="run the events of a decision log in place of the cases")
    policy_rego.add_options(test, data=True)
    test.set_defaults(run=_test)
    covered = verbs.add_parser("coverage", help="show which policies and conditions the cases exercise")
    add_arguments(covered)
    covered.set_defaults(run=_coverage)
    mutate = verbs.add_parser("mutate", help="show small faults that no case notices; exit status 4 if there is one")
    add_arguments(mutate)
    mutate.add_argument("--equivalents", metavar="FILE", help="names of mutants that change nothing, with the reasons")
    mutate.set_defaults(run=_mutate)


def _test(args: argparse.Namespace) -> int:
    if policy_rego.concerns(args):
        return policy_rego.test(args)
    rules = Rules(())
    if args.from_decisions:
        sources = read_sources(args.paths)
        events = Path(args.from_decisions).read_bytes()
        cases = recorded.cases(events, args.from_decisions, sources.documents()["facts"])
    else:
        files = read_files(args.paths)
        sources = compile_documents(files)
        if sources.compiled:
            rules = policy_rego.beside(files, args.data, coverage=args.coverage)
        check_cases(sources, args.paths[0], others=bool(rules.outcomes))
        cases = sources.tests
    engine = answering(sources)
    report = testing.run(cases, engine(None))
    if args.junit:
        Path(args.junit).write_text(junit(report, rules.outcomes), encoding="utf-8")
    covered = coverage.coverage(Trials(estate_of(sources), cases, engine)) if args.coverage else ()
    passed, failed = report.passed + rules.passed, len(report.failed) + len(rules.failed)
    if args.output == "json":
        more: dict[str, object] = {"rules": policy_rego.shown_rules(rules)} if rules.outcomes else {}
        more |= {"coverage": [_covered(policy) for policy in covered]} if args.coverage else {}
        results = [_result(result) for result in report.results]
        print_json({"passed": passed, "failed": failed, "cases": results, **more})
    else:
        for line in _failures(report.failed):
            print(line)
        policy_rego.print_failures(rules)
        print(summary(passed, failed, rules.skipped))
        if args.coverage:
            _print_coverage(covered)
            policy_rego.print_coverage(rules)
    return FAILED if failed else 0


def _coverage(args: argparse.Namespace) -> int:
    sources = with_cases(args.paths)
    covered = coverage.coverage(Trials(estate_of(sources), sources.tests, answering(sources)))
    if args.output == "json":
        print_json({"policies": [_covered(policy) for policy in covered]})
    else:
        _print_coverage(covered)
    return 0


def _mutate(args: argparse.Namespace) -> int:
    named = Path(args.equivalents).read_bytes() if args.equivalents else b""
    equivalents = read_equivalents(named, args.equivalents or "")
    sources = with_cases(args.paths)
    trials = Trials(estate_of(sources), sources.tests, answering(sources))
    failing = sum(bool(testing.failures(trial.case.expect, trial.decision)) for trial in trials.all)
    if failing:
        print(f"error: {failing} cases fail without any mutant; see authorizer policy test", file=sys.stderr)
        return FAILED
    count, alive = survivors(trials)
    unnamed = tuple(mutant for mutant in alive if mutant.name not in equivalents.reasons)
    stale = equivalents.stale(mutant.name for mutant in alive)
    if stale:
        raise DocumentError(stale)
    if args.output == "json":
        print_json(
            {"mutants": count, "equivalent": len(alive) - len(unnamed), "survivors": list(map(_mutant, unnamed))}
        )
    else:
        for mutant in unnamed:
            print(f"SURVIVED {mutant.name} ({mutant.place})")
        equal = f", {len(alive) - len(unnamed)} equivalent" if len(alive) > len(unnamed) else ""
        print(f"{count} mutants, {count - len(alive)} killed{equal}, {len(unnamed)} survived")
    return FAILED if unnamed else 0


def _print_coverage(covered: Iterable[coverage.PolicyCoverage]) -> None:
    covered = tuple(covered)
    for policy in covered:
        if not policy.determines:
            print(f"{policy.place}: policy {policy.id!r} determines no case")
        for condition in policy.conditions:
            ways = (("true", condition.when_true), ("not true", condition.when_false))
            lacking = " or ".join(way for way, case in ways if not case)
            if lacking:
                print(f"{condition.place}: no case of {policy.id!r} turns on {condition.text} being {lacking}")
    print(coverage.summary(covered))


def _covered(policy: coverage.PolicyCoverage) -> Mapping[str, object]:
    conditions = [
        {"place": one.place, "condition": one.text, "when_true": one.when_true, "when_not_true": one.when_false}
        for one in policy.conditions
    ]
    return {"id": policy.id, "place": policy.place, "determines": policy.determines, "conditions": conditions}


def _mutant(mutant: Mutant) -> Mapping[str, object]:
    return {"name": mutant.name, "policy": mutant.of.id, "place": str(mutant.place)}


def _failures(results: Iterable[testing.Result]) -> Iterable[str]:
    for result in results:
        case, decision = result.case, result.decision
        yield f"FAILED {case.suite}: {case.name} ({case.place})"
        yield from (f"    {line}" for line in result.failures)
        answer = "allow" if decision.allowed else "deny"
        by = f" by {', '.join(decision.policies)} ({', '.join(decision.sources)})" if decision.policies else ""
        yield f"    answer: {answer}, {decision.reason.code}{by}"
        if decision.detail and not decision.allowed:
            yield f"    why: {decision.detail}"


def _result(result: testing.Result) -> Mapping[str, object]:
    return {
        "suite": result.case.suite,
        "name": result.case.name,
        "place": str(result.case.place),
        "passed": not result.failures,
        "failures": result.failures,
        "decision": "allow" if result.decision.allowed else "deny",
        "reason": result.decision.reason.code,
        "policies": result.decision.policies,
        "detail": result.decision.detail,
    }
