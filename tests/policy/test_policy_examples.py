"""The worked examples of the language decide as they say."""

import pytest

from authorizer.policy import testing
from authorizer.policy.documents import MapNode, load
from tests.policy.asking import EXAMPLES, ask, program

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"no example documents at {EXAMPLES}")


def texts() -> list[str]:
    return [path.read_text() for path in sorted(EXAMPLES.glob("*.yaml"))]


def suites() -> list:
    found = [node for text in texts() for node in load(text, "examples")]
    return [node for node in found if isinstance(node, MapNode) and node.get("suite")]


def test_all_cases():
    report = testing.run(suites(), ask(program(*texts())))
    assert [(r.case.suite, r.case.name, r.failures, r.decision.detail) for r in report.failed] == []
    assert report.summary == "40 passed, 0 failed"
