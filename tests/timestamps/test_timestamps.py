"""Times as RFC 3339 writes them."""

import pytest

from authorizer.timestamps import rfc3339


@pytest.mark.parametrize(
    ("at", "precision", "text"),
    [
        (0, "auto", "1970-01-01T00:00:00Z"),
        (1.5, "auto", "1970-01-01T00:00:01.500000Z"),
        (1_790_000_000, "milliseconds", "2026-09-21T14:13:20.000Z"),
        (1_790_000_000.25, "microseconds", "2026-09-21T14:13:20.250000Z"),
        (-1, "auto", "1969-12-31T23:59:59Z"),
    ],
)
def test_times(at, precision, text):
    assert rfc3339(at, precision) == text
