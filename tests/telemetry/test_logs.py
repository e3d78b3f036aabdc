"""The operational log: one line a record, no secrets, no forged lines."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.telemetry import logs
from authorizer.telemetry.masking import masked

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
KEY = f"azk_aaaqeayeaudaocaj_{'s' * 43}"


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level


@pytest.fixture(params=["json", "text"])
def configured(request, root_logger):
    stream = io.StringIO()
    logs.configure(request.param, "info", stream)
    return request.param, stream, logging.getLogger("authorizer.test")


def test_json_has_message_fields_and_error(root_logger):
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    logger = logging.getLogger("authorizer.bundle")
    fields = {"bundle": "policy", "size": 3, "big": 1 << 90}
    logger.error("bundle %s refused", "policy", extra=fields, exc_info=ValueError("bad\nthing"))
    logger.debug("not shown")
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "error", "logger": "authorizer.bundle", "message": "bundle policy refused", "bundle": "policy",
        "size": 3, "error": "ValueError: bad\\x0athing",
    }  # fmt: skip


def test_a_traceback_is_shown_on_request_on_the_same_line(root_logger):
    stream = io.StringIO()
    logs.configure("text", "info", stream, tracebacks=True)
    try:
        int("x")
    except ValueError:
        logging.getLogger("authorizer").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "Traceback" in line
    assert "test_logs.py" in line


@pytest.mark.parametrize(
    "text",
    [
        f"got {TOKEN}",
        f"Authorization: Bearer {TOKEN}",
        "authorization: Basic dXNlcjpwYXNz",
        "DPoP opaque-token-1234",
        KEY,
    ],
)
def test_credentials_are_masked(configured, text):
    _, stream, logger = configured
    logger.info("%s", text, extra={"detail": text})
    assert "***" in stream.getvalue()
    for secret in ("eyJ", "dXNlcjpwYXNz", "opaque-token", "azk_"):
        assert secret not in stream.getvalue()


def test_prose_about_credentials_is_left_alone():
    assert masked("no bearer credential, basic authentication") == "no bearer credential, basic authentication"


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "a\x1b[31mb", "a\x00b", "a\x85b", "a\udcffb"])
def test_a_message_cannot_forge_a_line_or_paint_the_terminal(configured, text):
    _, stream, logger = configured
    logger.info(text, extra={"field": text})
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue()[:-1].isprintable()


def test_configuring_twice_does_not_double_the_lines(root_logger):
    stream = io.StringIO()
    logs.configure("text", "info", stream)
    logs.configure("text", "warning", stream)
    logging.getLogger("x").warning("once")
    logging.getLogger("x").info("never")
    assert stream.getvalue().count("\n") == 1


@given(st.text(st.characters(codec=None), max_size=100), st.integers(0, 50))
def test_masked_text_is_bounded_and_encodable(text, limit):
    result = masked(text, limit)
    assert len(result) <= 10 * (limit + 3)
    result.encode()
    assert len(result.splitlines()) <= 1
