"""A list's filter says ``in`` with a list, even where an attribute holds one network."""

import json

from authorizer.pdp import rehearsal
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents

ESTATE = b"""
kind: Application
id: app
model: pbac+fields
fields: {host: {type: ip}, office: {type: cidr, scope: assignee}}
rights: {read: {fields: [host]}}
http: {hosts: [api.example], routes: {GET /rows: {right: read, mode: filter}}}
---
kind: Policies
policies:
  - {id: near, right: app/read, to: {person: ann}, where: {resource.host: {in: $assignee.office}}}
---
kind: Tests
suite: rows
now: 2026-11-20T10:00:00Z
subjects: {ann: {is: {person: [ann]}, attrs: {office: 10.0.0.0/8}}}
cases:
  - {name: near, as: ann, http: GET api.example/rows, expect: {decision: allow}}
"""


def test_one_network_is_a_list_of_one() -> None:
    sources = compile_documents({"a.yaml": ESTATE})
    assert not [problem for problem in sources.problems if problem.severity == "error"], sources.problems
    (case,) = sources.tests
    decision = rehearsal.ask(build(sources.documents(), {}, Options()), case)
    said = json.loads(dict(decision.upstream)["x-authz-filter"])
    assert said == {"field": "host", "op": "in", "value": ["10.0.0.0/8"]}
