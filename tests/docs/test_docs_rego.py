"""The examples of docs/rego.md decide as they say."""

import re
from pathlib import Path

from authorizer.pdp import rehearsal
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy import testing

PAGE = (Path(__file__).parents[2] / "docs" / "rego.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+\n# file: (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def test_the_example_compiles_and_decides_as_its_tests_say():
    assert sorted(FILES) == ["acme.rego", "data.json", "orders.yaml"]
    found = compile_documents({name: text.encode() for name, text in FILES.items()})
    assert [str(problem) for problem in found.problems] == []
    now = build(found.documents(), {}, Options())
    report = testing.run(found.tests, lambda case: rehearsal.ask(now, case))
    assert [(one.case.name, one.failures) for one in report.failed] == []
    assert len(report.results) == 2
