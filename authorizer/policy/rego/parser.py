"""Tokens to terms and bodies. ``connectives`` reads ``and`` and ``or``; ``modules`` puts rules and modules together.

The grammar is that of OPA 1.22 with its ambiguities: ``{x | y}`` is a comprehension where it can be one, and a brace
that begins a body is tried as a term first. What was parsed at a token is remembered, so trying twice costs nothing.
"""

from authorizer.policy.rego import connectives
from authorizer.policy.rego.cursor import MAX_DEPTH, Cursor
from authorizer.policy.rego.lexer import Token
from authorizer.policy.rego.problems import Refusal
from authorizer.policy.rego.syntax import (
    NAMES,
    ArrayTerm,
    At,
    Bind,
    Body,
    Call,
    Comprehension,
    Every,
    Expr,
    Nested,
    Number,
    ObjectTerm,
    Ref,
    Scalar,
    SetTerm,
    Some,
    SomeIn,
    Template,
    Term,
    Var,
    With,
)

WORDS = frozenset({"as", "default", "else", "false", "import", "not", "null", "package", "some", "true", "with"})
LATER_WORDS = frozenset({"contains", "every", "if", "in"})
LOGIC_WORDS = frozenset({"and", "or"})

_OPERATORS = {
    "==": (2, "equal"),
    "!=": (2, "neq"),
    "<": (2, "lt"),
    ">": (2, "gt"),
    "<=": (2, "lte"),
    ">=": (2, "gte"),
    "|": (3, "or"),
    "&": (4, "and"),
    "+": (5, "plus"),
    "-": (5, "minus"),
    "*": (6, "mul"),
    "/": (6, "div"),
    "%": (6, "rem"),
}
_CALLED = frozenset({"and", "or"})
"""Keywords that are functions too; ``contains`` may even be a variable."""
_CONSTANTS = {"null": None, "true": True, "false": False}
_MEMBERS = {1: ("internal", "member_2"), 2: ("internal", "member_3")}


