"""The guards that a published policy sets up, for comparison with what gateways serve."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from authorizer.bundle import Verifier, read
from authorizer.control_plane.server.binding import Guard, Tables, tables
from authorizer.control_plane.server.store import Published
from authorizer.errors import BundleError
from authorizer.policy.pbac.form import Form, PolicyForm
from authorizer.policy.templates import TemplateError, parse_host, parse_template

_log = logging.getLogger("authorizer.control_plane")


class Guards:
    """Answers for the policy that was asked for last; another revision is read anew. Not for two threads at once."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._revision = ""
        self._tables: Tables = {}

    def of(self, published: Published | None) -> Tables:
        """Return the guards of a published policy. Blocks.

        There are none when there is no policy, or one that this program cannot read: then nothing counts as guarded.
        """
        if published is not None and published.revision != self._revision:
            self._revision = published.revision
            try:
                bundle = read(published.data, kind="policy", verifier=self._verifier)
                self._tables = tables(guards_of(bundle.document))
            except (BundleError, msgspec.ValidationError, TemplateError, KeyError):
                _log.exception("the published policy cannot be compared with APIs")
                self._tables = {}
        return self._tables if published is not None else {}


def guards_of(document: Mapping[str, Any]) -> Iterator[Guard]:
    """Yield a guard for each host of each route of a compiled policy.

    Raises msgspec.ValidationError,
    TemplateError or KeyError for what is none.
    """
    form = msgspec.convert(document, Form)
    policies = _policies(form)
    for route in form.routes:
        segments = parse_template(route.template)
        about = policies[route.application, "all", ""] + policies[route.application, "right", route.right]
        for role, rights in form.applications[route.application].roles.items():
            if route.right in rights:
                about += policies[route.application, "role", role]
        for host in route.hosts:
            yield Guard(
                application=route.application,
                right=route.right,
                policies=tuple(sorted(about)),
                host=parse_host(host),
                method=route.method,
                template=route.template,
                segments=segments,
            )


def _policies(form: Form) -> defaultdict[tuple[str, str, str], list[str]]:
    """Return the ids of the policies by (application, kind of target, target); ``all`` has no target."""
    found = defaultdict(list)
    for row in form.policies:
        policy = msgspec.convert(row, PolicyForm)
        target = "" if policy.kind == "all" else policy.target
        found[policy.application, policy.kind, target].append(policy.id)
    return found
