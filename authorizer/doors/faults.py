"""Faults of ours that a door has turned into a denial: told once each to the operational log, never to the caller."""

import logging
import traceback

_log = logging.getLogger("authorizer.doors")
_MAX_KNOWN = 256
_known: set[tuple[str, str, int]] = set()


def report(error: Exception) -> None:
    """Log the kind of ``error`` and the line that raised it, the first time that this pair is seen.

    The message is left out because it may quote the request; the count of such pairs is bounded, so that a caller who
    finds a fault cannot fill the log with it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    file, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)
    fault = (type(error).__qualname__, file, line)
    if fault in _known or len(_known) >= _MAX_KNOWN:
        return
    _known.add(fault)
    _log.error("a request was denied because of a fault: %s at %s:%d", *fault)
