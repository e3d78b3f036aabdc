"""Records of workers, and fields that are lists by name."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from authorizer.telemetry import logs

ENDPOINTS = {"ext_authz": ["127.0.0.1:1", "unix:/a\nb"], "admin": []}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def logged(log_format: str, worker: int | None, **fields: object) -> str:
    stream = io.StringIO()
    logs.configure(log_format, "info", stream, worker=worker)
    logging.getLogger("authorizer.app").info("listening", extra=fields)
    return stream.getvalue()


def test_a_worker_says_which_it_is():
    assert json.loads(logged("json", 0))["worker"] == 0
    assert "worker=3" in logged("text", 3)
    assert "worker" not in json.loads(logged("json", None))


def test_endpoints_are_json_in_either_form():
    safe = {"ext_authz": ["127.0.0.1:1", "unix:/a\\x0ab"], "admin": []}
    assert json.loads(logged("json", None, endpoints=ENDPOINTS))["endpoints"] == safe
    text = logged("text", None, endpoints=ENDPOINTS)
    assert json.loads(text.partition("endpoints=")[2]) == safe


@pytest.mark.parametrize("value", [{"a": 1}, {"a": None}, {1: [2]}, {"a": ["b"], "c": "d"}, [1], object()])
def test_whatever_else_is_text(value):
    assert isinstance(json.loads(logged("json", None, extra=value))["extra"], str | dict)
