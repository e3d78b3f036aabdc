"""``and``, ``or``, groups in parentheses, and ``not`` before a whole expression or a body in braces.

They exist where a module imports them: ``rego.v2``, ``future.keywords.and``, ``.or``, ``.not``, or all of these. What
they hold becomes ``Nested`` bodies: ``a or b`` says that not both fail. Where ``not`` is imported it holds also where a
part of the expression has no value; where it is not imported that part is evaluated before.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from authorizer.policy.rego.problems import Refusal
from authorizer.policy.rego.syntax import At, Bind, Comprehension, Expr, Nested

if TYPE_CHECKING:
    from authorizer.policy.rego.parser import Parser


def expression(parser: "Parser") -> Expr:
    """Parse an expression of a body, ``with`` included. Raises Refusal."""
    return replace(_any(parser), withs=parser.withs())


def _any(parser: "Parser") -> Expr:
    at = parser.token.at
    first = _all(parser, begins=True)
    if not _follows(parser, "or"):
        return first
    failing = [_negated(_operand_of(first), at)]
    while _follows(parser, "or"):
        parser.advance()
        failing.append(_negated(_operand_of(_all(parser)), at))
    return Expr(Nested(tuple(failing), own=False, at=at), at, negated=True)


def _all(parser: "Parser", *, begins: bool = False) -> Expr:
    at = parser.token.at
    first = _operand(parser, begins=begins)
    if not _follows(parser, "and"):
        return first
    holding = [_operand_of(first)]
    while _follows(parser, "and"):
        parser.advance()
        holding.append(_operand_of(_operand(parser)))
    return Expr(Nested(tuple(holding), own=False, at=at), at)


def _follows(parser: "Parser", word: str) -> bool:
    return parser.token.text == word and parser.token.kind == "name" and word in parser.words


def _negated(expr: Expr, at: At) -> Expr:
    if isinstance(expr.what, Nested) and not expr.negated and not expr.withs:
        return replace(expr, negated=True)
    return Expr(Nested((expr,), own=False, at=at), at, negated=True)


def _operand_of(expr: Expr) -> Expr:
    """Return an operand. Raises Refusal for one that declares variables: it has no body of its own."""
    if isinstance(expr.what, Bind) and expr.what.declares:
        raise Refusal("G201", "an operand of `and` and `or` cannot declare a variable", expr.at, "put it in braces")
    return expr


def _operand(parser: "Parser", *, begins: bool = False) -> Expr:
    """Parse one operand; ``begins``: nothing says yet that this is an operand, so braces may be a set or an object."""
    depth, at = parser.depth, parser.token.at
    parser.enter()
    try:
        if parser.is_word("not") and not parser.is_reference():
            parser.advance()
            for word in ("not", "some", "every"):
                if parser.is_word(word) and not parser.is_reference():
                    parser.unexpected(f"`{word}` cannot be negated")
            if not parser.negates:
                return Expr(parser.unnegated(), at, negated=True)
            inner = _body(parser) if parser.token.kind == "{" else _single(parser)
            if isinstance(inner.what, Bind) and inner.what.declares:
                raise Refusal("G201", "`not` cannot declare a variable", at, "declare it on a line of its own")
            return _negated(inner, at)
        if parser.token.kind == "{":
            return _perhaps_body(parser) if begins else _body(parser)
        return _single(parser)
    finally:
        parser.depth = depth


def _single(parser: "Parser") -> Expr:
    """Parse an expression, or a group in parentheses: what cannot be a term is one."""
    start, depth, at = parser.index, parser.depth, parser.token.at
    try:
        return Expr(parser.unnegated(), at)
    except Refusal as refusal:
        if parser.tokens[start].kind != "(" or refusal.code == "G103":
            raise
    parser.depth = depth
    parser.go(start)
    parser.advance()
    inner = expression(parser)
    parser.expect(")")
    return inner if not inner.withs else Expr(Nested((inner,), own=False, at=at), at)


def _body(parser: "Parser") -> Expr:
    at = parser.advance().at
    return Expr(Nested(parser.body("}"), own=True, at=at), at)


def _perhaps_body(parser: "Parser") -> Expr:
    """Parse what begins with a brace: a body where ``and`` or ``or`` follows it."""
    start, depth, at = parser.index, parser.depth, parser.token.at
    found: Expr | None = None
    problem: Refusal | None = None
    try:
        found = Expr(parser.unnegated(), at)
    except Refusal as refusal:
        problem = refusal
    if found is not None and not (_follows(parser, "and") or _follows(parser, "or")):
        return found
    if found is not None and isinstance(found.what, Comprehension):
        raise Refusal("G102", "a comprehension, or a body with a union?", at, "put it in parentheses")
    parser.depth = depth
    parser.go(start)
    body = _body(parser)
    if problem is not None and not (_follows(parser, "and") or _follows(parser, "or")):
        raise problem
    return body
