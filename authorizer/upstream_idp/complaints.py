"""Logs what goes wrong when a provider is asked about tokens: once in a while, since each request may cause it."""

import logging
from collections.abc import Callable

log = logging.getLogger("authorizer.upstream_idp")

SECONDS = 10.0
"""Between two lines about one issuer; the metrics count what lies between."""


class Complaints:
    """Remembers when it has complained of each issuer last; there are as many as the documents have."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}

    def tell(self, issuer: str, what: str) -> None:
        """Log what is wrong with an issuer, unless that was done lately."""
        now = self._clock()
        told = self._told.get(issuer)
        if told is None or not told <= now < told + SECONDS:
            self._told[issuer] = now
            log.warning("%s", what)
