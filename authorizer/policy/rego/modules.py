"""Text to modules: package, imports, rules. A statement that is wrong does not hide what is wrong after it."""

from msgspec.structs import replace

from authorizer.policy.plan.builtins.signatures import SIGNATURES
from authorizer.policy.rego.lexer import tokens_of
from authorizer.policy.rego.parser import LATER_WORDS, LOGIC_WORDS, Parser
from authorizer.policy.rego.problems import MAX_PROBLEMS, Findings, Refusal, stop
from authorizer.policy.rego.syntax import (
    RESERVED,
    At,
    Body,
    Call,
    Comprehension,
    Import,
    Module,
    Ref,
    Rule,
    Scalar,
    SetTerm,
    Template,
    Term,
    Var,
    always,
    is_ground,
    term_text,
)

_FUTURE = {
    "and": {"and"},
    "contains": {"contains"},
    "every": {"every", "in"},
    "if": {"if"},
    "in": {"in"},
    "or": {"or"},
}


def parse(text: str, file: str, version: int = 1) -> Module:
    """Read a module; ``file`` is the name that problems show, ``version`` that of the language, 0, 1 or 2.

    ``import rego.v1`` makes a module of version 0 one of version 1, ``rego.v2`` one of version 2. Raises RegoError with
    all that is wrong.
    """
    lines = tuple(text.split("\n"))
    findings = Findings(file, lines)
    tokens, comments = tokens_of(text, findings)
    stop(findings.problems)
    parser = Parser(tokens, version)
    reader = _Reader(parser, findings, version)
    reader.run()
    stop(findings.problems)
    return Module(
        file,
        reader.package,
        tuple(reader.imports),
        tuple(reader.rules),
        tuple(comments),
        reader.version,
        reader.at,
        lines,
    )


def parse_query(text: str, version: int = 1) -> Body:
    """Read a query: the body of a rule without its name. Raises RegoError."""
    findings = Findings("<query>", tuple(text.split("\n")))
    tokens, _ = tokens_of(text, findings)
    stop(findings.problems)
    parser = Parser(tokens, version)
    try:
        body = parser.body("end")
    except Refusal as refusal:
        findings.take(refusal)
        stop(findings.problems)
        raise
    return body


