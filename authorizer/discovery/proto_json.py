"""Reading protobuf messages in their JSON form, as Envoy's admin interface and xDS files show them.

Field names come in ``snake_case`` (Envoy) or ``lowerCamelCase`` (most tools); both are read. A value of another shape
than the schema says is an error, not a guess.
"""

import re
from collections.abc import Mapping
from typing import Any

from authorizer.errors import DiscoveryError

Json = Mapping[str, Any]

_DURATION = re.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)
_TYPED_STRUCTS = frozenset({"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"})


def field(parent: Json, name: str) -> Any:
    """Return the field with the ``snake_case`` name, or None where it is unset."""
    if name in parent:
        return parent[name]
    first, *rest = name.split("_")
    return parent.get(first + "".join(word.capitalize() for word in rest))


def message(parent: Json, name: str) -> Json:
    """Return a message field; unset reads as an empty message."""
    value = field(parent, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _misshapen(name, "an object")
    return value


def messages(parent: Json, name: str) -> list[Json]:
    """Return a repeated message field."""
    value = field(parent, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _misshapen(name, "a list of objects")
    return value


def text(parent: Json, name: str) -> str:
    """Return a string or enum field; unset reads as the empty string."""
    value = field(parent, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _misshapen(name, "text")
    return value


def texts(parent: Json, name: str) -> tuple[str, ...]:
    """Return a repeated string field."""
    value = field(parent, name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _misshapen(name, "a list of texts")
    return tuple(value)


def flag(parent: Json, name: str) -> bool | None:
    """Return a boolean field, or None where it is unset: wrappers tell false and unset apart."""
    value = field(parent, name)
    if value is None or isinstance(value, bool):
        return value
    raise _misshapen(name, "true or false")


def seconds(parent: Json, name: str) -> float | None:
    """Return a Duration field (``"0.2s"``) in seconds, or None where it is unset."""
    value = text(parent, name)
    if not value:
        return None
    if not (found := _DURATION.fullmatch(value)):
        raise _misshapen(name, "a duration")
    return float(found[1])


def typed(value: Json) -> tuple[str, Json]:
    """Unpack an Any: the full name of its message type and the message. An untyped struct in an Any is unpacked too."""
    name = text(value, "@type").rpartition("/")[2]
    if name in _TYPED_STRUCTS:
        return text(value, "type_url").rpartition("/")[2], message(value, "value")
    return name, value


def _misshapen(name: str, expected: str) -> DiscoveryError:
    return DiscoveryError("AZ602", f"the gateway's configuration is not as its schema says: '{name}' is not {expected}")
