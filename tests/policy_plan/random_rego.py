"""Random Rego: policies that are mostly well formed, and inputs that mostly reach into them."""

from random import Random

KEYS = ["a", "b", "c"]
SCALARS = ["null", "true", "false", "0", "1", "2", "1.5", "-1", '"a"', '"b"', '"ab"', '""']
DATA = {
    "a": {"a": 1, "b": [1, "a", {"c": 2}], "c": "ab"},
    "b": ["a", "b", 1, None, 1.0],
    "c": {"a": {"a": True}, "b": False},
}
ONE = ["count({})", "is_string({})", "is_number({})", "to_number({})", "sort({})", "sum({})", "max({})", "abs({})",
       "json.marshal({})", "type_name({})", "object.keys({})", "upper({})", "is_null({})", "numbers.range(0, {})",
       "array.reverse({})", "trim_space({})", "floor({})", "min({})"]  # fmt: skip
TWO = ["({} + {})", "({} - {})", "({} * {})", "({} / {})", "({} % {})", "({} & {})", "({} | {})", "concat({}, {})", "split({}, {})",
       "array.concat({}, {})", "object.get({}, {}, 0)", "sprintf({}, [{}])", "union({{{}, {}}})", "object.union({}, {})",
       "indexof({}, {})", "format_int({}, 10 + 0 * {})", "[{}, {}]", "{{{}, {}}}"]  # fmt: skip
TESTS = [
    "{} == {}",
    "{} != {}",
    "{} < {}",
    "{} >= {}",
    "{} in {}",
    "not {} == {}",
    "startswith({}, {})",
    "contains({}, {})",
    "not {} in {}",
]


_HEADS = ["[x, _]", '{"a": x}', "x", "[x, [_, x]]"]
_GUARDS = {
    "function": ["is_array(x)", "is_object(x)", "is_number(x)"],
    "clauses": ["true", "true", "is_number(x)"],
}


