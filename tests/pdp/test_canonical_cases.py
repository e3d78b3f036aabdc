"""Every case of tests/cases/bad_input.yaml through the core's steps, and each row of the table has a case."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from authorizer.model import Reason, Request
from authorizer.pdp import canonical
from authorizer.pdp.attributes import compile_sources
from authorizer.pdp.routes import Entry, build
from authorizer.reasons import REASONS

CASES = Path(__file__).parents[1] / "cases"
TABLE = yaml.safe_load((CASES / "bad_input.yaml").read_text())
MANAGED = frozenset(TABLE["managed"])
ELSEWHERE = {25, 30, 31, 32}


def applications():
    documents = yaml.safe_load_all((CASES / "bad_input_policies.yaml").read_text())
    return [document for document in documents if document["kind"] == "Application"]


def entries():
    for application in applications():
        http = application["http"]
        for route, rest in http["routes"].items():
            method, template = route.split(" ")
            sources = [
                SimpleNamespace(field=field, kind=source.partition(".")[0], key=source.partition(".")[2])
                for field, source in rest.get("resource", {}).items()
            ]
            accepts = frozenset(http.get("accept", ()))
            yield Entry(tuple(http["hosts"]), method, template, compile_sources(sources), accepts)


ROUTES = build(entries())


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
        protocol=given["protocol"],
        headers=headers,
        body=octets(given["body"]),
        body_state=given["body_state"],
        metadata=given["metadata"],
    )


def refusal(request):
    """Go the core's way up to the policies; return the code of the denial, or ``allowed``."""
    target = canonical.read(request)
    if isinstance(target, Reason):
        return target.code
    refused = canonical.check_headers(request, MANAGED)
    if refused is not None:
        return refused.code
    match = ROUTES.resolve(target)
    if not match or isinstance(match, Reason):
        return match.code if match else "no_route"
    credential = canonical.credential(request)
    if isinstance(credential, Reason):
        return credential.code
    resource = match.payload(match.params, target, request, {}, lambda _table, _key: None)
    return resource.code if isinstance(resource, Reason) else "allowed"


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: f"{case['row']}-{case['name']}")
def test_case(case):
    assert REASONS[case["reason"]].status == case["status"]
    # Nobody is not refused before the policies speak, and they are not asked here.
    expected = "allowed" if case["reason"] == "no_credential" else case["reason"]
    assert refusal(request_of(case)) == expected


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
