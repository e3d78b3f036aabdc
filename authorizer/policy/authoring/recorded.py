"""Recorded decisions as test cases: lines of a decision log, asked again of other policies.

The lines are as the log writes them, or flat, as people write them. An event names method, host, path and subject,
not what the token said: who the subject is comes from the facts. It may say more than the log writes: ``tokens``
(``group:sales``), ``attributes``, ``env`` and ``data``, as a case would.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem
from authorizer.model import ANYONE, AUTHENTICATED
from authorizer.policy.authoring.access import tokens_of
from authorizer.policy.pbac.types import FieldType, converter
from authorizer.policy.testing import Case, Expect

MAX_EVENTS = 1_000_000


class _Event(Struct, frozen=True):
    """An event without levels."""

    timestamp: str
    method: str
    host: str
    path: str
    decision: str
    reason: str = ""
    policies: tuple[str, ...] = ()
    subject: str = ""
    decision_id: str = ""
    tokens: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}
    env: Mapping[str, Any] = {}
    data: Mapping[str, Any] = {}


class _Http(Struct, frozen=True):
    method: str
    host: str
    path: str


class _Asked(Struct, frozen=True):
    http: _Http


class _Attributes(Struct, frozen=True):
    request: _Asked


class _Input(Struct, frozen=True):
    attributes: _Attributes


class _Result(Struct, frozen=True):
    allowed: bool
    reason: str = ""
    policies: tuple[str, ...] = ()
    subject: str = ""


class _Logged(Struct, frozen=True):
    """An event as the log writes it."""

    timestamp: str
    input: _Input
    result: _Result
    decision_id: str = ""
    tokens: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}
    env: Mapping[str, Any] = {}
    data: Mapping[str, Any] = {}


_flat = msgspec.json.Decoder(_Event)
_logged = msgspec.json.Decoder(_Logged)
_shape = msgspec.json.Decoder(dict[str, msgspec.Raw])
_moment = converter(FieldType("timestamp"))


def cases(lines: bytes, file: str, facts: Mapping[str, Any]) -> tuple[Case, ...]:
    """Return a case for each event; it expects the decision that was recorded. ``facts`` is their compiled document.

    Raises DocumentError that names the lines that are no events, and where there is none.
    """
    found: list[Case] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event = _read(line)
            found.append(_case(event, Place(file, number, 1), facts))
        except (msgspec.DecodeError, ValueError) as error:
            problems.append(Problem("T307", f"not an event of a decision log: {error}", Place(file, number, 1)))
        if len(problems) >= _MOST or len(found) > MAX_EVENTS:
            break
    if not problems and not 0 < len(found) <= MAX_EVENTS:
        problems.append(Problem("T307", f"there are no events, or more than {MAX_EVENTS}", Place(file)))
    if problems:
        raise DocumentError(problems)
    return tuple(found)


_MOST = 20


def _read(line: bytes) -> _Event:
    """Read an event of either form. Raises msgspec.DecodeError."""
    if "input" not in _shape.decode(line):
        return _flat.decode(line)
    event = _logged.decode(line)
    http, result = event.input.attributes.request.http, event.result
    return _Event(
        timestamp=event.timestamp,
        method=http.method,
        host=http.host,
        path=http.path,
        decision="allow" if result.allowed else "deny",
        reason=result.reason,
        policies=result.policies,
        subject=result.subject,
        decision_id=event.decision_id,
        tokens=event.tokens,
        attributes=event.attributes,
        env=event.env,
        data=event.data,
    )


def _case(event: _Event, place: Place, facts: Mapping[str, Any]) -> Case:
    now = _moment(event.timestamp)
    if not isinstance(now, float):
        raise ValueError("its timestamp is none")  # noqa: TRY004 - a text of the wrong content, told like the decoder's
    if event.decision not in {"allow", "deny"}:
        raise ValueError("its decision is neither allow nor deny")
    tokens = frozenset(event.tokens) | {ANYONE}
    attributes: dict[str, Any] = {}
    env: dict[str, Any] = {}
    if event.subject:
        tokens |= tokens_of(event.subject, facts["memberships"]) | {AUTHENTICATED}
        known = facts["subjects"].get(event.subject, {})
        attributes |= known.get("attributes", {})
        env |= known.get("env", {})
    attributes |= event.attributes
    tenant = attributes.get("tenant")
    attributes |= facts["subscriptions"].get(tenant, {}) if isinstance(tenant, str) else {}
    return Case(
        suite="recorded",
        name=event.decision_id or f"line {place.line}",
        place=place,
        now=now,
        subject=event.subject,
        tokens=tokens,
        attributes=attributes,
        env={**env, **event.env},
        method=event.method,
        host=event.host,
        target=event.path,
        headers={},
        data=event.data,
        body=b"",
        expect=Expect(
            decision="allow" if event.decision == "allow" else "deny",
            reason=event.reason if event.reason and event.decision == "deny" else None,
            by=event.policies or None,
        ),
    )
