"""What test cases exercise: which policies determine an answer, and which comparisons an answer turns on alone.

A comparison is covered when there is a case whose answer would change if it were false instead of true, and one whose
answer would change if it were true instead of false or unknown (after MC/DC, modified condition and decision coverage).
"""

from msgspec import Struct
from msgspec.structs import replace

from authorizer.model import Decision
from authorizer.policy.authoring.mutants import Mutant, mutated
from authorizer.policy.authoring.surgery import always, comparisons, replaced, written
from authorizer.policy.authoring.trials import Trials
from authorizer.policy.pbac.declared import Policy


class ConditionCoverage(Struct, frozen=True):
    """One comparison, and the first case whose answer turns on its being true, or on its not being true ("": none)."""

    place: str
    text: str
    when_true: str
    when_false: str

    @property
    def covered(self) -> bool:
        """Whether both ways are exercised."""
        return bool(self.when_true and self.when_false)


class PolicyCoverage(Struct, frozen=True):
    """One policy, the number of cases that it determines, and its comparisons in the order written."""

    id: str
    place: str
    determines: int
    conditions: tuple[ConditionCoverage, ...]


def coverage(trials: Trials) -> tuple[PolicyCoverage, ...]:
    """Return the coverage of every policy, by id."""
    return tuple(_policy(policy, trials) for policy in sorted(trials.estate.policies, key=lambda one: one.id))


def summary(covered: tuple[PolicyCoverage, ...]) -> str:
    """Count what is covered, in one line."""
    conditions = [one for policy in covered for one in policy.conditions]
    alone = sum(one.covered for one in conditions)
    determining = sum(policy.determines > 0 for policy in covered)
    policies = f"{determining} of {len(covered)} policies determine a case"
    return f"{policies}, {alone} of {len(conditions)} conditions decide one both ways"


def _policy(policy: Policy, trials: Trials) -> PolicyCoverage:
    concerned = trials.concerned(policy)
    determines = sum(policy.id in trial.decision.policies + trial.decision.overrode for trial in concerned)
    conditions = []
    for path, leaf in comparisons(policy.condition):
        turned = {}
        for truth in (True, False):
            assert policy.condition is not None
            condition = replaced(policy.condition, path, always(truth=truth, place=leaf.place))
            mutant = Mutant("", policy, replace(policy, condition=condition), leaf.place)
            answer = trials.answers(policy, mutated(trials.estate, mutant)) if concerned else None
            turned[truth] = next(
                (
                    f"{trial.case.suite}: {trial.case.name}"
                    for trial in concerned
                    if answer is not None and _outcome(answer(trial.case)) != _outcome(trial.decision)
                ),
                "",
            )
        conditions.append(
            ConditionCoverage(str(leaf.place), written(leaf), when_true=turned[False], when_false=turned[True])
        )
    return PolicyCoverage(policy.id, str(policy.place), determines, tuple(conditions))


def _outcome(decision: Decision) -> tuple[object, ...]:
    return decision.allowed, decision.reason.code, decision.policies, decision.overrode, decision.step_up
