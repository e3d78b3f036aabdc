"""Times as text (RFC 3339)."""

from datetime import UTC, datetime
from typing import Literal


def rfc3339(at: float, precision: Literal["auto", "milliseconds", "microseconds"] = "auto") -> str:
    """Write POSIX seconds as a time in UTC; ``auto`` leaves the fraction out where it is zero."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
