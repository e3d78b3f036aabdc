"""What explain says of each policy, put together by the algorithm, is what the engine decides."""

from hypothesis import given
from hypothesis import strategies as st

from authorizer.cli.policy_explain import candidates
from authorizer.model import Decision
from authorizer.pdp import rehearsal
from authorizer.pdp.sources import compile_documents
from tests.policy_oracle.estates import QUESTIONS, estates, examples, written
from tests.policy_oracle.test_oracle import case_of, compiled

BEFORE = {"bad_attribute", "unknown_point"}
"""Reasons that come before any policy."""


@examples(10, 500)
@given(estates(), st.lists(QUESTIONS, min_size=20, max_size=20))
def test_candidates_say_what_the_engine_decides(documents, questions):
    text = written(documents)
    found = compiled(text)
    if found is None:
        return
    estate = compile_documents({"estate.yaml": text.encode()}).estate
    for case in map(case_of, questions):
        decision = rehearsal.ask(found, case)
        asked = rehearsal.read(found, case)
        if isinstance(asked, Decision) or decision.reason.code in BEFORE:
            continue
        told = candidates(found, estate, asked, case.now)
        stand = {
            effect: {one.policy.id: one.policy for one in told if one.policy.effect == effect and one.stands}
            for effect in ("gate", "deny", "allow")
        }
        overrides = {name for policy in stand["allow"].values() for name in policy.overrides}
        rigid = any(not policy.overridable for policy in stand["deny"].values())
        left = set(stand["deny"]) if rigid else set(stand["deny"]) - overrides
        assert decision.allowed == (not stand["gate"] and not left and bool(stand["allow"])), f"{case}\n{text}"
        if decision.allowed:
            assert set(decision.policies) == set(stand["allow"])
        elif stand["gate"]:
            assert set(decision.policies) <= set(stand["gate"])
        elif left:
            assert set(decision.policies) <= left, f"{case}\n{decision}\n{text}"
        for one in told:
            assert all(lack.place.line for lack in one.lacking)
