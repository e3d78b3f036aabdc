"""The demo's own documents are without fault and keep what they promise."""

import time
from functools import partial
from pathlib import Path

from authorizer import demo
from authorizer.demo.callers import issue
from authorizer.pdp import rehearsal
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy import testing

POLICIES = Path(demo.__file__).parent / "policies"


def test_the_documents_have_no_problem_and_pass_their_own_tests(tmp_path: Path) -> None:
    issue(tmp_path, tmp_path / "tokens", time.time())
    files = {path.name: path.read_bytes() for path in [*POLICIES.glob("*.yaml"), tmp_path / "keys.json"]}
    sources = compile_documents(files)
    assert not sources.problems
    report = testing.run(sources.tests, partial(rehearsal.ask, build(sources.documents(), {}, Options())))
    assert [result.failures for result in report.failed] == []
    assert len(report.results) > 10


def test_only_the_caller_can_read_a_token(tmp_path: Path) -> None:
    tokens = issue(tmp_path, tmp_path / "tokens", time.time())
    assert (tmp_path / "tokens").stat().st_mode & 0o077 == 0
    for name, token in tokens.items():
        assert (tmp_path / "tokens" / name).read_text() == token
        assert (tmp_path / "tokens" / name).stat().st_mode & 0o077 == 0
