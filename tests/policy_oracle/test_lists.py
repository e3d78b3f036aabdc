"""A list's filter, applied as the language's description says, shows a row only where the reference would allow it."""

import json

import yaml
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.pdp import rehearsal
from tests.policy_oracle.estates import FIELDS, QUESTIONS, RESOURCES, estates, examples, written
from tests.policy_oracle.reference import BAD, Reference, convert, hour
from tests.policy_oracle.test_oracle import case_of, compiled

UNSAID = ('"has_all": $resource', "$resource.host", '"prefix": $resource')
"""Comparisons with a row's field on the right that the filter cannot say: it shows less than it could, never more."""


def shows(node, row: dict, plain: Reference) -> bool:
    """Apply a filter to a row of typed values."""
    if isinstance(node, bool):
        return node
    if "all" in node:
        return all(shows(part, row, plain) for part in node["all"])
    if "any" in node:
        return any(shows(part, row, plain) for part in node["any"])
    negated = "not" in node
    leaf = node.get("not", node)
    right = f"$resource.{leaf['other']}" if "other" in leaf else texts(leaf["value"])
    answer = plain._compare(f"resource.{leaf['field']}", leaf["op"], right, {"resource": row})
    return answer is not None and answer is not negated


def texts(value):
    """Write JSON values as an author would."""
    if isinstance(value, list):
        return [texts(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@examples(12, 600)
@given(estates(), st.lists(QUESTIONS, min_size=4, max_size=4), st.lists(RESOURCES, min_size=8, max_size=8))
def test_a_filter_shows_what_would_be_allowed(documents, questions, rows):
    application = documents[2]
    routes = application["http"]["routes"]
    places = {name: source for name, source in routes["GET /{p}/{id}"]["resource"].items() if name == "point"}
    if "units" in str(places):
        places = {"point": {"places": "path.p", "units": "query.u"}}
    routes["GET /{p}"] = {"right": "r", "mode": "filter", "resource": places}
    text = written(documents)
    found = compiled(text)
    if found is None:
        return
    plain = Reference(list(yaml.load_all(text, Loader=yaml.BaseLoader)))
    exact = not any(words in text for words in UNSAID)
    for question in questions:
        unit = question["data"].get("point:units")
        case = replace(
            case_of(question), method="GET", target=f"/{question['point']}" + (f"?u={unit}" if unit else ""), data={}
        )
        decision = rehearsal.ask(found, case)
        if decision.reason.code in {"filter_limit", "query_ambiguous"}:
            continue
        event(decision.reason.code)
        said = dict(decision.upstream).get("x-authz-filter")
        assert decision.allowed == (said is not None), decision
        condition = json.loads(said) if said is not None else False
        for row in rows:
            typed = {name: convert(FIELDS[name], value) for name, value in row.items() if name in FIELDS} | {"id": "1"}
            if BAD in typed.values():
                continue
            point = {"point": question["point"], "point:places": question["point"], "point:units": unit}
            filled = [*FIELDS, "id", *([f"point:{tree}" for tree in plain.trees] if len(plain.trees) > 1 else places)]
            tokens = {*question["is"], ("authenticated", "true")}
            env = {"time": hour(question["now"]), **question["env"]}
            answer = plain.decide(
                "r", filled, tokens, question["attrs"], {**row, **point, "id": "1"}, env, question["now"]
            )
            shown = shows(condition, typed, plain)
            event(f"shown {shown}")
            told = f"{question}\n{row}\n{said}\n{answer}\n{text}"
            assert answer["decision"] == "allow" or not shown, told
            assert not exact or shown == (answer["decision"] == "allow"), told
