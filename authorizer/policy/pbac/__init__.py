"""The native policy language: documents -> check -> compiled form -> program -> verdict.

Authors' side: ``declared`` (shapes), ``values``, ``vocabulary``, ``applications``, ``routes``, ``conditions``,
``grants``, ``policies``, ``eligibility``, ``names`` (meaning), ``lint``, ``compile`` and ``form`` (the signed JSON).
The compiled form's policies are columns: ``pack`` writes them, ``columns`` is how numbers and texts stand in JSON.
Deciding side: ``templates`` (closures), ``rows`` (reads columns), ``gather`` and ``index``, ``points``, ``subjects``,
``program``; ``decide`` (the algorithm), ``partial`` (for lists), ``verdicts``, ``explain``, ``emitting``, ``lasting``.
Both share ``types``; only ``check`` sees both.
"""

from authorizer.policy.pbac.check import KINDS, OTHER_KINDS, Compiled, check_and_compile
from authorizer.policy.pbac.names import Vocabulary
from authorizer.policy.pbac.program import NOTHING, Program, load
from authorizer.policy.pbac.question import BadAttribute, Question, Route, Source, Verdict
from authorizer.policy.pbac.subjects import Subject

__all__ = [
    "KINDS",
    "NOTHING",
    "OTHER_KINDS",
    "BadAttribute",
    "Compiled",
    "Program",
    "Question",
    "Route",
    "Source",
    "Subject",
    "Verdict",
    "Vocabulary",
    "check_and_compile",
    "load",
]
