"""A decision as one event of the log, in the shape of OPA's decision logs.

Source: OPA's management API for decision logs (``POST /logs``), and ``input.attributes`` as Envoy's ext_authz has it.
No header, body or token is in an event, and no query: that is where tokens and personal data hide.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import orjson
from msgspec import to_builtins

from authorizer.model import Decision
from authorizer.telemetry.log_rules import Rules
from authorizer.telemetry.masking import masked
from authorizer.telemetry.trace_context import parent, span_of
from authorizer.timestamps import rfc3339

METHOD, HOST, TARGET, PEER = 32, 255, 2048, 64
"""Characters that are shown of what a client wrote."""

PATH = "authorizer/decision"
"""What was asked, where OPA names the path of a document."""

Event = tuple[float, str, str, str, str, str, Decision, float, str]
"""When (POSIX seconds), method, host, target, peer, transport, the decision, how long (seconds), ``traceparent``."""

# Almost all of a line was said before: 6 us a line instead of 11. A path is not remembered, it is another each time.
_shown = lru_cache(maxsize=4096)(masked)


def maker(labels: Mapping[str, str], rules: Rules = Rules()) -> Callable[[Event], bytes | None]:  # noqa: B008 - frozen
    """Return a function from an event to its JSON line, or to None where the rules drop it.

    ``labels`` say which process it was. The line of ``masked`` is never longer than its cuts allow.
    """
    said = orjson.Fragment(orjson.dumps(dict(labels)))

    def line(event: Event) -> bytes | None:
        if rules.drop and rules.drops(event[6], event[5]):
            return None
        made = _event(event, said)
        if rules.changes:
            rules.change(made)
        return orjson.dumps(made, option=orjson.OPT_APPEND_NEWLINE)

    return line


def _event(event: Event, labels: orjson.Fragment) -> dict[str, object]:
    at, method, host, target, peer, transport, decision, seconds, trace = event
    reason = decision.reason
    address = _shown(peer, PEER)
    made: dict[str, object] = {
        "labels": labels,
        "decision_id": decision.id,
        "bundles": _bundles(decision.revision),
        "path": PATH,
        "input": {
            "attributes": {
                "request": {
                    "http": {
                        "method": _shown(method, METHOD),
                        "host": _shown(host, HOST),
                        "path": masked(target.partition("?")[0], TARGET),
                    }
                },
                "source": {"address": {"socketAddress": {"address": address}}},
            }
        },
        "result": {
            "allowed": decision.allowed,
            "http_status": 200 if decision.allowed else reason.status,
            "reason": _shown(reason.code, 128),
            "detail": _shown(decision.detail, 512),
            "application": _shown(decision.application, 255),
            "operation": _shown(decision.operation, 512),
            "right": _shown(decision.right, 255),
            "subject": _shown(decision.subject, 255),
            "client": _shown(decision.client, 255),
            "policies": [_shown(name, 255) for name in decision.policies],
            "sources": [_shown(place, 512) for place in decision.sources],
            "attributes": [_shown(name, 255) for name in decision.attributes],
            "obligations": [to_builtins(duty) for duty in decision.obligations],
            "advice": [to_builtins(duty) for duty in decision.advice],
        },
        "requested_by": address,
        "timestamp": rfc3339(at, "microseconds"),
        "metrics": {"timer_server_handler_ns": round(seconds * 1e9)},
        "custom": {"transport": transport},
    }
    if trace and (found := parent(trace)):
        made["trace_id"] = found.trace
        made["span_id"] = span_of(decision.id)
    return made


@lru_cache(maxsize=16)
def _bundles(revision: str) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps({"policy": {"revision": revision}}))