class Parser(Cursor):
    """Parses terms and bodies from where it stands."""

    def __init__(self, tokens: list[Token], version: int) -> None:
        super().__init__(tokens, WORDS)
        self.wildcards = 0
        self.templates = self.negates = False
        self.speak(version)
        self._known: dict[int, tuple[Term, int] | Refusal] = {}

    def speak(self, version: int) -> None:
        """Take a version of the language: its keywords, its template strings, and what ``not`` may stand before."""
        self.templates |= version > 0
        self.negates |= version > 1
        self.words |= (LATER_WORDS if version else set()) | (LOGIC_WORDS if version > 1 else set())

    # -- terms -------------------------------------------------------------------------------------------------------

    def infix(self, *, pair: bool = True) -> Term:
        """Parse a term with operators; ``pair`` allows ``key, value in collection``. Raises Refusal."""
        depth = self.depth
        self.enter()
        try:
            left = self._chain(2)
            if pair and self.token.kind == ",":
                left = self._keyed_member(left)
            while self.is_word("in") and not self.is_reference():
                at = self.advance().at
                self.enter()
                left = _call(_MEMBERS[1], (left, self._chain(2)), at)
            return left
        finally:
            self.depth = depth

    def _keyed_member(self, key: Term) -> Term:
        start, depth = self.index, self.depth
        self.advance()
        try:
            value = self._chain(2)
            if self.is_word("in"):
                at = self.advance().at
                return _call(_MEMBERS[2], (key, value, self._chain(2)), at)
        except Refusal as refusal:
            if refusal.code == "G103":
                raise
        self.depth = depth
        self.go(start)
        return key

    def _chain(self, least: int) -> Term:
        depth = self.depth
        left = self.term()
        while (found := _OPERATORS.get(self.token.kind)) and found[0] >= least:
            strength, name = found
            self.advance()
            self.enter()
            inner = self.depth
            left = _call((name,), (left, self._chain(strength + 1)), left.at)
            self.depth = inner
        self.depth = depth
        return left

    def term(self) -> Term:
        """Parse a term without operators around it. Raises Refusal."""
        start = self.index
        known = self._known.get(start)
        if known is not None:
            if isinstance(known, Refusal):
                raise known
            self.go(known[1])
            return known[0]
        depth = self.depth
        self.enter()
        try:
            term = self._finish(self._primary())
        except Refusal as refusal:
            self._known[start] = refusal
            raise
        finally:
            self.depth = depth
        self._known[start] = (term, self.index)
        return term

    def _primary(self) -> Term:
        token = self.token
        kind = token.kind
        if kind == "name":
            return self._named(token)
        if kind == "string":
            self.advance()
            return Scalar(token.text, token.at)
        if kind == "number":
            self.advance()
            return Number(token.text, token.at)
        if kind == "." and self.after().kind == "number" and self.after().glued:
            self.advance()
            return Number(f"0.{self.advance().text}", token.at)
        if kind == "-":
            return self._negative()
        if kind == "[":
            return self._array()
        if kind == "{":
            return self._braces()
        if kind == "template":
            return self._template()
        if kind == "(":
            self.advance()
            term = self.infix()
            self.expect(")")
            return term
        return self.unexpected("expected a term")

    def _named(self, token: Token) -> Term:
        text = token.text
        called = text in _CALLED and self.after().kind == "(" and self.after().glued
        if text in self.words and text != "contains" and not called and not self.is_reference():
            if text not in _CONSTANTS:
                self.unexpected("expected a term")
            self.advance()
            return Scalar(_CONSTANTS[text], token.at)
        self.advance()
        return self.variable(token)

    def variable(self, token: Token) -> Var:
        """Return the variable that the token names; every ``_`` is one of its own."""
        if token.text != "_":
            return Var(token.text, token.at)
        self.wildcards += 1
        return Var(f"${self.wildcards}", token.at)

    def _negative(self) -> Term:
        at = self.advance().at
        token = self.token
        if token.kind == "number":
            self.advance()
            return Number(f"-{token.text}", at)
        if token.kind == "." and self.after().kind == "number":
            self.advance()
            return Number(f"-0.{self.advance().text}", at)
        if token.kind == "name" and (token.text not in self.words or token.text == "contains"):
            self.advance()
            return _call(("minus",), (Number("0", at), self._finish(self.variable(token))), at)
        return self.unexpected("expected a number")

    def _finish(self, head: Term) -> Term:
        """Parse what hangs on a term: ``.x``, ``[x]``, ``(x)``."""
        term = head
        path: list[Term] = []
        while self.token.glued:
            kind = self.token.kind
            if kind in {".", "["}:
                if not path and isinstance(term, Scalar | Number | Template):
                    raise Refusal("G102", "a scalar has no members", term.at)
                path.append(self.step())
                if len(path) > MAX_DEPTH * 4:
                    raise Refusal("G103", "a reference that is too long", term.at)
            elif kind == "(":
                if not isinstance(term, NAMES):
                    break
                self.enter()
                term, path = self._call(_reference(term, path, head.at)), []
            else:
                break
        return _reference(term, path, head.at) if path or _is_root(term) else term

    def step(self) -> Term:
        """Parse ``.name`` or ``[term]``. Raises Refusal."""
        if self.advance().kind == ".":
            token = self.token
            if token.kind != "name" or not token.glued:
                self.unexpected("expected a name")
            self.advance()
            return Scalar(token.text, token.at)
        term = self.infix()
        self.expect("]")
        return term

    def _call(self, operator: Ref) -> Term:
        self.advance()
        args = self._list(")")
        if not args and operator.head == Var("set", operator.head.at) and not operator.path:
            return SetTerm((), operator.at)
        return Call(operator, args, operator.at)

    def arguments(self) -> tuple[Term, ...]:
        """Parse ``(a, b)``. Raises Refusal."""
        self.advance()
        return self._list(")")

    def _list(self, end: str, first: Term | None = None) -> tuple[Term, ...]:
        items = [] if first is None else [first]
        while self.token.kind != end:
            items.append(self.infix(pair=False))
            if self.token.kind != end:
                self.expect(",", f", or {end}")
        self.advance()
        return tuple(items)

    def _array(self) -> Term:
        at = self.advance().at
        if self.token.kind == ",":
            self.advance()
            return ArrayTerm(self._list("]"), at)
        if self.token.kind == "]":
            self.advance()
            return ArrayTerm((), at)
        start = self.index
        head = self.term()
        if self.token.kind == "|":
            body = self._comprehended("]")
            if body is not None:
                return Comprehension("array", (head,), body, at)
        self.go(start)
        return ArrayTerm(self._list("]"), at)

    def _comprehended(self, end: str) -> Body | None:
        """Parse ``| body`` to its end; None where it goes on as a list: then the bar was an operator."""
        self.advance()
        try:
            body = self.body(end)
        except Refusal:
            if self.token.kind != ",":
                raise
            return None
        return body

    def _braces(self) -> Term:
        at = self.advance().at
        if self.token.kind == "}":
            self.advance()
            return ObjectTerm((), at)
        comprehends = self.token.kind != ","
        if not comprehends:
            self.advance()
        start = self.index
        head = self.term()
        if self.token.kind == "|" and comprehends:
            body = self._comprehended("}")
            if body is not None:
                return Comprehension("set", (head,), body, at)
            self.go(start)
            return SetTerm(self._list("}"), at)
        if self.token.kind not in {"}", ",", ":"}:
            self.go(start)
            head = self.infix(pair=False)
        if self.token.kind == ":":
            return self._object(head, at, comprehends=comprehends)
        if self.token.kind == ",":
            self.advance()
            return SetTerm(self._list("}", head), at)
        self.expect("}", ", or : or }")
        return SetTerm((head,), at)

    def _object(self, key: Term, at: At, *, comprehends: bool) -> Term:
        self.advance()
        start = self.index
        value = self.term()
        if comprehends and self.token.kind == "|":
            body = self._comprehended("}")
            if body is not None:
                return Comprehension("object", (key, value), body, at)
        self.go(start)
        pairs = [(key, self.infix(pair=False))]
        while self.token.kind != "}":
            self.expect(",", ", or }")
            if self.token.kind == "}":
                break
            key = self.infix(pair=False)
            self.expect(":")
            pairs.append((key, self.infix(pair=False)))
        self.advance()
        return ObjectTerm(tuple(pairs), at)

    def _template(self) -> Term:
        first = self.token
        if not self.templates:
            raise Refusal("G102", "version 0 has no template strings", first.at, "import rego.v1")
        parts: list[Scalar | Expr] = []
        while True:
            token = self.expect("template")
            if token.text:
                parts.append(Scalar(token.text, token.at))
            if token.last:
                return Template(tuple(parts), first.at, first.raw)
            expr = self.literal()
            if expr.negated or isinstance(expr.what, Bind | Every | Some | SomeIn | Nested):
                raise Refusal("G102", "a template string takes terms only", expr.at)
            self.expect("}")
            parts.append(expr)

    # -- bodies ------------------------------------------------------------------------------------------------------

    def body(self, end: str) -> Body:
        """Parse expressions up to ``end``, over which it steps. Raises Refusal."""
        depth = self.depth
        self.enter()
        if self.token.kind == end:
            raise Refusal("G102", "an empty body", self.token.at)
        body: list[Expr] = []
        while True:
            body.append(self.literal())
            if self.token.kind == ";":
                self.advance()
                if self.token.kind == end:
                    self.unexpected("expected an expression")
            elif self.token.kind == end:
                self.advance()
                self.depth = depth
                return tuple(body)
            elif not self.token.fresh:
                self.unexpected(f"expected a new line, ; or {end}")

    def literal(self) -> Expr:
        """Parse one expression of a body. Raises Refusal."""
        at = self.token.at
        for word, parse in (("some", self._some), ("every", self._every)):
            if self.is_word(word) and not self.is_reference():
                return parse(at)
        if self.negates or self.words & LOGIC_WORDS:
            return connectives.expression(self)
        return self.plain()

    def plain(self) -> Expr:
        """Parse an expression without ``and`` and ``or``, negated or not. Raises Refusal."""
        at = self.token.at
        negated = self.is_word("not") and not self.is_reference()
        if negated:
            self.advance()
            for word in ("some", "every"):
                if self.is_word(word) and not self.is_reference():
                    self.unexpected(f"`{word}` cannot be negated")
        return Expr(self.unnegated(), at, negated, self.withs())

    def unnegated(self) -> Term | Bind:
        """Parse a term, or an equation of two. Raises Refusal."""
        left = self.infix()
        kind = self.token.kind
        if kind in {"=", ":="}:
            self.advance()
            return Bind(left, self.infix(), kind == ":=", left.at)
        if isinstance(left, Call) and not left.operator.path and len(left.args) == 2:
            name = getattr(left.operator.head, "name", "")
            if name in {"eq", "assign"}:
                return Bind(left.args[0], left.args[1], name == "assign", left.at)
        return left

    def withs(self) -> tuple[With, ...]:
        """Parse what ``with`` replaces, if anything. Raises Refusal."""
        withs = []
        while self.is_word("with"):
            at = self.advance().at
            if self.token.kind != "name":
                self.unexpected("expected the name of what is replaced")
            target = self.term()
            if not isinstance(target, NAMES):
                raise Refusal("G102", "`with` replaces input, data or a function", target.at)
            if not self.is_word("as"):
                self.unexpected("expected `as`")
            self.advance()
            withs.append(With(_reference(target, [], target.at), self.infix(), at))
        return tuple(withs)

    def _member(self) -> tuple[tuple[Term, ...], Term] | None:
        """Return what stands before and after ``in``, where a membership stands here."""
        term = self.infix()
        if isinstance(term, Call) and term.operator.path and isinstance(term.operator.path[0], Scalar):
            if term.operator.path[0].value == "member_2":
                return (term.args[0],), term.args[1]
            if term.operator.path[0].value == "member_3":
                return (term.args[0], term.args[1]), term.args[2]
        return None

    def _some(self, at: At) -> Expr:
        self.advance()
        start = self.index
        try:
            member = self._member()
        except Refusal as refusal:
            if refusal.code == "G103":
                raise
            member = None
        if member is not None:
            terms, domain = member
            key = terms[0] if len(terms) == 2 else None
            return Expr(SomeIn(key, terms[-1], domain, at), at, False, self.withs())
        if self.token.kind == "(":
            self.unexpected("expected `x in xs` or `k, v in xs`")
        self.go(start)
        names = [self._declared()]
        while self.token.kind == ",":
            self.advance()
            names.append(self._declared())
        return Expr(Some(tuple(names), at), at)

    def _declared(self) -> Var:
        token = self.token
        if token.kind != "name" or token.text in self.words:
            self.unexpected("expected a variable")
        self.advance()
        if self.token.glued and self.token.kind in {"(", "[", "."}:
            self.unexpected("expected `x in xs` or variables")
        return self.variable(token)

    def _every(self, at: At) -> Expr:
        self.advance()
        member = self._member()
        if member is None or not all(isinstance(term, Var) for term in member[0]):
            raise Refusal("G102", "expected `every x in xs { ... }` or `every k, v in xs { ... }`", at)
        names, domain = member
        self.expect("{")
        body = self.body("}")
        key = names[0] if len(names) == 2 and isinstance(names[0], Var) else None
        value = names[-1]
        assert isinstance(value, Var)
        return Expr(Every(key, value, domain, body, at), at, False, self.withs())


def _is_root(term: Term) -> bool:
    return isinstance(term, Var) and term.name in {"input", "data"}


def _reference(head: Term, path: list[Term], at: At) -> Ref:
    """Join steps to a term; those of a reference are continued."""
    if isinstance(head, Ref):
        return Ref(head.head, (*head.path, *path), at)
    return Ref(head, tuple(path), at)


def _call(name: tuple[str, ...], args: tuple[Term, ...], at: At) -> Call:
    return Call(Ref(Var(name[0], at), tuple(Scalar(part, at) for part in name[1:]), at), args, at)