class _Reader:
    def __init__(self, parser: Parser, findings: Findings, version: int) -> None:
        self.parser = parser
        self.findings = findings
        self.version = version
        self.package: tuple[str, ...] = ()
        self.at: At = (1, 1)
        self.imports: list[Import] = []
        self.rules: list[Rule] = []

    def run(self) -> None:
        parser = self.parser
        if parser.token.kind == "end":
            self.findings.add("G102", "an empty module", (1, 1), "begin with `package name`")
            return
        try:
            self._package()
        except Refusal as refusal:
            self.findings.take(refusal)
            self._skip()
        while parser.token.kind != "end" and len(self.findings.problems) < MAX_PROBLEMS:
            parser.depth = 0
            try:
                self._statement()
            except Refusal as refusal:
                self.findings.take(refusal)
                self._skip()

    def _skip(self) -> None:
        """Go to what looks like the next statement: a name at the beginning of a line."""
        parser = self.parser
        parser.advance()
        while parser.token.kind != "end" and not (
            parser.token.fresh and parser.token.at[1] == 1 and parser.token.kind == "name"
        ):
            parser.advance()

    def _package(self) -> None:
        parser = self.parser
        self.at = parser.token.at
        if not parser.is_word("package"):
            parser.unexpected("expected `package`")
        parser.advance()
        self.package = self._path("a package")

    def _path(self, what: str) -> tuple[str, ...]:
        parser = self.parser
        first = parser.expect("name", f"the name of {what}")
        path = [first.text]
        while parser.token.glued and parser.token.kind in {".", "["}:
            at = parser.token.at
            step = parser.step()
            if not isinstance(step, Scalar) or not isinstance(step.value, str):
                raise Refusal("G102", f"the name of {what} is made of names and strings", at)
            path.append(step.value)
        return tuple(path)

    def _statement(self) -> None:
        parser = self.parser
        reference = parser.is_reference()
        if parser.is_word("import") and not reference:
            self._import()
        elif parser.is_word("package") and not reference:
            raise Refusal("G102", "a second package", parser.token.at)
        else:
            self.rules.extend(self._rules())

    # -- imports -----------------------------------------------------------------------------------------------------

    def _import(self) -> None:
        parser = self.parser
        at = parser.advance().at
        path = self._path("an import")
        alias = ""
        if parser.is_word("as"):
            parser.advance()
            token = parser.expect("name", "a name after `as`")
            if token.text in parser.words | RESERVED or token.text == "_":
                raise Refusal("G105", f"`{token.text}` is no name for an import", token.at)
            alias = token.text
        if path[0] in {"rego", "future"}:
            self._feature(path, alias, at)
            return
        if path[0] not in RESERVED:
            raise Refusal("G105", "an import begins with data, input, rego or future", at)
        if not alias and path[-1] in parser.words:
            raise Refusal("G105", f"`{path[-1]}` is a keyword", at, "name it with `as`")
        self.imports.append(Import(path, alias or path[-1], at))

    def _feature(self, path: tuple[str, ...], alias: str, at: At) -> None:
        parser = self.parser
        if alias:
            raise Refusal("G105", f"`{path[0]}` imports cannot be renamed", at)
        if path in (("rego", "v1"), ("rego", "v2")):
            self.version = max(self.version, int(path[1][1]))
            parser.speak(self.version)
        elif path == ("future", "keywords"):
            parser.words |= LATER_WORDS | LOGIC_WORDS
            parser.negates = True
        elif path == ("future", "keywords", "not"):
            parser.negates = True
        elif path[:2] == ("future", "keywords") and len(path) == 3 and path[2] in _FUTURE:
            parser.words |= _FUTURE[path[2]]
        else:
            keywords = (f"future.keywords.{word}" for word in sorted((*_FUTURE, "not")))
            known = ", ".join(["rego.v1", "rego.v2", "future.keywords", *keywords])
            raise Refusal("G105", f"`{'.'.join(path)}` is not supported", at, f"one of {known}")
        self.imports.append(Import(path, "", at))

    # -- rules -------------------------------------------------------------------------------------------------------

    def _rules(self) -> list[Rule]:
        parser = self.parser
        at = parser.token.at
        default = parser.is_word("default") and not parser.is_reference()
        if default:
            parser.advance()
        rule = self._head(at, default=default)
        if default:
            self._check_default(rule)
            return [rule]
        conditional = parser.is_word("if")
        if conditional:
            parser.advance()
            rule = replace(rule, body=self._conditional_body(), bare=False)
        elif parser.token.kind == "{" and not (rule.key is not None and parser.token.fresh):
            parser.advance()
            rule = replace(rule, body=parser.body("}"), bare=False)
        self._check_form(rule, conditional=conditional)
        if rule.bare:
            return [rule]
        rule = self._elses(rule)
        rules = [rule]
        while parser.token.kind == "{":
            if rule.elses:
                parser.unexpected("expected `else`")
            start = parser.advance().at
            rules.append(replace(rule, body=parser.body("}"), at=start))
        return rules

    def _head(self, at: At, *, default: bool) -> Rule:
        parser = self.parser
        token = parser.token
        if token.kind != "name":
            parser.unexpected("expected a rule")
        if token.text in parser.words and not parser.is_reference():
            raise Refusal("G104", f"`{token.text}` is a keyword: no name for a rule", token.at)
        parser.advance()
        path: list[Term] = [Var(token.text, token.at)]
        while parser.token.glued and parser.token.kind in {".", "["}:
            path.append(parser.step())
            if len(path) > 64:
                raise Refusal("G103", "a rule's name that is too long", token.at)
        args = (parser.arguments() or None) if parser.token.kind == "(" and parser.token.glued else None
        key = value = None
        if parser.is_word("contains"):
            if args is not None:
                parser.unexpected("a function has no elements")
            parser.advance()
            key = parser.infix()
        elif parser.token.kind in {"=", ":="}:
            parser.advance()
            value = parser.infix()
        elif default:
            parser.unexpected("a default rule has a value")
        return self._completed(path, args, key, value, at, default=default)

    def _completed(
        self,
        path: list[Term],
        args: tuple[Term, ...] | None,
        key: Term | None,
        value: Term | None,
        at: At,
        *,
        default: bool,
    ) -> Rule:
        """Return the rule without a body: what its head leaves out is filled in."""
        conditional = self.parser.is_word("if")
        body = always(at)
        if key is None and value is None:
            if len(path) == 2 and args is None and not conditional:  # the old form of `p contains x`
                key = path.pop()
                if self.version:
                    raise Refusal("G104", "`contains` is required for a set of values", at, "p contains x if { ... }")
            else:
                value = Scalar(value=True, at=at)
                lone = not conditional and self.parser.token.kind != "{"
                if lone and args is not None and term_text(Ref(path[0], tuple(path[1:]), at)) in SIGNATURES:
                    raise Refusal("G104", "a call of a builtin function is no rule", at, "p := value, or p if { ... }")
                bare = lone and args is None
                if bare and (self.version or len(path) == 1):
                    raise Refusal("G104", "a rule has a value, a body or both", at, "p := value, or p if { ... }")
        return Rule(tuple(path), args, key, value, body, at, default, bare=True)

    def _conditional_body(self) -> Body:
        """Parse what follows ``if``: one expression, or a body in braces."""
        parser = self.parser
        start, depth = parser.index, parser.depth
        braces = parser.token.kind == "{"
        try:
            expr = parser.literal()
            if not (braces and isinstance(expr.what, SetTerm)):
                return (expr,)
        except Refusal:
            if not braces:
                raise
        parser.depth = depth
        parser.go(start)
        parser.advance()
        return parser.body("}")

    def _check_form(self, rule: Rule, *, conditional: bool) -> None:
        if self.version and not rule.bare and not conditional:
            raise Refusal("G104", "`if` is required before the body of a rule", rule.at)

    def _elses(self, rule: Rule) -> Rule:
        parser = self.parser
        elses: list[Rule] = []
        while parser.is_word("else") and not parser.is_reference():
            if rule.key is not None:
                parser.unexpected("a set of values has no `else`")
            if not all(map(_is_fixed, rule.path[1:])):
                parser.unexpected("a rule with variables in its name has no `else`")
            at = parser.advance().at
            value: Term = Scalar(value=True, at=at)
            valued = parser.token.kind in {"=", ":="}
            if valued:
                parser.advance()
                value = parser.infix()
            body: Body = always(at)
            if parser.is_word("if"):
                parser.advance()
                if parser.token.kind == "{":
                    parser.advance()
                    body = parser.body("}")
                else:
                    body = (parser.literal(),)
            elif parser.token.kind == "{":
                if self.version:
                    raise Refusal("G104", "`if` is required before the body of a rule", at)
                parser.advance()
                body = parser.body("}")
            elif not valued:
                parser.unexpected("`else` has a value, a body or both")
            elses.append(replace(rule, value=value, body=body, at=at))
        return replace(rule, elses=tuple(elses)) if elses else rule

    def _check_default(self, rule: Rule) -> None:
        if rule.value is None:
            raise Refusal("G106", "a default rule has a value", rule.at)
        if not _is_constant(rule.value):
            raise Refusal("G106", "the value of a default rule is a constant", rule.at)
        if rule.args is not None:
            names = [arg.name for arg in rule.args if isinstance(arg, Var)]
            if len(names) != len(rule.args) or len(set(names)) != len(names):
                raise Refusal("G106", "the arguments of a default function are variables, each once", rule.at)


def _is_fixed(term: Term) -> bool:
    return is_ground(term) and not isinstance(term, Ref)


def _is_constant(term: Term) -> bool:
    """Tell whether no reference, variable or call stands outside of comprehensions."""
    if isinstance(term, Var | Ref | Call | Template):
        return False
    if isinstance(term, Comprehension):
        return True
    pairs = [part for pair in getattr(term, "pairs", ()) for part in pair]
    return all(map(_is_constant, (*getattr(term, "items", ()), *pairs)))
