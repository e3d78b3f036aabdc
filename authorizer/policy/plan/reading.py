"""Reads the JSON form of a plan (OPA's plan.json): every index, name and count is checked first.

A plan that is read cannot make the code generator fail: whatever is odd in it is refused here with its path.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NoReturn

from authorizer.errors import PlanError
from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.plan.form import DATA, INPUT, Block, Function, Literally, Local, Operand, Plan, Statement

MAX_DEPTH: Final = 64
"""Blocks within blocks; OPA's compiler nests about two for each collection that an expression goes through."""
MAX_STATEMENTS: Final = 500_000
MAX_LOCAL: Final = 1_000_000
MAX_DIGITS: Final = 1_000
"""Characters of a number, and its power of ten."""
MAX_PARAMETERS: Final = 200

_NUMBER: Final = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch


def read(document: object) -> Plan:
    """Read a plan. Raises PlanError: AZ350 what is not a plan, AZ351 beyond a limit."""
    return _Reader(_mapping(document, "plan")).plan()


def _refuse(where: str, why: str) -> NoReturn:
    raise PlanError("AZ350", f"{where}: {why}")


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if type(value) is not dict:
        _refuse(where, "an object is due")
    return value


def _listed(value: object, where: str) -> Sequence[Any]:
    if value is None:
        return ()
    if type(value) is not list:
        _refuse(where, "an array is due")
    return value


def _text(value: object, where: str) -> str:
    if type(value) is not str:
        _refuse(where, "a string is due")
    return value


def _file(value: object, where: str) -> str:
    # Python's compiler takes no NUL in the name of a source, and logs show the name.
    name = _text(value, where)
    if not name.isprintable():
        _refuse(where, "a name that can be printed is due")
    return name


def _takes(builtin: str, count: int) -> bool:
    """Tell whether a builtin function takes so many operands; one that is not known is refused by the compiler."""
    known = SIGNATURES.get(builtin)
    if known is None:
        return True
    least = len(known.arguments)
    return count == least if known.variadic is None else count >= least


def _whole(value: object, where: str, limit: int = MAX_LOCAL) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        _refuse(where, f"a whole number from 0 to {limit} is due")
    return value


def _check_kinds(blocks: Sequence[Block], refused: str, where: str) -> None:
    """Refuse statements of a kind that has no meaning there."""
    for block in blocks:
        for statement in block:
            if statement.kind == refused:
                _refuse(where, f"no place for a statement {refused}")
            _check_kinds(statement.blocks, refused, where)


def number(text: str) -> int | float:
    """Return the number that a text says, exact when it is whole: JSON's, or one that begins with the point.

    Raises ValueError, also for one too long.
    """
    if len(text) > MAX_DIGITS or not _NUMBER(text):
        raise ValueError("not a number, or too long")
    try:
        return int(text)
    except ValueError:
        exact = Decimal(text)
    if abs(exact.adjusted()) > MAX_DIGITS:
        raise ValueError("too large")
    real = float(exact)
    return int(exact) if exact == exact.to_integral_value() and (abs(real) >= 2**53) else real


