"""The guards that a published policy sets up, for comparison with what gateways serve."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from authorizer.bundle import Verifier, read
from authorizer.control_plane.server.binding import Guard, Tables, tables
from authorizer.control_plane.server.store import Published
from authorizer.errors import AuthorizerError
from authorizer.policy import pbac
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
            except (AuthorizerError, TemplateError):
                _log.exception("the published policy cannot be compared with APIs")
                self._tables = {}
        return self._tables if published is not None else {}


def guards_of(document: Mapping[str, Any]) -> Iterator[Guard]:
    """Yield a guard for each host of each route of a compiled policy.

    A policy that cannot be built guards all the same: its rights are denied. Raises DocumentError when the document
    cannot be read and TemplateError when no authorizer could serve its routes.
    """
    program = pbac.load(document)
    about: dict[tuple[str, str], tuple[str, ...]] = {}
    for route in program.routes:
        asked = (route.application, route.right)
        if asked not in about:
            about[asked] = program.policies_about(*asked)
        segments = parse_template(route.template)
        for host in route.hosts:
            yield Guard(
                application=route.application,
                right=route.right,
                policies=about[asked],
                host=parse_host(host),
                method=route.method,
                template=route.template,
                segments=segments,
            )
