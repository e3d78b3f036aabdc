"""Rules that would hold the process for long are cut off, and what is asked beside them is answered."""

import json

import pytest

from authorizer.model import KINDS, Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

FILES = {
    "api.yaml": b"""
kind: Application
id: api
rego: {entrypoint: acme/allow, input: cloudentity}
http: {hosts: [api.example]}
""",
    "policy.rego": rb"""package acme
allow if input.request.path == "/ok"
allow if { input.request.path == "/loop"; some i in data.n; some j in data.n; i * j == -1 }
allow if { input.request.path == "/regex"; regex.match("(a|a?)+(a*)*b$", data.s) }
allow if { input.request.path == "/pattern"; regex.match("((a{100}){100}){100}", data.s) }
allow if {
    input.request.path == "/build"
    text := concat("", [x | some i in numbers.range(1, 1000000); x := sprintf("%d", [i])])
    count(text) > 10000000
}
""",
    "data.json": json.dumps({"n": list(range(1000)), "s": "a" * 1_000_000}).encode(),
}
SNAPSHOT = build(compile_documents(FILES).documents(), dict.fromkeys(KINDS, "1"), Options())


@pytest.mark.parametrize("path", ["/loop", "/regex", "/pattern", "/build"])
def test_cut_off_denied_and_coded(path: str) -> None:
    seen = []
    authorizer = Authorizer(observe=lambda _request, decision, _seconds: seen.append(decision.reason.code))
    authorizer.snapshot = SNAPSHOT
    denied = authorizer.check(Request(method="GET", target=path, host="api.example"))
    assert not denied.allowed
    assert authorizer.check(Request(method="GET", target="/ok", host="api.example")).allowed
    assert seen == [denied.reason.code, "allowed"]
    assert denied.reason.code == ("rego_undefined" if path == "/pattern" else "rego_budget")
