"""Bodies as opa-envoy-plugin parses them."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Reason, Request
from authorizer.pdp.rego_body import MAX_HEAD, Parsed, parsed_body

PART = b'--b\r\ncontent-disposition: form-data; name="a"'
CHECKS = Path(__file__).parents[3] / "shared/checks/ext-authz/opa-envoy-checks.json"


def rows():
    return json.loads(CHECKS.read_text(encoding="utf-8"))["parsed_body"] if CHECKS.exists() else []


@pytest.mark.skipif(not CHECKS.exists(), reason="the shared checks are not here")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["name"])
def test_bodies_are_parsed_as_opa_does(row):
    http = row["request"]["attributes"]["request"]["http"]
    headers = {name: (value,) for name, value in http.get("headers", {}).items()}
    body = base64.b64decode(http["raw_body"]) if "raw_body" in http else http.get("body", "").encode()
    whole = int(http.get("headers", {}).get("content-length", len(body))) <= len(body)
    whole = whole and http.get("headers", {}).get("x-envoy-auth-partial-body") != "true"  # the door tells
    request = Request(headers=headers, body=body, body_state="complete" if whole else "partial")
    found = parsed_body(request)
    assert found == Parsed(row["parsed_body"], row["truncated"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"[" + b"{}," * 25_000 + b"1]"),
        ("application/json", b"[" + b"1," * 50_000 + b"1]"),
        ("application/x-www-form-urlencoded", b"a&" * 50_001),
        ("multipart/form-data; boundary=b", PART + b";" * MAX_HEAD + b"\r\n\r\n1\r\n--b--"),
        ("multipart/form-data; boundary=b", PART + b"\r\na: b" * 20 + b"\r\n\r\n1\r\n--b--"),
    ],
)
def test_a_body_of_many_small_values_is_refused_before_it_is_parsed(kind, body):
    refused = parsed_body(Request(headers={"content-type": (kind,)}, body=body, body_state="complete"))
    assert isinstance(refused, Reason)
    assert refused.code == "body_limit"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"a=1&a=%26&&b", {"a": ["1", "&"], "b": [""]}),
        (b"a=%1f&b=+%C3%A9&%1f", {"a": ["\x1f"], "b": [" \xe9"], "\x1f": [""]}),
    ],
)
def test_forms(body, value):
    kind = {"content-type": ("application/x-www-form-urlencoded",)}
    assert parsed_body(Request(headers=kind, body=body, body_state="complete")) == Parsed(value)


@given(
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]),
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from([b"--b", b"\r\n", b"\n", b"--", b"x", b'form-data; name="n"', b": ", b"="])).map(
            b"".join
        ),
    ),
)
def test_any_bytes_have_a_value_or_a_reason(kind, body):
    found = parsed_body(Request(headers={"content-type": (kind,)}, body=body, body_state="complete"))
    assert isinstance(found, Parsed | Reason)


def test_what_is_too_much_to_decode_one_by_one_is_refused():
    kind = {"content-type": ("application/x-www-form-urlencoded",)}
    bodies = [b"&".join([b"a=%1f"] * count) for count in (1000, 1001)]
    few, many = (parsed_body(Request(headers=kind, body=body, body_state="complete")) for body in bodies)
    assert few == Parsed({"a": ["\x1f"] * 1000})
    assert many.code == "body_limit"