class Writer:
    """Writes one module; ``random`` chooses."""

    def __init__(self, random, package):
        self.choose = random.choice
        self.chance = lambda percent: random.randrange(100) < percent
        self.package = package
        self.rules = []
        self.functions = []
        self.names = 0
        self.flat = 0
        self.connects = self.chance(40)

    def variable(self):
        self.names += 1
        return f"v{self.names}"

    def reference(self, scope):
        root = self.choose(["input", "input", "input", "data.base", *scope, *scope, *self.rules])
        for at in range(self.choose([0, 1, 1, 2, 2]) if root not in ("input", "data.base") else self.choose([1, 1, 2])):
            step = (
                self.choose(KEYS)
                if at == 0 and root in ("input", "data.base")
                else self.choose(["a", "b", "c", "a", "b", "[0]", *(f"[{name}]" for name in scope)])
            )
            root += step if step.startswith("[") else f".{step}"
        return root

    def term(self, scope, depth=2):
        kind = self.choose(
            ["scalar", "reference", "reference", "reference", "one", "two", "literal", "comprehension", "call"]
        )
        if depth <= 0 or kind == "scalar":
            return self.choose(SCALARS) if depth > 0 or self.chance(50) else self.reference(scope)
        if kind == "one":
            return self.choose(ONE).format(self.any(scope, depth - 1))
        if kind == "two":
            return self.choose(TWO).format(self.any(scope, depth - 1), self.any(scope, depth - 1))
        if kind == "literal":
            a, b = self.term(scope, depth - 1), self.term(scope, depth - 1)
            return self.choose(
                [
                    f"[{a}, {b}]",
                    f"{{{a}, {b}}}",
                    f'{{"a": {a}, "b": {b}}}',
                    f"[{a}]",
                    f"{{{a}: {b}}}",
                    "[]",
                    "{}",
                    "set()",
                ]
            )
        if kind == "comprehension":
            # OPA finds variables of a rule unsafe in an ``every`` within a comprehension, in some orders.
            self.flat += 1
            inner, body = self.body(scope, depth - 1)
            self.flat -= 1
            a, b = self.term(inner, depth - 1), self.term(inner, depth - 1)
            return self.choose([f"[{a} | {body}]", f"{{{a} | {body}}}", f"{{json.marshal({a}): {b} | {body}}}"])
        if kind == "call" and self.functions:
            return f"{self.choose(self.functions)}({self.term(scope, depth - 1)})"
        return self.reference(scope)

    def step(self, scope):
        """Return what may stand in a rule's name: OPA's plans and its evaluation differ over constants but strings."""
        return self.choose(['"a"', '"k"', self.reference(scope), self.reference(scope)])

    def any(self, scope, depth=1):
        """Return a term of which nothing is known before the evaluation, mostly: OPA checks types."""
        return self.reference(scope) if depth <= 0 or self.chance(85) else self.term(scope, depth)

    def collection(self, scope, depth):
        """Return a term to go through."""
        if self.chance(70):
            return self.reference(scope)
        # OPA goes twice over elements of a set literal that turn out equal: of sets there are those of one.
        a, b = self.term(scope, depth - 1), self.term(scope, depth - 1)
        return self.choose([f"[{a}, {b}]", f"{{{a}}}", f'{{"a": {a}, "c": {b}}}'])

    def literal(self, scope, depth):
        """Return the variables that are known after it, and the literal."""
        kind = self.choose(
            [
                "assign",
                "some",
                "some",
                "pair",
                "test",
                "test",
                "test",
                "truth",
                "not",
                "every",
                "unify",
                "with",
                "mock",
                "iterate",
                *(["either", "both", "none"] if self.connects else []),
            ]
        )
        term = lambda: self.term(scope, depth)  # noqa: E731 - short, and only here
        if kind == "assign":
            name = self.variable()
            return [*scope, name], f"{name} := {term()}"
        if kind == "some":
            name = self.variable()
            return [*scope, name], f'some {name} in {self.collection(scope, depth)}; {name} != "~"'
        if kind == "pair":
            name, value = self.variable(), self.variable()
            return [
                *scope,
                name,
                value,
            ], f'some {name}, {value} in {self.collection(scope, depth)}; [{name}, {value}] != "~"'
        if kind == "iterate":
            name = self.variable()
            return [*scope, name], f"some {name}; {self.reference(scope)}[{name}] == {term()}"
        if kind == "test":
            return scope, self.choose(TESTS).format(self.any(scope, depth), self.any(scope, depth))
        if kind == "not":
            return scope, f"not {self.reference(scope)}"
        if kind == "every" and depth > 0 and not self.flat:
            name = self.variable()
            _, body = self.body([*scope, name], depth - 1)
            return scope, f'every {name} in {self.collection(scope, depth)} {{ {name} != "~"; {body} }}'
        if kind == "unify":
            name = self.variable()
            pattern = self.choose(
                [f"[{name}, _]", f'[_, {name}, "a"]', f'{{"a": {name}}}', f'[{name}, {{"b": {name}}}]']
            )
            return [*scope, name], f"{pattern} = {self.reference(scope)}"
        if kind == "with" and self.rules:
            changed = self.choose(["input", "input.a", "input.b.c", "data.base.a", "data.base.b"])
            # Where a rule is compared with itself, OPA may end before it finds a conflict.
            return scope, f"{self.choose(self.rules)} == {self.choose(SCALARS)} with {changed} as {term()}"
        if kind == "mock" and self.rules and self.functions:
            mocked, by = self.choose(
                [("count", "1"), ("count", "m"), ("is_string", "m"), (self.choose(self.functions), "m")]
            )
            return scope, f"{self.choose(self.rules)} == {self.choose(SCALARS)} with {mocked} as {by}"
        if kind in ("either", "both"):
            word = "or" if kind == "either" else "and"
            return scope, f"{self.operand(scope, depth)} {word} {self.operand(scope, depth)}"
        if kind == "none":
            return scope, f"not {self.operand(scope, depth)}"
        return scope, self.reference(scope)

    def operand(self, scope, depth):
        """Return what may stand beside ``and`` and ``or``, and after ``not``."""
        kind = self.choose(["term", "test", "group", "body"]) if depth > 0 else "term"
        if kind == "test":
            return self.choose(["{} == {}", "{} < {}", "{} in {}"]).format(self.any(scope, 0), self.any(scope, 0))
        if kind == "group":
            word = self.choose(["or", "and"])
            return f"({self.operand(scope, depth - 1)} {word} {self.operand(scope, depth - 1)})"
        if kind == "body":
            return f"{{ {self.body(scope, depth - 1)[1]} }}"
        return self.reference(scope)

    def body(self, scope, depth=2):
        found = []
        for _ in range(self.choose([1, 1, 2, 3])):
            scope, literal = self.literal(scope, depth)
            found.append(literal)
        return scope, "; ".join(found)

    def rule(self, number):
        name = f"r{number}"
        kind = self.choose(
            [
                *("complete", "complete", "boolean", "boolean", "set", "object", "function", "else", "nested"),
                *("clauses", "clauses", "sets", "deep"),
            ]
        )
        lines = []
        if kind == "clauses" and self.chance(30):
            lines.append(f"default {name}(_) := {self.choose(SCALARS)}")
        bodies = self.choose([1, 1, 2, 3])
        if kind in ("complete", "boolean") and self.chance(40):
            lines.append(f"default {name} := {self.choose(SCALARS)}")
        for number_of in range(bodies):
            # Of a function's clauses in conflict OPA tells nothing where the body that called it fails later.
            guard = f"{_GUARDS[kind][number_of % 3]}; " if bodies > 1 and kind in _GUARDS else ""
            scope, body = self.body(["x"] if kind in ("function", "clauses") else [])
            value = self.term(scope)
            if kind == "complete":
                lines.append(f"{name} := {value} if {{ {body} }}")
            elif kind == "boolean":
                lines.append(f"{name} if {{ {body} }}")
            elif kind == "set":
                lines.append(f"{name} contains {value} if {{ {body} }}")
            elif kind == "object":
                lines.append(f"{name}[{self.term(scope, 1)}] := {value} if {{ {body} }}")
            elif kind == "nested":
                lines.append(f"{name}.{self.choose(KEYS)}[{self.term(scope, 1)}] := {value} if {{ {body} }}")
            elif kind == "function":
                lines.append(f"{name}(x) := {value} if {{ {guard}{body} }}")
            elif kind == "clauses":
                head = self.choose(_HEADS) if bodies == 1 else _HEADS[number_of % 3]
                rest = f" else := {self.choose(SCALARS)}" if bodies == 1 and self.chance(50) else ""
                lines.append(f"{name}({head}) := {value} if {{ {guard}{body} }}{rest}")
            elif kind == "sets":
                lines.append(f"{name}[{self.step(scope)}] contains {value} if {{ {body} }}")
            elif kind == "deep":
                lines.append(
                    f"{name}[{self.step(scope)}].{self.choose(KEYS)}[{self.step(scope)}] := {value} if {{ {body} }}"
                )
            else:
                other, second = self.body([])
                lines.append(
                    f"{name} := {value} if {{ {body} }} else := {self.term(other)} if {{ {second} }} else := 7"
                )
        (self.functions if kind in ("function", "clauses") else self.rules).append(name)
        return lines

    def module(self):
        lines = [f"package {self.package}", *(["import rego.v2"] if self.connects else []), "m(_) := input.a"]
        for number in range(self.choose([1, 2, 2, 3])):
            lines += self.rule(number)
        return "\n".join(lines) + "\n"


def module(seed, package="p"):
    """Return a module of a few rules, always the same of one seed."""
    return Writer(Random(seed), package).module()


def inputs(seed, count):
    """Return inputs, always the same of one seed."""
    random = Random(seed)
    return [{key: _json(random, 3) for key in KEYS if random.random() < 0.8} for _ in range(count)]


def _json(random, depth):
    kind = random.randrange(10 if depth else 5)
    if kind < 5:
        return random.choice([None, True, False, 0, 1, 2, 1.5, -1, "a", "b", "ab", ""])
    if kind < 8:
        return {key: _json(random, depth - 1) for key in KEYS if random.random() < 0.6}
    return [_json(random, depth - 1) for _ in range(random.randrange(4))]
