"""What was decided before, of the same caller about the same things, where the moment has no say in it.

Only what cannot differ is answered from here: ``Program.depends`` tells which fields a decision about a route hangs on,
besides the caller and the snapshot, and for which routes it hangs on the moment as well. What is remembered has no id:
each use of it is a decision of its own.
"""

from collections.abc import Mapping

from authorizer.model import Decision, Identity
from authorizer.pdp.recent import Recent
from authorizer.policy.pbac import Route

MOST = 8192
LONGEST = 128
"""Characters of one value; what hangs on longer ones is decided each time."""
LONGEST_HEADERS = 4096
"""Characters of all headers of an answer: one caller with a large token has thousands of them remembered."""
MOST_NAMES = 100
"""Names of a caller. An answer holds on to its caller when the memo of tokens has let it go; 1000 names take 200 KB."""

Key = tuple[int, int, tuple[object, ...]]
Answers = Recent[Key, tuple[Identity, Decision]]
"""INVARIANT: an entry holds the identity of its key, whose number could become another's otherwise."""


def key_of(identity: Identity, route: Route, fields: tuple[str, ...], resource: Mapping[str, object]) -> Key:
    """Return by what a decision is found: who asks, which route, and the values of the fields that it hangs on."""
    return id(identity), route.index, tuple(map(resource.get, fields))


def may_be_kept(key: Key, identity: Identity, decision: Decision) -> bool:
    """Tell whether the values, texts or unknown, the caller's names and the headers are few and short enough."""
    return (
        len(identity.tokens) <= MOST_NAMES
        and all(value is None or (isinstance(value, str) and len(value) <= LONGEST) for value in key[2])
        and sum(len(value) for _, value in (*decision.upstream, *decision.response)) <= LONGEST_HEADERS
    )
