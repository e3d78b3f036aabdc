"""Rego's builtin functions, by family (OPA 1.22).

``BUILTINS`` are those that can be evaluated; ``REFUSED`` says of every other why a plan that names it is not loaded.
"""

from collections.abc import Mapping
from typing import Final

from authorizer.policy.plan.builtins import (
    aggregates,
    clock,
    collections,
    digests,
    encoding,
    globs,
    graphql,
    graphs,
    json_paths,
    jwt,
    kinds,
    net,
    numbers,
    objects,
    regex,
    schemas,
    semver,
    signing,
    strings,
    templates,
    units,
    uris,
    uuids,
    x509,
    yaml_text,
)
from authorizer.policy.plan.builtins.calling import Builtin, contextual, plain
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import Value


def _told(context: Context, parts: Value) -> Value:
    """Give the parts to whoever put a list into the cache under this name: tests and explanations do."""
    heard = context.cache.get("internal.print")
    if heard is not None:
        context.budget.charge(1 + len(parts))
        heard.append(parts)
    return True


_OBSERVERS: Final[Mapping[str, Builtin]] = {
    # Nobody listens to these while requests are decided; what a policy computes does not hang on them.
    "internal.print": contextual(_told),
    "internal.test_case": plain(lambda _parts: True),
    "print": plain(lambda *_parts: True),
    "trace": plain(lambda _note: True),
}

BUILTINS: Final[Mapping[str, Builtin]] = {
    **_OBSERVERS,
    **aggregates.BUILTINS,
    **clock.BUILTINS,
    **collections.BUILTINS,
    **digests.BUILTINS,
    **encoding.BUILTINS,
    **globs.BUILTINS,
    **graphql.BUILTINS,
    **graphs.BUILTINS,
    **json_paths.BUILTINS,
    **jwt.BUILTINS,
    **kinds.BUILTINS,
    **net.BUILTINS,
    **numbers.BUILTINS,
    **objects.BUILTINS,
    **regex.BUILTINS,
    **schemas.BUILTINS,
    **semver.BUILTINS,
    **signing.BUILTINS,
    **strings.BUILTINS,
    **templates.BUILTINS,
    **units.BUILTINS,
    **uris.BUILTINS,
    **uuids.BUILTINS,
    **x509.BUILTINS,
    **yaml_text.BUILTINS,
}

REFUSED: Final[Mapping[str, str]] = {
    "http.send": "a decision makes no request of its own",
    "net.lookup_ip_addr": "a decision asks no name server",
    "opa.runtime": "there is no OPA, and a decision does not see the environment of the process",
    "rego.metadata.chain": "the compiler answers it, and only within a rule",
    "rego.metadata.rule": "the compiler answers it, and only within a rule",
    "rego.parse_module": "policies are compiled before they are loaded",
    **regex.REFUSED,
    **schemas.REFUSED,
}
