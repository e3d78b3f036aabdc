"""Plan IR as it is written: statements, operands, tables of strings and files (https://www.openpolicyagent.org/docs/ir).

A ``Writer`` stands in one block of one function. Statements go where it stands; loops take it into themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from authorizer.policy.plan.builtins.signatures import SIGNATURES

Operand: TypeAlias = dict[str, Any]
Block: TypeAlias = dict[str, list[Any]]

INPUT, DATA = 0, 1


class Tables:
    """What all functions of a plan share."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {}
        self.files: dict[str, int] = {}
        self.builtins: dict[str, tuple[str, tuple[int, int]]] = {}

    def string(self, text: str) -> int:
        """Return the number of a string."""
        return self.strings.setdefault(text, len(self.strings))

    def file(self, name: str) -> int:
        """Return the number of a file."""
        return self.files.setdefault(name, len(self.files))

    def static(self) -> dict[str, Any]:
        """Return the ``static`` part of the plan."""
        return {
            "strings": [{"value": text} for text in self.strings],
            "builtin_funcs": [SIGNATURES[name].declaration() for name in sorted(self.builtins)],
            "files": [{"value": name} for name in self.files],
        }


class Writer:
    """Writes one function or one plan."""

    def __init__(self, tables: Tables, first_local: int) -> None:
        self.tables = tables
        self.next = first_local
        self.statements: list[Any] = []
        self.place = {"file": 0, "col": 1, "row": 1}

    def local(self) -> int:
        """Return a local that nothing uses yet."""
        self.next += 1
        return self.next - 1

    def stand(self, file: int, at: tuple[int, int]) -> None:
        """Say where in the source the following statements come from."""
        self.place = {"file": file, "col": at[1], "row": at[0]}

    def emit(self, kind: str, **fields: Any) -> None:
        """Append a statement."""
        self.statements.append({"type": f"{kind}Stmt", "stmt": {**fields, **self.place}})

    def string(self, text: str) -> Operand:
        """Return the operand of a string."""
        return {"type": "string_index", "value": self.tables.string(text)}

    @contextmanager
    def block(self) -> Iterator[Block]:
        """Write into a new block, then come back to where the writer stood."""
        outer = self.statements
        self.statements = []
        inner: Block = {"stmts": self.statements}
        try:
            yield inner
        finally:
            self.statements = outer

    # -- statements --------------------------------------------------------------------------------------------------

    def assign(self, source: Operand, target: int | None = None) -> int:
        """Copy a value to a local, a new one if none is given."""
        target = self.local() if target is None else target
        self.emit("AssignVar", source=source, target=target)
        return target

    def integer(self, value: int) -> int:
        """Return a new local that holds an integer."""
        target = self.local()
        self.emit("MakeNumberInt", value=value, target=target)
        return target

    def as_local(self, operand: Operand) -> int:
        """Return the local of an operand; a constant is copied to one."""
        value: int = operand["value"]
        return value if operand["type"] == "local" else self.assign(operand)

    def dot(self, source: Operand, key: Operand) -> Operand:
        """Return what ``source`` has at ``key``; undefined leaves the block."""
        target = self.local()
        self.emit("Dot", source=source, key=key, target=target)
        return local(target)

    def scan(self, source: Operand) -> tuple[Operand, Operand]:
        """Begin a loop over a collection and stand in it; return its key and value."""
        origin = self.as_local(source)
        key, value = self.local(), self.local()
        inner: Block = {"stmts": []}
        self.emit("Scan", source=origin, key=key, value=value, block=inner)
        self.statements = inner["stmts"]
        return local(key), local(value)

    def equal(self, a: Operand, b: Operand) -> None:
        """Go on only where two values are equal."""
        constants = a["type"] != "local" and b["type"] != "local"
        if not constants:
            self.emit("Equal", a=a, b=b)
        elif a != b:
            self.emit("Break", index=0)

    def length_is(self, source: Operand, length: int) -> None:
        """Go on only where a collection has this length."""
        target = self.local()
        self.emit("Len", source=source, target=target)
        self.emit("Equal", a=local(target), b=local(self.integer(length)))


def local(number: int) -> Operand:
    """Return the operand of a local."""
    return {"type": "local", "value": number}


def boolean(*, value: bool) -> Operand:
    """Return the operand of a boolean."""
    return {"type": "bool", "value": value}
