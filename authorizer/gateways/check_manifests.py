"""What Istio and Envoy Gateway have in common: how the authorizer is asked, and routes that change paths."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from authorizer.errors import Problem
from authorizer.gateways.findings import LONG_TIMEOUT, Expected, finding
from authorizer.gateways.manifests import Document, flag, item, items, name_of

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

Told = Iterator[tuple[str, str]]
"""Code and message of each finding."""


def placed(document: Document, told: Told) -> list[Problem]:
    """Return findings with the place of a document."""
    return [finding(code, said, document.place) for code, said in told]


def seconds(value: Any) -> float | None:
    """Return a duration such as ``500ms`` or ``1m30s`` in seconds; None for none."""
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def asking(where: str, asked: Mapping[str, Any], expected: Expected, *, default: float, body: str) -> Told:
    """Tell what is unsafe in how is asked; ``default`` is the timeout in seconds where none is set."""
    if flag(asked, "failOpen"):
        yield "AZ911", f"{where}: requests pass when no answer comes (failOpen)"
    timeout = seconds(asked.get("timeout")) if "timeout" in asked else default
    if timeout is None or not 0 < timeout <= LONG_TIMEOUT:
        yield "AZ912", f"{where}: waits {asked.get('timeout', f'{default:g} s, as the timeout is unset')}"
    sent = item(asked, body)
    if expected.bodies and not sent:
        yield "AZ927", f"{where}: policies read bodies, and none is sent ({body})"
    size = sent.get("maxRequestBytes")
    if isinstance(size, int) and not expected.fits(size):
        yield "AZ928", f"{where}: a check with {size} bytes of a body is larger than {expected.message_bytes}"
    if sent and "packAsBytes" in sent and not flag(sent, "packAsBytes"):
        yield "AZ925", f"{where}: bytes of a body that are not UTF-8 are replaced (packAsBytes)"


def routing(value: Mapping[str, Any], spec: Mapping[str, Any]) -> Told:
    """Tell where an HTTPRoute changes paths."""
    for rule in items(spec, "rules"):
        for each in items(rule, "filters"):
            if item(item(each, "urlRewrite"), "path"):
                yield "AZ930", f"{name_of(value)}: the API sees another path than the one that is decided (URLRewrite)"
