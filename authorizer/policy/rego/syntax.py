"""Rego's syntax tree: frozen values, each with the place where it stands.

Names keep what the author wrote until ``resolve`` renames them: a declared variable ``x`` becomes ``x@3``, a variable
that the compiler makes is ``@3``, and each ``_`` is ``$3``. None of these can be written in Rego, so none can clash.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct  # gc=False below: a tree of frozen values has no cycles

At: TypeAlias = tuple[int, int]
"""Line and column, from 1."""


class Scalar(Struct, frozen=True, gc=False):
    """null, a boolean or a string."""

    value: bool | str | None
    at: At


class Number(Struct, frozen=True, gc=False):
    """A number as it was written: no digit is lost."""

    text: str
    at: At


class Var(Struct, frozen=True, gc=False):
    """A variable."""

    name: str
    at: At


class Ref(Struct, frozen=True, gc=False):
    """``head[path[0]][path[1]]...``; ``input`` and ``data`` alone are references too."""

    head: "Term"
    path: tuple["Term", ...]
    at: At


class ArrayTerm(Struct, frozen=True, gc=False):
    """``[a, b]``."""

    items: tuple["Term", ...]
    at: At


class SetTerm(Struct, frozen=True, gc=False):
    """``{a, b}``, ``set()``."""

    items: tuple["Term", ...]
    at: At


class ObjectTerm(Struct, frozen=True, gc=False):
    """``{k: v}``."""

    pairs: tuple[tuple["Term", "Term"], ...]
    at: At


class Comprehension(Struct, frozen=True, gc=False):
    """``[h | body]``, ``{h | body}`` or ``{k: v | body}``: ``head`` has one term, or key and value."""

    kind: Literal["array", "set", "object"]
    head: tuple["Term", ...]
    body: "Body"
    at: At


class Call(Struct, frozen=True, gc=False):
    """``operator(args)``. As an expression it may carry one argument more: where the result goes."""

    operator: Ref
    args: tuple["Term", ...]
    at: At


class Template(Struct, frozen=True, gc=False):
    """``$"text {expression}"``: texts and expressions in turn."""

    parts: tuple["Scalar | Expr", ...]
    at: At
    raw: bool = False


class Bind(Struct, frozen=True, gc=False):
    """``left = right``, or with ``declares`` ``left := right``."""

    left: "Term"
    right: "Term"
    declares: bool
    at: At


class Every(Struct, frozen=True, gc=False):
    """``every key, value in domain { body }``."""

    key: Var | None
    value: Var
    domain: "Term"
    body: "Body"
    at: At


class Nested(Struct, frozen=True, gc=False):
    """What ``and``, ``or`` and ``not { ... }`` hold: a body that holds or not, once, and makes nothing known outside.

    ``own``: it was written in braces, so it may have variables of its own.
    """

    body: "Body"
    own: bool
    at: At


class Some(Struct, frozen=True, gc=False):
    """``some x, y``."""

    names: tuple[Var, ...]
    at: At


class SomeIn(Struct, frozen=True, gc=False):
    """``some key, value in domain``."""

    key: "Term | None"
    value: "Term"
    domain: "Term"
    at: At


class With(Struct, frozen=True, gc=False):
    """``with target as value``."""

    target: Ref
    value: "Term"
    at: At


Term: TypeAlias = Scalar | Number | Var | Ref | ArrayTerm | SetTerm | ObjectTerm | Comprehension | Call | Template


class Expr(Struct, frozen=True, gc=False):
    """One line of a body. ``generated``: a call whose last argument takes the result."""

    what: Term | Bind | Every | Some | SomeIn | Nested
    at: At
    negated: bool = False
    withs: tuple[With, ...] = ()
    generated: bool = False


Body: TypeAlias = tuple[Expr, ...]


class Rule(Struct, frozen=True, gc=False):
    """One definition. ``path`` is the head's reference: a ``Var``, then terms; after ``resolve`` from ``data`` on.

    ``key`` is what a set of values ``contains``; else ``value`` is the value. ``args`` is None for what is no function.
    ``elses`` are tried in turn where the body has no answer.
    """

    path: tuple[Term, ...]
    args: tuple[Term, ...] | None
    key: Term | None
    value: Term | None
    body: Body
    at: At
    default: bool = False
    elses: tuple["Rule", ...] = ()
    notes: tuple[int, ...] = ()
    bare: bool = False
    """Whether no body was written."""


class Import(Struct, frozen=True, gc=False):
    """``import path as alias``; ``name`` is what the module calls it."""

    path: tuple[str, ...]
    name: str
    at: At


class Comment(Struct, frozen=True, gc=False):
    """``# text``, without the mark."""

    text: str
    at: At


