"""Rego's own tests: rules whose names begin with ``test_``, and how much of the policies they exercise."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from authorizer.errors import Place
from authorizer.policy.plan import BudgetError, Context, EvaluationError, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED
from authorizer.policy.rego.compile import Checked, check_modules, plan_modules
from authorizer.policy.rego.syntax import At, Expr, Module, Rule
from authorizer.policy.rego.tracing import HEARD, Tracer
from authorizer.policy.rego.tree import is_whole, name_of, walk

_SKIPPED = "todo_"


class Outcome(Struct, frozen=True):
    """What became of one test: ``failure`` is empty where it passed, ``skipped`` where its name says so."""

    name: str
    place: Place
    failure: str = ""
    skipped: bool = False


class Covered(Struct, frozen=True):
    """The expressions of one file: how many there are, and where those stand that never held."""

    file: str
    total: int
    missing: tuple[At, ...]


class Report(Struct, frozen=True):
    """All tests, and the coverage of files that are not made of tests only."""

    outcomes: tuple[Outcome, ...]
    coverage: tuple[Covered, ...] = ()

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The tests that did not pass."""
        return tuple(one for one in self.outcomes if one.failure)

    @property
    def skipped(self) -> int:
        """How many tests were not run."""
        return sum(one.skipped for one in self.outcomes)

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return len(self.outcomes) - len(self.failed) - self.skipped

    @property
    def summary(self) -> str:
        """One line."""
        return summary(self.passed, len(self.failed), self.skipped)


def summary(passed: int, failed: int, skipped: int) -> str:
    """Return the last line of a run."""
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def run(
    modules: Sequence[Module],
    context: Callable[[], Context],
    *,
    data: Mapping[str, Any] | None = None,
    coverage: bool = False,
) -> Report:
    """Run all tests of modules; a test passes where its rule has a value and that is not false.

    A rule such as ``test_cases[name]`` never passes: it has a value when only some of its cases hold.

    ``context`` makes the surroundings of one evaluation. Raises RegoError, PlanError.
    """
    checked = check_modules(modules)
    tests = _tests(checked)
    wanted = [path for path, (_, rule) in tests.items() if not _is_skipped(rule)]
    tracer = Tracer(variables=False) if coverage else None
    plan = read(plan_modules(checked, wanted, {}, tracer))
    compiled = compile_plan(plan)
    given = data or {}
    held: set[int] = set()
    outcomes = []
    for path, (file, rule) in tests.items():
        name, place = name_of(rule), Place(file, *rule.at)
        if _is_skipped(rule):
            outcomes.append(Outcome(name, place, skipped=True))
            continue
        surroundings = context()
        heard: list[Any] = []
        if coverage:
            surroundings.cache[HEARD] = heard
        failure = ""
        try:
            results = compiled.evaluate(path, UNDEFINED, surroundings, given)
        except EvaluationError as error:
            failure = f"{error.code}: {error}"
        except BudgetError:
            failure = "it costs more than an evaluation may"
        else:
            if not results:
                failure = "it has no value"
            elif results[0]["result"] is False:
                failure = "it is false"
            elif not is_whole(rule):
                failure = "of cases named by a variable those that fail are not told: write `every`, or a rule for each"
        if tracer is not None:
            held |= {id(event.expr) for event in tracer.events(heard) if event.held}
        outcomes.append(Outcome(name, place, failure))
    return Report(tuple(outcomes), tuple(_coverage(checked, held)) if coverage else ())


def _is_test(rule: Rule) -> bool:
    last = name_of(rule).rpartition(".")[2].removeprefix(_SKIPPED)
    return last.startswith("test_") and rule.args is None


def _is_skipped(rule: Rule) -> bool:
    return name_of(rule).rpartition(".")[2].startswith(_SKIPPED)


def _tests(checked: Checked) -> dict[str, tuple[str, Rule]]:
    """Return the tests by path, each with its file; of several rules of one name one stands for all."""
    found: dict[str, tuple[str, Rule]] = {}
    for module, rules in zip(checked.modules, checked.rules, strict=True):
        for rule in rules:
            if _is_test(rule):
                path = name_of(rule).removeprefix("data.").replace(".", "/")
                if path not in found or not is_whole(rule):
                    found[path] = (module.file, rule)
    return found


def _coverage(checked: Checked, held: set[int]) -> Iterator[Covered]:
    for module, rules in zip(checked.modules, checked.rules, strict=True):
        places: dict[At, bool] = {}
        for rule in rules:
            if _is_test(rule):
                continue
            for branch in (rule, *rule.elses):
                for one in walk(branch.body, nested=False):
                    if isinstance(one, Expr):
                        places[one.at] = places.get(one.at, True) and id(one) in held
        if places:
            missing = sorted(at for at, covered in places.items() if not covered)
            yield Covered(module.file, len(places), tuple(missing))
