"""Decision events and spans as OpenTelemetry's JSON.

Source: opentelemetry-proto 1.x, ``logs.proto`` and ``trace.proto`` in the JSON mapping of OTLP/HTTP (ids in
hexadecimal, 64-bit numbers as text).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from authorizer.memory import in_steps
from authorizer.telemetry.courier import STEP
from authorizer.telemetry.upload import Form, partial_success

_INFO = 9
_SCOPE = {"name": "authorizer"}


def logs(labels: Mapping[str, str]) -> Form:
    """Return the form in which lines of the decision log become log records of the process of ``labels``."""
    head = orjson.dumps({"resource": _resource(labels)}).removesuffix(b"}")
    head = b'{"resourceLogs":[' + head + b',"scopeLogs":[{"scope":' + orjson.dumps(_SCOPE) + b',"logRecords":['

    def body(lines: Sequence[bytes]) -> bytes:
        return head + b",".join(map(_record, in_steps(lines, STEP))) + b"]}]}]}"

    return Form(body, partial_success("rejectedLogRecords"))


def spans(labels: Mapping[str, str]) -> Form:
    """Return the form in which lines that are spans already are sent for the process of ``labels``."""
    head = orjson.dumps({"resource": _resource(labels)}).removesuffix(b"}")
    head = b'{"resourceSpans":[' + head + b',"scopeSpans":[{"scope":' + orjson.dumps(_SCOPE) + b',"spans":['

    def body(lines: Sequence[bytes]) -> bytes:
        return head + b",".join(lines) + b"]}]}]}"

    return Form(body, partial_success("rejectedSpans"))


def attributes(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Return attributes: truths, whole numbers and texts; what is None is left out."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}


def _resource(labels: Mapping[str, str]) -> dict[str, object]:
    known = {"service.name": "authorizer", "service.version": labels["version"], "service.instance.id": labels["id"]}
    return {"attributes": attributes(known)}


def _record(line: bytes) -> bytes:
    event = orjson.loads(line)
    at = datetime.fromisoformat(event["timestamp"])
    nanoseconds = str((int(at.timestamp()) * 1_000_000 + at.microsecond) * 1000)
    record = {
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": _INFO,
        "severityText": "INFO",
        "body": {"stringValue": line.decode().removesuffix("\n")},
        "attributes": attributes(
            {
                "event.name": "authorizer.decision",
                "authorizer.decision_id": event["decision_id"],
                "authorizer.allowed": _at(event, "result", "allowed"),
                "authorizer.reason": _at(event, "result", "reason"),
                "http.request.method": _at(event, "input", "attributes", "request", "http", "method"),
                "url.path": _at(event, "input", "attributes", "request", "http", "path"),
                "client.address": event.get("requested_by"),
            }
        ),
    }
    if "trace_id" in event:
        record |= {"traceId": event["trace_id"], "spanId": event["span_id"]}
    return orjson.dumps(record)


def _at(event: Any, *path: str) -> object:
    """Return a field, None where a rule has erased it or what it was in."""
    for step in path:
        event = event.get(step) if isinstance(event, dict) else None
    found: object = event
    return found
