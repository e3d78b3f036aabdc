"""Each validator of Cloudentity's native policies has an equivalent that passes and fails as it does."""

from functools import partial
from pathlib import Path

from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import compile_documents
from authorizer.policy import testing

TEXT = (Path(__file__).parent / "documents" / "cloudentity.yaml").read_bytes()


def test_each_validator_has_an_equivalent():
    sources = compile_documents({"cloudentity.yaml": TEXT})
    # The header is the caller's own word, as it is there; the certificate's hash must come from the gateway.
    assert [problem.code for problem in sources.problems] == ["L002"]
    found = snapshot.build(sources.documents(), {}, snapshot.Options())
    report = testing.run(sources.tests, partial(rehearsal.ask, found))
    assert [(one.case.name, one.failures, one.decision.detail) for one in report.failed] == []
    assert len(report.results) == 26
