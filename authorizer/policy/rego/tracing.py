"""A plan that tells what it does: for coverage and for explanations.

Before each expression it tells that it was reached, with the variables known there, and after it that it held. It tells
by the builtin ``internal.print``, which gives what it is told to a list in the context, where there is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from authorizer.policy.rego.frames import Frame
from authorizer.policy.rego.plan_bodies import plan_expression
from authorizer.policy.rego.syntax import Body, Expr, is_generated, written
from authorizer.policy.rego.writing import boolean, local

HEARD = "internal.print"
"""The name in ``Context.cache`` of the list that is told."""


class Event(Struct, frozen=True):
    """An expression was reached, or with ``held`` was true; ``known`` are the variables that had values."""

    expr: Expr
    held: bool
    known: Mapping[str, Any]


class Tracer:
    """Writes bodies that tell; ``variables``: with the values of the variables."""

    def __init__(self, *, variables: bool) -> None:
        self._variables = variables
        self._exprs: list[Expr] = []
        self._numbers: dict[int, int] = {}

    def plan_body(self, frame: Frame, body: Body) -> None:
        """Write a body as ``plan_bodies.plan_body`` does, and what it tells."""
        for expr in body:
            frame.writer.stand(frame.file, expr.at)
            self._tell(frame, expr, held=False)
            plan_expression(frame, expr)
            self._tell(frame, expr, held=True)

    def events(self, heard: Sequence[Any]) -> list[Event]:
        """Return what was told, in order."""
        return [Event(self._exprs[number], held, known) for number, held, known in heard]

    def _number(self, expr: Expr) -> int:
        number = self._numbers.setdefault(id(expr), len(self._exprs))
        if number == len(self._exprs):
            self._exprs.append(expr)  # kept, so that its id stays its own
        return number

    def _tell(self, frame: Frame, expr: Expr, *, held: bool) -> None:
        writer = frame.writer
        told = writer.local()
        writer.emit("MakeArray", capacity=3, target=told)
        writer.emit("ArrayAppend", value=local(writer.integer(self._number(expr))), array=told)
        writer.emit("ArrayAppend", value=boolean(value=held), array=told)
        known = writer.local()
        writer.emit("MakeObject", target=known)
        for name, number in self._known(frame) if self._variables and not held else ():
            with writer.block() as inner:
                writer.emit("IsDefined", source=number)
                writer.emit("ObjectInsert", key=writer.string(name), value=local(number), object=known)
            writer.emit("Block", blocks=[inner])
        writer.emit("ArrayAppend", value=local(known), array=told)
        writer.tables.builtins.setdefault(HEARD, ("", expr.at))
        writer.emit("Call", func=HEARD, args=[local(told)], result=writer.local())

    def _known(self, frame: Frame) -> Iterable[tuple[str, int]]:
        found: dict[str, int] = {}
        for scope in frame.scopes:
            for name, number in scope.items():
                if not is_generated(name) and name not in frame.session.parameters():
                    found[written(name)] = number
        return found.items()
