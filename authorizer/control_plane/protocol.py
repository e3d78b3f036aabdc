"""What the two sides of the control plane must agree upon, beyond OPA's bundle service (``management-bundles``)."""

LONG_POLL_TYPE = "application/vnd.openpolicyagent.bundles"
"""The content type of a bundle from a server that waits for news when it is asked to."""

BUNDLE_TYPE = "application/gzip"
"""The content type of a bundle otherwise."""

REPORTER = "x-authorizer-id"
"""Header that names who found the APIs."""

MAX_PROBLEMS = 200
"""Problems that are told in one answer; the control plane's own log has all."""
