"""What a decision may have to ask of the world before it can be made.

Each need is a value; its answer comes back beside the request, in a mapping of needs to what was learnt.
"""

from collections.abc import Mapping

from authorizer.pdp.proofs import Spend

Need = Spend
"""``Spend``: whether a proof's digest is fresh; answered True, False (shown before) or None (cannot be told)."""

Learnt = Mapping[Need, object]

NOTHING_LEARNT: Learnt = {}
