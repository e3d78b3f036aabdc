"""The guards that a published policy sets up, for comparison with what gateways serve."""

from collections.abc import Iterator, Mapping
from typing import Any

from authorizer.bundle import Verifier, read
from authorizer.control_plane.server.binding import Guard, Tables, tables
from authorizer.control_plane.server.store import Published
from authorizer.policy import pbac
from authorizer.policy.templates import parse_host, parse_template


class Guards:
    """Answers for the policy that was asked for last; another revision is read anew. Not for two threads at once."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._revision = ""
        self._tables: Tables = {}

    def of(self, published: Published | None) -> Tables:
        """Return the guards of a published policy; none for None. Blocks. Raises BundleError for a bad bundle."""
        if published is None:
            return {}
        if published.revision != self._revision:
            bundle = read(published.data, kind="policy", verifier=self._verifier)
            self._tables = tables(_guards(bundle.document))
            self._revision = published.revision
        return self._tables


def _guards(document: Mapping[str, Any]) -> Iterator[Guard]:
    program = pbac.load(document)
    for route in program.routes:
        segments = parse_template(route.template)
        policies = program.policies_for(route)
        for host in route.hosts:
            yield Guard(
                route.application, route.right, policies, parse_host(host), route.method, route.template, segments
            )
