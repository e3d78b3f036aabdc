"""A plan as it is worked on: OPA's statements with strings and numbers looked up, and one shape for all.

https://www.openpolicyagent.org/docs/ir describes the statements. Kinds that only make a constant (MakeNull,
MakeNumberInt, MakeNumberRef, AssignInt) are ``Constant`` here, and Nop is nothing.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal[
    "ArrayAppend", "AssignVar", "AssignVarOnce", "Block", "Break", "Call", "CallDynamic", "Constant", "Dot", "Equal",
    "IsArray", "IsDefined", "IsObject", "IsSet", "IsUndefined", "Len", "MakeArray", "MakeObject", "MakeSet", "Not",
    "NotEqual", "ObjectInsert", "ObjectInsertOnce", "ObjectMerge", "ResetLocal", "ResultSetAdd", "ReturnLocal", "Scan",
    "SetAdd", "With",
]  # fmt: skip

INPUT, DATA = 0, 1
"""The locals that hold the two documents."""


class Local(Struct, frozen=True):
    """An operand that is a variable."""

    number: int


class Literally(Struct, frozen=True):
    """An operand that is a string, a boolean, a number or null."""

    value: Any


Operand: TypeAlias = Local | Literally
Block: TypeAlias = tuple["Statement", ...]


class Statement(Struct, frozen=True):
    """One statement.

    ``target`` is the local that it defines or, of inserts, changes, and ``With``'s the document that it replaces; of
    ``Scan`` it is the value's and ``key`` the key's. ``operands`` are what it reads, in the order of OPA's
    documentation (insert: key, value). ``path`` is CallDynamic's path or With's. ``place`` is (file, row, column).
    """

    kind: Kind
    place: tuple[int, int, int]
    target: int = -1
    key: int = -1
    operands: tuple[Operand, ...] = ()
    path: tuple[Operand, ...] = ()
    blocks: tuple[Block, ...] = ()
    function: str = ""
    levels: int = 0


class Function(Struct, frozen=True):
    """A function of the plan: ``parameters`` begin with input and data; ``result`` is the local that it returns."""

    name: str
    path: tuple[str, ...]
    parameters: tuple[int, ...]
    result: int
    blocks: tuple[Block, ...]


class Plan(Struct, frozen=True):
    """A validated plan: what may be asked by name, the functions, and the names of the source files."""

    entrypoints: Mapping[str, tuple[Block, ...]]
    functions: Mapping[str, Function]
    files: tuple[str, ...]
    builtins: tuple[str, ...]
