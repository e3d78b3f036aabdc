"""The headers of an allow: what an application, a right and policies emit, filled in with the values of a request."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from authorizer.grammar import TOKEN, UNSAFE_TEXT
from authorizer.model import FRAMING
from authorizer.policy.pbac.form import ApplicationForm, EmitForm, EnvForm
from authorizer.policy.pbac.templates import SIDE_INDEX, Field, Sides
from authorizer.policy.pbac.types import FieldType, show

Kinds = Mapping[Field, FieldType]

FILTER = "x-authz-filter"
"""The header that says which rows a caller may see (``partial``)."""

_TOWARDS = ("upstream", "response")
_DECISION = frozenset({"id", "policies", "right", "application", "subject", "client", "issuer", "scopes"})
_TEXT = FieldType("string")
_is_name = re.compile(rf"{TOKEN}+").fullmatch


class Header(Struct, frozen=True):
    """A header that an allow sets, ``towards`` upstream or response.

    ``kind`` says what ``value`` is: a text to be sent as it is (literal), one value or all values of a field (field),
    or the name of what the decision itself says (decision: id, policies, right, ...).
    """

    towards: str
    name: str
    kind: str
    value: str | tuple[str, ...]


def kinds_of(
    application: ApplicationForm, env: Mapping[str, EnvForm], types: tuple[FieldType, ...]
) -> dict[Field, FieldType]:
    """Return the types of all fields that an application may tell. Raises LookupError for a type that is not there."""
    numbers = [("resource", right.fields) for right in application.rights.values()]
    numbers += [("assignee", application.assignee), ("env", {name: field.type for name, field in env.items()})]
    found = {(SIDE_INDEX["resource"], "id"): _TEXT}
    for side, fields in numbers:
        for name, number in fields.items():
            if number < 0:
                raise LookupError(number)
            found[SIDE_INDEX[side], name] = types[number]
    return found


def is_sound(emit: EmitForm, kinds: Kinds) -> bool:
    """Tell whether a header can be set at all, and its value is known to be of a type."""
    if emit.towards not in _TOWARDS or emit.header in FRAMING or emit.header != emit.header.lower():
        return False
    if not _is_name(emit.header):
        return False
    if emit.kind in SIDE_INDEX:
        return (SIDE_INDEX[emit.kind], emit.key) in kinds
    if emit.kind == "literal":
        return not UNSAFE_TEXT.search(emit.key)
    return emit.kind == "decision" and emit.key in _DECISION


def reads(emits: Iterable[EmitForm]) -> Iterable[Field]:
    """Yield the fields whose values headers tell."""
    return ((SIDE_INDEX[emit.kind], emit.key) for emit in emits if emit.kind in SIDE_INDEX)


def headers(emits: Iterable[EmitForm], sides: Sides, kinds: Kinds) -> tuple[Header, ...]:
    """Return the headers, each name once; none for a field without a value."""
    found: dict[tuple[str, str], Header] = {}
    for emit in emits:
        if emit.kind in SIDE_INDEX:
            field = SIDE_INDEX[emit.kind], emit.key
            value = sides[field[0]].get(emit.key)
            if value is None:
                continue
            kind = kinds[field]
            if isinstance(value, frozenset):
                texts: str | tuple[str, ...] = tuple(sorted(show(kind.element, one) for one in value))
            else:
                texts = show(kind, value)
            made = Header(emit.towards, emit.header, "field", texts)
        else:
            made = Header(emit.towards, emit.header, emit.kind, emit.key)
        found.setdefault((emit.towards, emit.header), made)
    return tuple(found.values())
