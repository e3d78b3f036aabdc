"""Every case of tests/cases/bad_input.yaml through the core, and each row of the table has a case."""

from pathlib import Path

import pytest
import yaml

from authorizer.model import Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

CASES = Path(__file__).parents[1] / "cases"
TABLE = yaml.safe_load((CASES / "bad_input.yaml").read_text())
ELSEWHERE = {25, 30, 31, 32}


@pytest.fixture(scope="module")
def authorizer():
    name = "bad_input_policies.yaml"
    sources = compile_documents({name: (CASES / name).read_bytes()})
    assert sources.problems == ()
    options = Options(identity_headers=dict.fromkeys(TABLE["managed"], "subject"))
    return Authorizer(build(sources.documents(), {}, options))


def octets(text):
    if isinstance(text, list):
        text = "".join(part * times for part, times in text)
    return text.encode("latin-1")


def wire(text):
    return octets(text).decode("utf-8", "surrogateescape")


def request_of(case):
    given = TABLE["defaults"] | case
    headers = {}
    for name, value in given["headers"]:
        headers[wire(name).lower()] = (*headers.get(wire(name).lower(), ()), wire(value))
    return Request(
        method=wire(given["method"]),
        target=wire(given["target"]),
        host=wire(given["host"]),
        scheme=given["scheme"],
        headers=headers,
        body=octets(given["body"]),
        body_state=given["body_state"],
    )


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: f"{case['row']}-{case['name']}")
def test_case(authorizer, case):
    decision = authorizer.check(request_of(case))
    assert (decision.reason.code, decision.reason.status) == (case["reason"], case["status"])
    assert decision.allowed == (case["reason"] == "allowed")


def test_every_row_has_its_cases():
    assert {case["row"] for case in TABLE["cases"]} | ELSEWHERE == set(range(34))
    names = [(case["row"], case["name"]) for case in TABLE["cases"]]
    assert len(set(names)) == len(names)


OWN = {
    1: "path_dot_segment", 2: "path_encoded_dot_segment", 3: "path_empty_segment", 4: "path_encoded_slash",
    5: "path_backslash", 6: "path_parameters", 7: "path_control_character", 8: "path_double_encoding",
    9: "path_fragment", 12: "query_ambiguous", 13: "path_not_absolute", 14: "path_missing", 17: "host_malformed",
    18: "credential_repeated", 19: "header_repeated", 20: "header_underscore", 23: "method_override",
    24: "header_not_text", 26: "method_malformed", 27: "path_too_long", 28: "body_partial",
}  # fmt: skip


def test_rows_have_reasons_of_their_own():
    assert len(set(OWN.values())) == len(OWN)
    assert OWN.items() <= {(case["row"], case["reason"]) for case in TABLE["cases"]}
