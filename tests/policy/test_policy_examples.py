"""The worked examples of the language decide as they say."""

from functools import partial
from pathlib import Path

import pytest

from authorizer.pdp import rehearsal
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy import testing

EXAMPLES = Path(__file__).parents[3] / "shared" / "design" / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"no example documents at {EXAMPLES}")


def test_all_cases():
    sources = compile_documents({path.name: path.read_bytes() for path in EXAMPLES.glob("*.yaml")})
    report = testing.run(sources.tests, partial(rehearsal.ask, build(sources.documents(), {}, Options())))
    assert [(r.case.suite, r.case.name, r.failures, r.decision.detail) for r in report.failed] == []
    assert (report.passed, report.failed) == (40, ())