class Module(Struct, frozen=True, gc=False):
    """One file. ``version`` is that of the language: 0, 1 or 2. ``package`` does not say ``data``."""

    file: str
    package: tuple[str, ...]
    imports: tuple[Import, ...]
    rules: tuple[Rule, ...]
    comments: tuple[Comment, ...]
    version: int
    at: At
    lines: tuple[str, ...] = ()


# For isinstance: a tuple that is made once is faster than a union that is made at each call.
NAMES: Final = (Var, Ref)
CONSTANTS: Final = (Scalar, Number)
ROWS: Final = (ArrayTerm, SetTerm)
PATTERNS: Final = (ArrayTerm, ObjectTerm)
COLLECTIONS: Final = (ArrayTerm, ObjectTerm, SetTerm)
LOOKUPS: Final = (Ref, Comprehension)
DECLARATIONS: Final = (Some, SomeIn)

RESERVED = frozenset({"input", "data"})


def is_generated(name: str) -> bool:
    """Tell whether no author wrote the name: the compiler's own and each ``_``."""
    return name[0] in "@$"


def written(name: str) -> str:
    """Return the name as the author wrote it."""
    return "_" if name[0] == "$" else name.partition("@")[0]


def is_ground(term: Term) -> bool:
    """Tell whether the term holds no variable outside of comprehensions (the head of a reference counts)."""
    kind = type(term)
    if kind is Scalar or kind is Number or kind is Comprehension:
        return True
    if isinstance(term, ROWS):
        return all(map(is_ground, term.items))
    if isinstance(term, ObjectTerm):
        return all(is_ground(key) and is_ground(value) for key, value in term.pairs)
    if isinstance(term, Ref):
        return all(map(is_ground, term.path))
    if isinstance(term, Call):
        return all(map(is_ground, term.args))
    return False


def term_text(term: object) -> str:
    """Return a term as a message shows it: closures are cut short."""
    if isinstance(term, Scalar):
        return _scalar_text(term.value)
    if isinstance(term, Number):
        return term.text
    if isinstance(term, Var):
        return written(term.name) or "…"
    if isinstance(term, Ref):
        return term_text(term.head) + "".join(map(_step_text, term.path))
    if isinstance(term, ArrayTerm):
        return f"[{', '.join(map(term_text, term.items))}]"
    if isinstance(term, SetTerm):
        return f"{{{', '.join(map(term_text, term.items))}}}" if term.items else "set()"
    if isinstance(term, ObjectTerm):
        return f"{{{', '.join(f'{term_text(key)}: {term_text(value)}' for key, value in term.pairs)}}}"
    if isinstance(term, Call):
        return f"{term_text(term.operator)}({', '.join(map(term_text, term.args))})"
    if isinstance(term, Comprehension):
        inner = ": ".join(map(term_text, term.head)) + " | …"
        return f"[{inner}]" if term.kind == "array" else f"{{{inner}}}"
    return "…"


def _scalar_text(value: bool | str | None) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return "null" if value is None else "true" if value else "false"


def _step_text(step: Term) -> str:
    if isinstance(step, Scalar) and isinstance(step.value, str) and step.value.isidentifier() and step.value.isascii():
        return f".{step.value}"
    return f"[{term_text(step)}]"


def always(at: At) -> Body:
    """Return the body that stands where none was written: ``true``."""
    return (Expr(Scalar(value=True, at=at), at),)
