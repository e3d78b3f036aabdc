"""Bundles in OPA's format: one compiled document in a signed archive, read under limits, kept as last known good.

``write`` makes one, ``read`` checks one, ``store`` keeps the last good one on disk.
"""

from authorizer.bundle.archive import DEFAULT_LIMITS, Limits
from authorizer.bundle.contents import Bundle, document_name, document_of, read, refuse_older, revision_of, write
from authorizer.bundle.signatures import Signer, Verifier

__all__ = [
    "DEFAULT_LIMITS",
    "Bundle",
    "Limits",
    "Signer",
    "Verifier",
    "document_name",
    "document_of",
    "read",
    "refuse_older",
    "revision_of",
    "write",
]
