"""A published attribute-based policy, the "university", written in the language: its access list comes out exactly."""

import gzip
import json
from functools import partial
from pathlib import Path

import pytest

from authorizer.errors import Place
from authorizer.model import ANYONE, AUTHENTICATED
from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import compile_documents
from authorizer.policy.testing import Case, Expect

DATA = Path(__file__).parents[3] / "shared" / "checks" / "policy-data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no policy data at {DATA}")

ACTIONS = (
    "addScore",
    "assignGrade",
    "changeScore",
    "checkStatus",
    "read",
    "readMyScores",
    "readScore",
    "setStatus",
    "write",
)
FIELDS = "type: lookup.type, crs: lookup.crs, student: lookup.student, departments: lookup.departments"
POLICY = f"""\
kind: Application
id: university
model: pbac+fields
fields:
  type: {{type: enum, values: [gradebook, roster, transcript, application]}}
  crs: {{type: string}}
  student: {{type: string}}
  departments: {{type: string, many: true}}
  uid: {{type: string, scope: assignee}}
  position: {{type: enum, scope: assignee, values: [applicant, student, faculty, staff]}}
  department: {{type: string, scope: assignee}}
  is_chair: {{type: bool, scope: assignee}}
  taken: {{type: string, many: true, scope: assignee}}
  taught: {{type: string, many: true, scope: assignee}}
rights: {{{", ".join(f"{name}: {{fields: [type, crs, student, departments]}}" for name in ACTIONS)}}}
roles: {{Teacher: [addScore, readScore], Grader: [changeScore, assignGrade], Registrar: [read, write], Admission: [read, setStatus]}}
http:
  hosts: [university.example]
  routes:
{"".join(f"    POST /{{id}}/{name}: {{right: {name}, resource: {{id: path.id, {FIELDS}}}}}{chr(10)}" for name in ACTIONS)}
---
kind: Policies
policies:
  - {{id: my-scores, right: university/readMyScores, to: {{authenticated: true}}, where: {{resource.type: {{eq: gradebook}}, resource.crs: {{in: $assignee.taken}}}}}}
  - {{id: teachers, role: university/Teacher, to: {{authenticated: true}}, where: {{resource.type: {{eq: gradebook}}, resource.crs: {{in: $assignee.taught}}}}}}
  - {{id: graders, role: university/Grader, to: {{authenticated: true}},
     where: {{resource.type: {{eq: gradebook}}, assignee.position: {{eq: faculty}}, resource.crs: {{in: $assignee.taught}}}}}}
  - {{id: registrars, role: university/Registrar, to: {{authenticated: true}}, where: {{resource.type: {{eq: roster}}, assignee.department: {{eq: registrar}}}}}}
  - {{id: rosters, right: university/read, to: {{authenticated: true}},
     where: {{resource.type: {{eq: roster}}, assignee.position: {{eq: faculty}}, resource.crs: {{in: $assignee.taught}}}}}}
  - {{id: transcripts, right: university/read, to: {{authenticated: true}},
     where: {{resource.type: {{eq: transcript}}, any: [{{resource.student: {{eq: $assignee.uid}}}}, {{assignee.is_chair: {{eq: true}}, resource.departments: {{has: $assignee.department}}}}, {{assignee.department: {{eq: registrar}}}}]}}}}
  - {{id: own-status, right: university/checkStatus, to: {{authenticated: true}}, where: {{resource.type: {{eq: application}}, resource.student: {{eq: $assignee.uid}}}}}}
  - {{id: admissions, role: university/Admission, to: {{authenticated: true}}, where: {{resource.type: {{eq: application}}, assignee.department: {{eq: admissions}}}}}}
"""
NAMES = {"isChair": "is_chair", "crsTaken": "taken", "crsTaught": "taught"}


def facts(resources: dict) -> bytes:
    rows = {name: {key: value for key, value in row.items() if key != "rid"} for name, row in resources.items()}
    return json.dumps({"kind": "Facts", "lookups": {"university": rows}}).encode()


def attributes(user: dict) -> dict[str, object]:
    return {NAMES.get(key, key): value.lower() if key == "isChair" else value for key, value in user.items()}


def test_the_access_list_comes_out_exactly():
    given = json.loads((DATA / "university.json").read_text())
    listed = {
        tuple(json.loads(line))
        for line in gzip.decompress((DATA / "university.acl.jsonl.gz").read_bytes()).splitlines()
    }
    sources = compile_documents({"policy.yaml": POLICY.encode(), "facts.yaml": facts(given["resources"])})
    assert [str(problem) for problem in sources.problems] == []
    ask = partial(rehearsal.ask, snapshot.build(sources.documents(), {}, snapshot.Options()))
    permitted = set()
    asked = 0
    for user, said in given["users"].items():
        for resource in given["resources"]:
            for action in given["actions"]:
                case = Case(
                    suite="university", name="", place=Place(""), now=0.0, subject=user,
                    tokens=frozenset({ANYONE, AUTHENTICATED}), attributes=attributes(said), env={}, method="POST",
                    host="university.example", target=f"/{resource}/{action}", headers={}, data={}, body=b"", expect=Expect("deny"),
                )  # fmt: skip
                asked += 1
                if ask(case).allowed:
                    permitted.add((user, resource, action))
    assert asked == 6732
    assert permitted == listed
    assert len(permitted) == 168