class _Reader:
    """One reading: the tables of the document and what has been counted."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        static = _mapping(document.get("static", {}), "static")
        self._strings = [
            _text(_mapping(each, "static.strings").get("value"), "static.strings")
            for each in _listed(static.get("strings"), "static.strings")
        ]
        self._files = tuple(
            _file(_mapping(each, "static.files").get("value"), "static.files")
            for each in _listed(static.get("files"), "static.files")
        )
        self._builtins = tuple(
            _text(_mapping(each, "static.builtin_funcs").get("name"), "static.builtin_funcs")
            for each in _listed(static.get("builtin_funcs"), "static.builtin_funcs")
        )
        self._plans = _listed(_mapping(document.get("plans", {}), "plans").get("plans"), "plans.plans")
        self._funcs = _listed(_mapping(document.get("funcs") or {}, "funcs").get("funcs"), "funcs.funcs")
        self._statements = 0
        self._known: dict[str, int] = {}
        self._numbers: dict[int, int | float] = {}

    def plan(self) -> Plan:
        heads = [self._head(each, f"funcs[{at}]") for at, each in enumerate(self._funcs)]
        for name, _, parameters, _ in heads:
            if name in self._known or name in self._builtins:
                _refuse("funcs", "two functions have one name")
            self._known[name] = len(parameters)
        functions = {}
        for (name, path, parameters, result), each in zip(heads, self._funcs, strict=True):
            blocks = self._blocks(each.get("blocks"), name, 0)
            _check_kinds(blocks, "ResultSetAdd", name)
            functions[name] = Function(name, path, parameters, result, blocks)
        entrypoints: dict[str, tuple[Block, ...]] = {}
        for at, each in enumerate(self._plans):
            name = _text(_mapping(each, f"plans[{at}]").get("name"), f"plans[{at}].name")
            if name in entrypoints:
                _refuse("plans", "two plans have one name")
            entrypoints[name] = self._blocks(each.get("blocks"), f"plan {name}", 0)
            _check_kinds(entrypoints[name], "ReturnLocal", f"plan {name}")
        return Plan(entrypoints, functions, self._files, self._builtins)

    def _head(self, document: object, where: str) -> tuple[str, tuple[str, ...], tuple[int, ...], int]:
        members = _mapping(document, where)
        name = _text(members.get("name"), f"{where}.name")
        path = tuple(_text(each, f"{where}.path") for each in _listed(members.get("path"), f"{where}.path"))
        listed = _listed(members.get("params"), f"{where}.params")
        parameters = tuple(_whole(each, f"{where}.params") for each in listed)
        if parameters[:2] != (INPUT, DATA) or len(set(parameters)) < len(parameters):
            _refuse(f"{where}.params", "the locals 0 and 1 are due, then others, each once")
        if len(parameters) > MAX_PARAMETERS:
            raise PlanError("AZ351", f"{where}: a function has more than {MAX_PARAMETERS} parameters")
        return name, path, parameters, _whole(members.get("return"), f"{where}.return")

    def _blocks(self, value: object, where: str, depth: int) -> tuple[Block, ...]:
        return tuple(self._block(each, where, depth) for each in _listed(value, where))

    def _block(self, value: object, where: str, depth: int) -> Block:
        if depth >= MAX_DEPTH:
            raise PlanError("AZ351", f"{where}: blocks are nested deeper than {MAX_DEPTH}")
        listed = _listed(_mapping(value, where).get("stmts"), where)
        self._statements += len(listed)
        if self._statements > MAX_STATEMENTS:
            raise PlanError("AZ351", f"the plan has more than {MAX_STATEMENTS} statements")
        read = (self._statement(each, where, depth) for each in listed)
        return tuple(each for each in read if each is not None)

    def _statement(self, value: object, where: str, depth: int) -> Statement | None:
        outer = _mapping(value, where)
        name = outer.get("type")
        fields = _mapping(outer.get("stmt"), where)
        row, column = fields.get("row", 0), fields.get("col", 0)
        where = f"{where}, row {row}" if type(row) is int else where
        reading = _STATEMENTS.get(name) if type(name) is str else None
        if reading is None:
            if name == "NopStmt":
                return None
            _refuse(where, "a statement of an unknown type")
        file = _whole(fields.get("file", 0), f"{where}: file")
        if file and file >= len(self._files):
            _refuse(where, "no such file")
        place = (file, _whole(row, f"{where}: row", 1 << 30), _whole(column, f"{where}: col", 1 << 30))
        return reading(self, fields, place, where, depth)

    def local(self, fields: Mapping[str, Any], name: str, where: str) -> int:
        return _whole(fields.get(name), f"{where}: {name}")

    def string(self, index: object, where: str) -> str:
        return self._strings[_whole(index, where, len(self._strings) - 1)]

    def operand(self, value: object, where: str) -> Operand:
        if type(value) is int:
            return Local(_whole(value, where))
        members = _mapping(value, where)
        kind, inner = members.get("type"), members.get("value")
        if kind == "local":
            return Local(_whole(inner, where))
        if kind == "string_index":
            return Literally(self.string(inner, where))
        if kind == "bool" and type(inner) is bool:
            return Literally(inner)
        return _refuse(where, "an operand is due")

    def operands(self, fields: Mapping[str, Any], names: Sequence[str], where: str) -> tuple[Operand, ...]:
        return tuple(self.operand(fields.get(name), f"{where}: {name}") for name in names)

    def arguments(self, fields: Mapping[str, Any], name: str, where: str) -> tuple[Operand, ...]:
        listed = _listed(fields.get(name), f"{where}: {name}")
        if len(listed) > MAX_PARAMETERS:
            raise PlanError("AZ351", f"{where}: more than {MAX_PARAMETERS} {name}")
        return tuple(self.operand(each, f"{where}: {name}") for each in listed)

    def called(self, fields: Mapping[str, Any], where: str, count: int) -> str:
        name = _text(fields.get("func"), f"{where}: func")
        if not _takes(name, count) if name in self._builtins else self._known.get(name) != count:
            _refuse(where, "a call of an unknown function, or with the wrong number of arguments")
        return name

    def constant(self, index: object, where: str) -> int | float:
        at = _whole(index, where, len(self._strings) - 1)
        if at not in self._numbers:
            try:
                self._numbers[at] = number(self._strings[at])
            except (ValueError, ArithmeticError):
                _refuse(where, "not a number, or one too long")
        return self._numbers[at]

    def inner(self, fields: Mapping[str, Any], where: str, depth: int) -> Block:
        return self._block(fields.get("block"), where, depth + 1)

    def blocks(self, fields: Mapping[str, Any], where: str, depth: int) -> tuple[Block, ...]:
        return self._blocks(fields.get("blocks"), where, depth + 1)


_Place = tuple[int, int, int]
_Reading = Callable[[_Reader, Mapping[str, Any], _Place, str, int], Statement]


def _simple(kind: Any, *operands: str, target: str = "") -> _Reading:
    def reading(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
        del depth
        defined = reader.local(fields, target, where) if target else -1
        if defined in (INPUT, DATA):
            _refuse(where, "input and data are never assigned to")
        return Statement(kind, place, defined, operands=reader.operands(fields, operands, where))

    return reading


def _constant(value: Callable[[_Reader, Mapping[str, Any], str], Any]) -> _Reading:
    def reading(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
        del depth
        made = Literally(value(reader, fields, where))
        return Statement("Constant", place, reader.local(fields, "target", where), operands=(made,))

    return reading


def _plain_number(reader: _Reader, fields: Mapping[str, Any], where: str) -> int:
    del reader
    value = fields.get("value")
    if type(value) is not int or abs(value) >= 1 << 63:
        _refuse(where, "a whole number of 64 bits is due")
    return value


def _number_of_table(reader: _Reader, fields: Mapping[str, Any], where: str) -> int | float:
    # OPA wrote the member with a capital once.
    return reader.constant(fields.get("index", fields.get("Index")), where)


def _null(reader: _Reader, fields: Mapping[str, Any], where: str) -> None:
    del reader, fields, where


def _break(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    del reader
    return Statement("Break", place, levels=_whole(fields.get("index"), f"{where}: index", depth))


def _call(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    del depth
    operands = reader.arguments(fields, "args", where)
    name = reader.called(fields, where, len(operands))
    return Statement("Call", place, reader.local(fields, "result", where), operands=operands, function=name)


def _dynamic(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    del depth
    target = reader.local(fields, "result", where)
    operands, path = reader.arguments(fields, "args", where), reader.arguments(fields, "path", where)
    return Statement("CallDynamic", place, target, operands=operands, path=path)


def _scan(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    source = reader.operands(fields, ("source",), where)
    key, value = reader.local(fields, "key", where), reader.local(fields, "value", where)
    return Statement("Scan", place, value, key, source, blocks=(reader.inner(fields, where, depth),))


def _not(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    return Statement("Not", place, blocks=(reader.inner(fields, where, depth),))


def _with(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    indices = _listed(fields.get("path"), f"{where}: path")
    path = tuple(Literally(reader.string(each, f"{where}: path")) for each in indices)
    target = reader.local(fields, "local", where)
    if target not in (INPUT, DATA):
        _refuse(where, "only input and data can be replaced")
    value = reader.operands(fields, ("value",), where)
    return Statement("With", place, target, operands=value, path=path, blocks=(reader.inner(fields, where, depth),))


def _block(reader: _Reader, fields: Mapping[str, Any], place: _Place, where: str, depth: int) -> Statement:
    return Statement("Block", place, blocks=reader.blocks(fields, where, depth))


_STATEMENTS: Final[Mapping[str, _Reading]] = {
    "ArrayAppendStmt": _simple("ArrayAppend", "value", target="array"),
    "AssignIntStmt": _constant(_plain_number),
    "AssignVarOnceStmt": _simple("AssignVarOnce", "source", target="target"),
    "AssignVarStmt": _simple("AssignVar", "source", target="target"),
    "BlockStmt": _block,
    "BreakStmt": _break,
    "CallDynamicStmt": _dynamic,
    "CallStmt": _call,
    "DotStmt": _simple("Dot", "source", "key", target="target"),
    "EqualStmt": _simple("Equal", "a", "b"),
    "IsArrayStmt": _simple("IsArray", "source"),
    "IsDefinedStmt": _simple("IsDefined", "source"),
    "IsObjectStmt": _simple("IsObject", "source"),
    "IsSetStmt": _simple("IsSet", "source"),
    "IsUndefinedStmt": _simple("IsUndefined", "source"),
    "LenStmt": _simple("Len", "source", target="target"),
    "MakeArrayStmt": _simple("MakeArray", target="target"),
    "MakeNullStmt": _constant(_null),
    "MakeNumberIntStmt": _constant(_plain_number),
    "MakeNumberRefStmt": _constant(_number_of_table),
    "MakeObjectStmt": _simple("MakeObject", target="target"),
    "MakeSetStmt": _simple("MakeSet", target="target"),
    "NotEqualStmt": _simple("NotEqual", "a", "b"),
    "NotStmt": _not,
    "ObjectInsertOnceStmt": _simple("ObjectInsertOnce", "key", "value", target="object"),
    "ObjectInsertStmt": _simple("ObjectInsert", "key", "value", target="object"),
    "ObjectMergeStmt": _simple("ObjectMerge", "a", "b", target="target"),
    "ResetLocalStmt": _simple("ResetLocal", target="target"),
    "ResultSetAddStmt": _simple("ResultSetAdd", "value"),
    "ReturnLocalStmt": _simple("ReturnLocal", "source"),
    "ScanStmt": _scan,
    "SetAddStmt": _simple("SetAdd", "value", target="set"),
    "WithStmt": _with,
}
