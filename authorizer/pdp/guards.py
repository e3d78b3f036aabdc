"""What stands behind each route of the policies."""

from msgspec import Struct

from authorizer.pdp.attributes import Extractor
from authorizer.policy.pbac import Route


class Guard(Struct, frozen=True):
    """What stands behind a matched route: the policy language's route, how to fill in its resource, and its title.

    ``depends`` is ``Program.depends``.
    """

    route: Route
    extract: Extractor
    operation: str
    depends: tuple[str, ...] | None
