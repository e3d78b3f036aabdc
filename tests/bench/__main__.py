"""``python -m tests.bench [GROUP ...]``."""

import sys

from tests.bench import (
    authoring,
    credentials,
    decision,
    decision_log,
    discovery,
    doors,
    policy,
    rego,
    rego_activation,
    rego_breach,
    transport,
    workers,
)
from tests.bench.report import publish

GROUPS = {
    "credentials": credentials.run,
    "authoring": authoring.run,
    "decision": decision.run,
    "decision_log": decision_log.run,
    "discovery": discovery.run,
    "doors": doors.run,
    "policy": policy.run,
    "rego": rego.run,
    "rego_activation": rego_activation.run,
    "rego_breach": rego_breach.run,
    "transport": transport.run,
    "workers": workers.run,
}


def main(names: list[str]) -> int:
    """Run the named groups, or all."""
    unknown = set(names) - set(GROUPS)
    if unknown:
        print(f"unknown group {', '.join(sorted(unknown))}; groups: {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    for name in names or GROUPS:
        print(f"== {name}")
        publish(GROUPS[name]())
    return 0


sys.exit(main(sys.argv[1:]))
