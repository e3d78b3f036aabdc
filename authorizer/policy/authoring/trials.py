"""Runs test cases against changed policies, and finds the changes that no case notices."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from authorizer.model import Decision
from authorizer.policy.authoring.mutants import Mutant, mutants, mutated
from authorizer.policy.pbac.compile import compile_form
from authorizer.policy.pbac.declared import Application, Eligibility, Estate, Policy
from authorizer.policy.testing import Case, failures

Answer = Callable[[Case], Decision]
Engine = Callable[[Mapping[str, Any] | None], Answer]
"""Makes the function that answers cases by a compiled form; None stands for the form of the documents themselves."""


class Trial(Struct, frozen=True):
    """A case with the answer of the unchanged policies."""

    case: Case
    decision: Decision


class Trials:
    """The cases of an estate by the right that they are about, so that a change meets only what it can change."""

    def __init__(self, estate: Estate, cases: Iterable[Case], engine: Engine) -> None:
        self.estate = estate
        self._engine = engine
        answer = engine(None)
        self.all = tuple(Trial(case, answer(case)) for case in cases)
        self._about: dict[tuple[str, str], list[Trial]] = defaultdict(list)
        for trial in self.all:
            self._about[trial.decision.application, trial.decision.right].append(trial)

    def concerned(self, of: Policy | Eligibility) -> Sequence[Trial]:
        """Return the trials that a policy can matter to; first those that it determined."""
        found = [
            trial
            for right in rights_of(of, self.estate.applications[of.application])
            for trial in self._about.get((of.application, right), ())
        ]
        return sorted(found, key=lambda trial: of.id not in trial.decision.policies)

    def answers(self, of: Policy | Eligibility, changed: Estate) -> Answer:
        """Return how a changed estate answers what ``of`` concerns: only what is about its rights is built."""
        application = self.estate.applications[of.application]
        rights = rights_of(of, application)

        def near(one: Policy | Eligibility) -> bool:
            return one.application == of.application and not rights.isdisjoint(rights_of(one, application))

        part = replace(
            changed,
            applications={of.application: application},
            policies=tuple(one for one in changed.policies if near(one)),
            eligibility=tuple(one for one in changed.eligibility if near(one)),
        )
        return self._engine(compile_form(part.catalog, part.applications, part.policies, part.eligibility))


def rights_of(of: Policy | Eligibility, application: Application) -> frozenset[str]:
    """Return the names of the rights that a policy or rule is about, roles opened."""
    if of.target_kind == "all":
        return frozenset(application.rights)
    return frozenset({of.target} if of.target_kind == "right" else application.roles[of.target].rights)


def survivors(trials: Trials) -> tuple[int, tuple[Mutant, ...]]:
    """Return how many mutants there are, and those that no case tells from the original.

    A mutant is told by a case that fails with it, so what a case leaves unsaid is not told by it.
    """
    count = 0
    alive: list[Mutant] = []
    for mutant in mutants(trials.estate):
        count += 1
        concerned = trials.concerned(mutant.of)
        if concerned:
            answer = trials.answers(mutant.of, mutated(trials.estate, mutant))
            if any(failures(trial.case.expect, answer(trial.case)) for trial in concerned):
                continue
        alive.append(mutant)
    return count, tuple(alive)
