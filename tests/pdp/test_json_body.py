"""Bodies against JSONTestSuite: what must be refused is, what must be read is, nothing hangs."""

import tarfile
from pathlib import Path

import pytest

from authorizer.model import Reason, Request
from authorizer.pdp.json_body import MAX_VALUES, read_body

SUITE = Path(__file__).parents[3] / "shared" / "checks" / "json-parsing" / "jsontestsuite.tar.gz"
DUPLICATES = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}


def suite():
    if not SUITE.exists():
        return []
    with tarfile.open(SUITE) as archive:
        members = [member for member in archive if member.isfile() and "test_parsing/" in member.name]
        return [(Path(member.name).name, archive.extractfile(member).read()) for member in members]


@pytest.mark.skipif(not SUITE.exists(), reason="JSONTestSuite is not in this checkout")
@pytest.mark.parametrize(("name", "body"), suite())
def test_suite(name, body):
    request = Request(headers={"content-type": ("application/json",)}, body=body, body_state="complete")
    answer = read_body(request)
    if name in DUPLICATES:
        assert answer.code == "body_duplicate_key"
    elif name.startswith("y_"):
        assert not isinstance(answer, Reason)
    elif name.startswith("n_") and body:
        assert isinstance(answer, Reason)


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 32000 + b"\\", b'"' * 65000, b"[]" * 32000, b"[" * 65000, b'{"a":' * 13000, b"1" * 65000]
)
def test_hostile_bodies_are_refused_at_once(body):
    request = Request(headers={"content-type": ("application/json",)}, body=body, body_state="complete")
    assert read_body(request).category == "bad_body"


def test_a_body_of_many_values_is_read_up_to_a_number_of_them():
    texts = [b"[" + b"1," * count + b"1]" for count in (MAX_VALUES - 1, MAX_VALUES)]
    kind = {"content-type": ("application/json",)}
    read, refused = (read_body(Request(headers=kind, body=text, body_state="complete")) for text in texts)
    assert len(read) == MAX_VALUES
    assert refused.code == "body_limit"


def test_a_content_type_of_many_parameters_is_not_read():
    texts = ["application/json" + ";a=b" * count for count in (100, 300)]
    requests = [Request(headers={"content-type": (text,)}, body=b"{}", body_state="complete") for text in texts]
    few, many = map(read_body, requests)
    assert few == {}
    assert many.code == "body_type"
