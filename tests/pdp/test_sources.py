"""A set of files is read as a whole: nothing in it that may be meant is passed over in silence."""

import pytest

from authorizer.pdp.sources import compile_documents

DENY = b'{"kind": "Policies", "policies": [{"id": "d", "effect": "deny", "right": "app/r", "reason": "x"}]}'


@pytest.mark.parametrize(
    ("name", "content", "passed_over"),
    [
        ("deny.json", DENY, True),
        ("deny.json", b"# in the wrong file\nkind: Policies\npolicies: []\n", True),
        ("deny.json", b"{kind: Policies, policies: []}", True),
        ("deny.json", b"[" * 100_000, False),
        ("keys.json", b'{"keys": [{"kind": "x"}]}', False),
        ("keys.json", b"\xff", False),
        ("deny.YAML", b"kind: Policies", True),
        ("deny.txt", b"kind: Policies", True),
    ],
)
def test_a_file_that_may_hold_documents_is_not_passed_over(name: str, content: bytes, passed_over: bool) -> None:
    found = compile_documents({name: content})
    assert [(problem.code, problem.place.file) for problem in found.problems] == [("AZ211", name)] * passed_over
