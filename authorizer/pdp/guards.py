"""What stands behind each route of the policies."""

from msgspec import Struct

from authorizer.pdp.attributes import Extractor
from authorizer.policy.pbac import Route


class Guard(Struct, frozen=True):
    """What stands behind a matched route: the policy language's route, how to fill in its resource, and its title.

    ``depends`` is ``Program.depends``; ``by_path`` says that ``extract`` reads the path and nothing else.
    """

    route: Route
    extract: Extractor
    operation: str
    depends: tuple[str, ...] | None
    by_path: bool = False
