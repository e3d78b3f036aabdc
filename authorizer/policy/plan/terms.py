"""What is known of a local where it is read: the Python variable or constant that holds it, its type, and more."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from authorizer.policy.plan.values import Set, Value, object_of, type_name


class Unknown:
    """Stands where a value is not known before the evaluation."""

    __slots__ = ()


UNKNOWN: Final = Unknown()
PYTHON: Final[Mapping[str, str]] = {"array": "list", "object": "dict", "set": "Set", "string": "str"}
"""The Python types that tell Rego's, by the names that generated code knows them by."""
_SIMPLE: Final = (str, int, float, bool, type(None))


class Term(Struct, frozen=True):
    """One local's value.

    ``value`` is it when it is known, else ``name`` is the Python variable; ``kind`` is Rego's type or empty. Unless
    ``defined`` it may be UNDEFINED. A ``fresh`` variable is assigned once. What is ``made`` here may still change. What
    is of ``base`` data came with the bundle.
    """

    name: str = ""
    value: Any = UNKNOWN
    kind: str = ""
    defined: bool = True
    fresh: bool = True
    made: bool = False
    base: bool = False
    measures: str = ""

    @property
    def known(self) -> bool:
        """Whether the value is a constant (or always undefined)."""
        return self.value is not UNKNOWN


def constant(value: Value, *, base: bool = False) -> Term:
    """Return the term of a value that is known, and not UNDEFINED."""
    return Term(value=value, kind=type_name(value), base=base)


class Pending:
    """A collection in the making: nothing has read it yet, so it can be written as one display or constant."""

    __slots__ = ("kind", "parts")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.parts: list[tuple[Term, Term]] = []
        """Keys and values; of arrays and sets the key is the value."""

    def known(self) -> Any:
        """Return the value, or UNKNOWN when a part is not known."""
        if not all(name.known and value.known for name, value in self.parts):
            return UNKNOWN
        if self.kind == "array":
            return [value.value for _, value in self.parts]
        items = object_of((name.value, value.value) for name, value in self.parts)
        return items if self.kind == "object" else Set(items)


class Constants:
    """The constants that generated code reads by name; each object gets one name."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._globals = names
        self._known: dict[int, str] = {}

    def name(self, value: Any) -> str:
        """Return the name of a constant. INVARIANT: the globals keep it alive, so that its id stays its own."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = f"k{len(self._known)}"
            self._globals[found] = value
        return found


def is_simple(value: Any) -> bool:
    """Tell whether a value can be written into code as it is."""
    return type(value) in _SIMPLE
