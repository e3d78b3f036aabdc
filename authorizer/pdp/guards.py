"""What stands behind each route of the policies."""

from msgspec import Struct

from authorizer.pdp.attributes import Extractor
from authorizer.pdp.rego import Decider
from authorizer.policy.pbac import Route


class Guard(Struct, frozen=True):
    """What stands behind a matched route: the policy language's route, how to fill in its resource, and its title.

    ``depends`` is ``Program.depends`` and ``looks_at`` is ``Program.looks_at``; ``by_path`` says that ``extract`` reads
    the path and nothing else. ``asks`` are the Rego rules that its policies ask; ``decider`` is the one that decides
    instead of policies.
    """

    route: Route
    extract: Extractor
    operation: str
    depends: tuple[str, ...] | None
    looks_at: tuple[str, ...] = ()
    by_path: bool = False
    asks: tuple[str, ...] = ()
    decider: Decider | None = None
