"""What is kept out of the decision log: whole decisions, or fields of their events.

Source: OPA's ``system.log.drop`` and ``system.log.mask``, here as settings; the pointers are RFC 6901.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from authorizer.model import Decision
from authorizer.settings import Drop


class Rules(Struct, frozen=True):
    """``erase`` and ``replace`` are JSON pointers into an event; ``drop`` what is not logged at all."""

    erase: tuple[str, ...] = ()
    replace: Mapping[str, str] = {}
    drop: tuple[Drop, ...] = ()

    @property
    def changes(self) -> bool:
        """Tell whether any field is changed."""
        return bool(self.erase or self.replace)

    def drops(self, decision: Decision, transport: str) -> bool:
        """Tell whether a rule drops this decision. One with obligations is always logged: somebody has to do them."""
        if decision.obligations:
            return False
        facts = {
            "decision": "allow" if decision.allowed else "deny",
            "application": decision.application,
            "operation": decision.operation,
            "reason": decision.reason.code,
            "transport": transport,
        }
        return any(all(facts[name] == wanted for name, wanted in _wanted(rule)) for rule in self.drop)

    def change(self, event: dict[str, Any]) -> None:
        """Erase and replace in an event, and add which of the pointers led to something."""
        erased = [pointer for pointer in self.erase if _take(event, pointer, None)]
        replaced = [pointer for pointer, text in self.replace.items() if _take(event, pointer, text)]
        if erased:
            event["erased"] = erased
        if replaced:
            event["masked"] = replaced


def _wanted(rule: Drop) -> list[tuple[str, str]]:
    return [(name, wanted) for name in rule.__struct_fields__ if (wanted := getattr(rule, name))]


def _take(event: dict[str, Any], pointer: str, text: str | None) -> bool:
    """Erase what ``pointer`` leads to, or put ``text`` there; tell whether it leads to anything."""
    *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    here: Any = event
    for step in steps:
        here = here.get(step) if isinstance(here, dict) else None
    if not isinstance(here, dict) or last not in here:
        return False
    if text is None:
        del here[last]
    else:
        here[last] = text
    return True
