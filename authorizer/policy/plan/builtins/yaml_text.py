"""YAML 1.2 as OPA reads and writes it: words such as ``yes`` are strings, keys become strings, dates stay text.

Of several documents the first is read, and all must be well formed; of equal keys the last wins.
"""

import json
import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml

from authorizer.policy.plan.builtins.calling import Builtin, as_text, contextual, text
from authorizer.policy.plan.builtins.encoding import json_text, measure
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value, to_json

_INTEGER = re.compile(r"[+-]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7_]+|[0-9][0-9_]*)", re.ASCII)
_REAL = re.compile(r"[+-]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ]|$)", re.ASCII)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_BOOLEANS: Final = frozenset({"y", "n", "yes", "no", "on", "off"})
_MAX_DIGITS: Final = 300
_READING: Final = 40
_OPENING: Final = 200
"""The cost of what may begin a level, beside that of its characters."""
_WRITING: Final = 20
_MERGE: Final = "tag:yaml.org,2002:merge"
_PLAIN: Final = "!plain"
"""The tag here of what has no quotes and no tag of its own."""
_STRING: Final = "tag:yaml.org,2002:str"


def _integer(source: str) -> int | float | None:
    if not _INTEGER.fullmatch(source) or len(source) > _MAX_DIGITS:
        return None
    digits = source.lstrip("+-").replace("_", "")
    base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2], 8 if digits[:1] == "0" else 10)
    try:
        value = int(digits, base)
    except ValueError:
        return None
    value = -value if source[0] == "-" else value
    return value if -(2**63) <= value < 2**64 else float(value)


def _plain(source: str) -> Value:
    """Return what a scalar without quotes and tag means."""
    if source in _NULLS:
        return None
    if source in _BOOLEANS:
        return _BOOLEANS[source]
    whole = _integer(source)
    if whole is not None:
        return whole
    if _INFINITE.fullmatch(source):
        raise BuiltinError("yaml: JSON has no such number")
    if not _REAL.fullmatch(source):
        return source
    value = float(source)
    if abs(value) == float("inf"):
        return source
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


class _Loader(yaml.SafeLoader):
    """A loader that leaves the meaning of words to ``_plain``, and that of keys to ``_name``."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Return an object whose keys are strings."""
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)
        return {
            _name(self.construct_object(key, True)): self.construct_object(value, deep) for key, value in node.value
        }

    def construct_plain(self, node: Any) -> Any:
        """Return what a scalar without quotes and tag means."""
        return _plain(self.construct_scalar(node))

    def construct_text(self, node: Any) -> Any:
        """Return a scalar as a string."""
        return self.construct_scalar(node)

    def construct_binary(self, node: Any) -> Any:
        """Return what base64 stands for, as a string."""
        return as_text(self.construct_yaml_binary(node))


_Loader.yaml_implicit_resolvers = {
    "<": [(_MERGE, re.compile("<<"))],
    None: [(_PLAIN, re.compile(r"[\s\S]*"))],
}
_Loader.add_constructor(_PLAIN, _Loader.construct_plain)
_Loader.add_constructor(_MERGE, _Loader.construct_text)
_Loader.add_constructor("tag:yaml.org,2002:binary", _Loader.construct_binary)
_Loader.add_constructor(None, _Loader.construct_text)


def _name(value: Value) -> str:
    """Return a key as JSON has it. Raises BuiltinError."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or type(value) is float:
        return str(value)
    raise BuiltinError("yaml: a key that is no scalar")


def read(source: str) -> Value:
    """Return the value of the first document of a text. Raises BuiltinError, BudgetError."""
    try:
        loader = _Loader(source)
        value = loader.get_data() if loader.check_data() else None  # type: ignore[no-untyped-call]
        while loader.check_event():
            loader.get_event()  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, ValueError, TypeError, AttributeError):
        raise BuiltinError("yaml: not a document") from None
    except RecursionError:
        raise BudgetError from None
    return value


def _read(context: Context, source: str) -> Value:
    context.budget.charge(_READING * len(source) + _OPENING * (1 + sum(map(source.count, "[{-:"))))
    value = read(source)
    measure(context, value)
    return value


def _unmarshal(context: Context, value: Value) -> Value:
    return _read(context, text(value, 1))


def _is_valid(context: Context, value: Value) -> bool:
    if type(value) is not str:
        return False
    try:
        _read(context, value)
    except BuiltinError:
        return False
    return True


class _Dumper(yaml.SafeDumper):
    """A writer that indents lists, as OPA's does, and resolves words as ``_plain`` does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent lists within objects too."""
        super().increase_indent(flow, False)

    def check_simple_key(self) -> bool:
        """Write an empty key on the line of its value too."""
        empty = isinstance(self.event, yaml.ScalarEvent) and self.event.value == ""
        return empty or super().check_simple_key()

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write everything where it stands."""
        return True


def _represent(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    if max(value, default="") > "\uffff":
        return dumper.represent_scalar(_STRING, value, style='"')
    if "\n" in value and not any(character < " " and character != "\n" for character in value):
        return dumper.represent_scalar(_STRING, value, style="|")
    ambiguous = value.lower() in _OLD_BOOLEANS or bool(_DATE.match(value)) or _is_other(value)
    return dumper.represent_scalar(_STRING, value, style='"' if ambiguous else None)


def _is_other(value: str) -> bool:
    try:
        return type(_plain(value)) is not str
    except BuiltinError:
        return True


def _represent_word(dumper: _Dumper, value: float | None) -> yaml.ScalarNode:
    return dumper.represent_scalar(_STRING, json.dumps(value))


_Dumper.yaml_implicit_resolvers = {}
_Dumper.add_representer(str, _represent)
for _kind in (int, float, bool, type(None)):
    _Dumper.add_representer(_kind, _represent_word)


def _marshal(context: Context, value: Value) -> str:
    context.budget.charge(_WRITING * len(json_text(context, value)))
    try:
        made: str = yaml.dump(to_json(value), Dumper=_Dumper, allow_unicode=True, width=float("inf"), sort_keys=True)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise BudgetError from None
    return made.removesuffix("...\n")


BUILTINS: Final[Mapping[str, Builtin]] = {
    "yaml.is_valid": contextual(_is_valid),
    "yaml.marshal": contextual(_marshal),
    "yaml.unmarshal": contextual(_unmarshal),
}
