"""What a benchmark found: one row a name, printed as a table and kept in ``build/bench.json``."""

import json
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, to_builtins

RESULTS = Path(__file__).resolve().parents[2] / "build" / "bench.json"


class Row(Struct, frozen=True, kw_only=True):
    """``ratio`` says how many times better than ``baseline`` the value is, whichever way round better is."""

    value: float
    unit: str
    baseline: str
    ratio: float
    note: str = ""


def lower_is_better(value: float, baseline_value: float) -> float:
    """Return the ratio of two costs."""
    return round(baseline_value / value, 2)


def higher_is_better(value: float, baseline_value: float) -> float:
    """Return the ratio of two rates."""
    return round(value / baseline_value, 2)


def publish(rows: dict[str, Row]) -> None:
    """Print the rows and merge them into the results file."""
    for line in _table(rows):
        print(line)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept |= {name: to_builtins(row) for name, row in rows.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n")


def _table(rows: dict[str, Row]) -> Iterable[str]:
    yield f"{'name':<24} {'value':>12} {'unit':<4} {'ratio':>7}  baseline"
    for name, row in rows.items():
        note = f"  ({row.note})" if row.note else ""
        yield f"{name:<24} {row.value:>12,.2f} {row.unit:<4} {row.ratio:>6.2f}x  {row.baseline}{note}"
