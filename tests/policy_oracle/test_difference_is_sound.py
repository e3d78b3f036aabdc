"""Whatever a change of policies lets through that policies denied before, the difference has told as gained.

A value that is not of its field's type denies, whatever the policies say, while one of them reads the field: that is
no access of which a difference could tell.
"""

import random

from hypothesis import event, given
from hypothesis import strategies as st

from authorizer.pdp import rehearsal
from authorizer.pdp.sources import compile_documents
from authorizer.policy.authoring.difference import differences
from tests.policy_oracle.estates import QUESTIONS, estates, examples, written
from tests.policy_oracle.test_oracle import RIGHT, case_of, compiled, engine


def changed(documents: list[dict], others: list[dict], chance: random.Random) -> list[dict]:
    """Return the documents with some policies gone and some of another estate's come."""
    (mine,) = [document for document in documents if document["kind"] == "Policies"]
    (theirs,) = [document for document in others if document["kind"] == "Policies"]
    kept = [policy for policy in mine["policies"] if chance.random() < (0.4 if "reason" in policy else 0.9)]
    come = [
        {**policy, "id": f"q{policy['id']}"}
        for policy in theirs["policies"]
        if chance.random() < (0.1 if "reason" in policy else 0.6)
    ]
    known = {policy["id"] for policy in kept}
    rules = [
        {key: value for key, value in policy.items() if key not in {"at", "overrides"}} if policy in come else policy
        for policy in kept + come
        if set(policy.get("overrides", [])) <= known or policy in come
    ]
    return [{**document, "policies": rules} if document is mine else document for document in documents]


@examples(12, 600)
@given(estates(), estates(), st.lists(QUESTIONS, min_size=25, max_size=25), st.randoms(use_true_random=False))
def test_what_is_let_through_anew_was_told(documents, others, questions, chance):
    texts = written(documents), written(changed(documents, others, chance))
    old, new = (compiled(text) for text in texts)
    if old is None or new is None:
        return
    before, after = (compile_documents({"estate.yaml": text.encode()}).estate for text in texts)
    gained = {(one.token, one.right) for one in differences(before, after) if one.way == "gained"}
    for question in questions:
        earlier = engine(old, question)
        if earlier["reason"] == "bad_attribute":
            continue
        if engine(new, question)["decision"] == "allow" and earlier["decision"] == "deny":
            event("let through anew")
            held = new.program.subject("app", rehearsal.read(new, case_of(question)).identity).tokens
            assert any((token, RIGHT[question["method"]]) in gained for token in held), (
                f"{question}\n" + "\n=====\n".join(texts)
            )
