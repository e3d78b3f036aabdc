"""The compiled engine and the reference interpreter agree on random estates, facts and requests, in every order."""

import random

import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from authorizer.errors import Place
from authorizer.model import ANYONE, AUTHENTICATED, assignee_token
from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import compile_documents
from authorizer.policy.testing import Case, Expect
from tests.policy_oracle.estates import QUESTIONS, estates, examples, written
from tests.policy_oracle.reference import Reference, hour

EACH = 25
"""Questions to each random estate."""
FILLED = {"GET": "GET /{p}/{id}", "PUT": "PUT /{p}/{id}"}
RIGHT = {"GET": "r", "PUT": "s"}


def compiled(text: str) -> snapshot.Snapshot | None:
    """Compile, or return None for documents that the checker refuses as contradictory."""
    sources = compile_documents({"estate.yaml": text.encode()})
    if not sources.compiled:
        codes = {problem.code for problem in sources.problems if problem.severity == "error"}
        assert codes <= REFUSED, "\n".join(map(str, sources.problems))
        return None
    return snapshot.build(sources.documents(), {}, snapshot.Options())


REFUSED: set[str] = set()


def case_of(question: dict) -> Case:
    tokens = {ANYONE, AUTHENTICATED}
    for kind, name in question["is"]:
        tokens.add(assignee_token(kind, *((name,) if isinstance(name, str) else name)))
    return Case(
        suite="s",
        name="c",
        place=Place("x"),
        now=question["now"],
        subject="somebody",
        tokens=frozenset(tokens),
        attributes=question["attrs"],
        env=question["env"],
        method=question["method"],
        host="h",
        target=f"/{question['point']}/{question['id']}",
        headers={},
        data=question["data"],
        body=b"",
        expect=Expect("deny"),
    )


def engine(found: snapshot.Snapshot, question: dict) -> dict:
    decision = rehearsal.ask(found, case_of(question))
    missing, step = decision.missing, decision.step_up
    return {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason.code,
        "by": list(decision.policies),
        "overrode": list(decision.overrode),
        "missing": (sorted(missing.plans) or ["none"]) if missing else [],
        "requestable": list(decision.requestable),
        "step": (step.acr_values, step.max_age) if step else None,
    }


def reference(plain: Reference, question: dict, routes: dict) -> dict:
    filled = []
    for name, source in routes[FILLED[question["method"]]]["resource"].items():
        filled += [f"{name}:{tree}" for tree in source] if isinstance(source, dict) else [name]
    places = dict.fromkeys(("point", "point:places"), question["point"])
    resource = {**question["data"], "id": question["id"], **places}
    env = {"time": hour(question["now"]), **question["env"]}
    # Everybody who asks here has logged in.
    tokens = {*question["is"], ("authenticated", "true")}
    answer = plain.decide(RIGHT[question["method"]], filled, tokens, question["attrs"], resource, env, question["now"])
    step = answer.get("step")
    ages = {None: None, "1m": 60, "30": 30}
    return {
        "decision": answer["decision"],
        "reason": answer["reason"],
        "by": answer.get("by", []),
        "overrode": answer.get("overrode", []),
        "missing": sorted(answer.get("missing") or []),
        "requestable": answer.get("requestable", []),
        "step": (step.get("acr"), ages[step.get("max_age")]) if step else None,
    }


@examples(25, 4400)
@given(estates(), st.lists(QUESTIONS, min_size=EACH, max_size=EACH), st.randoms())
def test_the_engine_and_the_reference_agree(documents, questions, chance):
    text = written(documents)
    found = compiled(text)
    if found is None:
        event("refused")
        return
    plain = Reference(list(yaml.load_all(text, Loader=yaml.BaseLoader)))
    routes = documents[2]["http"]["routes"]
    answers = [engine(found, question) for question in questions]
    event(f"{sum(answer['decision'] == 'allow' for answer in answers)} allowed")
    for question, answer in zip(questions, answers, strict=True):
        event(answer["reason"])
        assert answer == reference(plain, question, routes), f"{question}\n{text}"
    again = compiled(written(shuffled(documents, chance)))
    assert [engine(again, question) for question in questions] == answers


def shuffled(documents: list[dict], chance: random.Random) -> list[dict]:
    """Return the documents in another order, the policies of each in another order, some in a document of their own."""
    moved = []
    for document in documents:
        (listed,) = [key for key in ("policies", "rules") if key in document] or [""]
        if not listed:
            moved.append(document)
            continue
        rules = chance.sample(document[listed], len(document[listed]))
        cut = chance.randint(0, len(rules))
        moved += [{**document, listed: part} for part in (rules[:cut], rules[cut:]) if part]
    return chance.sample(moved, len(moved))
