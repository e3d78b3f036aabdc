"""What the demo prints: one line a decision, in columns; colour only where somebody looks at it."""

import os
import sys
from collections.abc import Mapping
from typing import Any

_WIDTHS = (8, 24, 8, 8)
_WHY = 90
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def coloured() -> bool:
    """Tell whether to use colour: on a terminal, unless NO_COLOR (https://no-color.org) is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Screen:
    """Prints rows and notes."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def paint(self, text: str, style: str) -> str:
        """Give text a style where colour is on."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colour else text

    def heading(self) -> None:
        """Print the names of the columns."""
        cells = zip(("method", "path", "caller", "status"), _WIDTHS, strict=True)
        print(self.paint(" " + "".join(name.ljust(width) for name, width in cells) + "why", "bold"), flush=True)

    def row(self, event: Mapping[str, Any], caller: str, *, cure: str = "", mark: str = "") -> None:
        """Print one decision as the decision log tells it."""
        status = int(event["status"])
        style = "green" if status == 200 else "yellow" if status == 401 else "red"
        cells = (event["method"], event["path"], caller, str(status))
        method, path, who, code = (
            _clean(text).ljust(width - 1) + " " for text, width in zip(cells, _WIDTHS, strict=True)
        )
        why = why_of(event, cure)
        places = ", ".join(source.rpartition(":")[0] for source in event["sources"])
        where = "  " + self.paint(f"({_clean(places)})", "dim") if places else ""
        note = "  " + self.paint(mark, "red") if mark else ""
        print(f" {method}{path}{who}{self.paint(code, style)}{_clean(why)}{where}{note}", flush=True)

    def note(self, text: str = "", style: str = "dim") -> None:
        """Print a line that is not a decision."""
        print(self.paint(text, style) if text else "", flush=True)


def why_of(event: Mapping[str, Any], cure: str = "") -> str:
    """Say in one line why the decision is what it is; the places stand apart from it."""
    if event["decision"] == "allow":
        return f"{event['application']}/{event['right']}: {', '.join(event['policies'])}"
    reason, detail = str(event["reason"]), str(event["detail"])
    for source in event["sources"]:
        detail = detail.replace(f" ({source})", "")
    # Without a credential everything about the caller is unknown: which policy noticed it first says nothing.
    why = reason if not detail or reason == "no_credential" else f"{reason}: {detail}"
    if cure:
        why = f"{reason}: {cure}"
    return why if len(why) <= _WHY else f"{why[: _WHY - 1]}\N{HORIZONTAL ELLIPSIS}"


def _clean(text: str) -> str:
    """Make text from outside safe for a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))
