"""GraphQL documents as trees: objects with the members that OPA's ``graphql.parse_*`` functions return.

The members are those of github.com/vektah/gqlparser without positions, null and empty collections. A selection with an
``Alias`` is a field, one with a ``Name`` alone spreads a fragment, any other is an inline fragment.
"""

from collections.abc import Callable
from typing import Any, Final

from authorizer.policy.plan.builtins.graphql_tokens import Token, tokens
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError

Node = dict[str, Any]

_MAX_DEPTH: Final = 64

VARIABLE, INT, FLOAT, STRING, BLOCK, BOOLEAN, NULL, ENUM, LIST, OBJECT = range(10)
"""What a ``Value`` is, in its ``Kind``."""
_LITERALS: Final = {"int": INT, "float": FLOAT, "string": STRING, "block": BLOCK}
_NAMES: Final = {"true": BOOLEAN, "false": BOOLEAN, "null": NULL}
LOCATIONS: Final = frozenset(
    (
        *("QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"),
        *("VARIABLE_DEFINITION", "SCHEMA", "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION"),
        *("INTERFACE", "UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION"),
    )
)
_KINDS: Final = {
    "scalar": "SCALAR",
    "type": "OBJECT",
    "interface": "INTERFACE",
    "union": "UNION",
    "enum": "ENUM",
    "input": "INPUT_OBJECT",
}


def _node(**members: Any) -> Node:
    """Return a node without the members that are None or empty collections."""
    return {name: value for name, value in members.items() if value is not None and value not in ([], {})}


def _comments(token: Token) -> Node | None:
    return {"List": [{"Value": each} for each in token.comments]} if token.comments else None


class _Parser:
    """A document's tokens, and how far they are read."""

    def __init__(self, context: Context, source: str) -> None:
        self.tokens = tokens(context, source)
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.position]

    def advance(self) -> Token:
        """Read the next token; the end is never passed."""
        found = self.token
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return found

    def unexpected(self) -> BuiltinError:
        """Return the error that the next token is out of place."""
        return BuiltinError(f"GraphQL: unexpected {self.token.kind or 'end'}")

    def skip(self, kind: str) -> bool:
        """Read the next token if it is of ``kind``."""
        found = self.token.kind == kind
        if found:
            self.advance()
        return found

    def expect(self, kind: str) -> Token:
        """Read a token that must be of ``kind``."""
        if self.token.kind != kind:
            raise self.unexpected()
        return self.advance()

    def at_word(self, word: str) -> bool:
        """Tell whether the name ``word`` comes next."""
        return self.token.kind == "name" and self.token.text == word

    def word(self, word: str) -> Token:
        """Read the name ``word``."""
        if not self.at_word(word):
            raise self.unexpected()
        return self.advance()

    def name(self) -> str:
        """Read a name."""
        return self.expect("name").text

    def several(self, start: str, end: str, read: Callable[[], Node], *, least: int = 1) -> list[Node]:
        """Read what stands between two marks, if the first one comes next."""
        if not self.skip(start):
            return []
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise BudgetError
        found: list[Node] = []
        while self.token.kind != end:
            found.append(read())
        if len(found) < least:
            raise self.unexpected()
        self.advance()
        self.depth -= 1
        return found

    # What queries and schemas share.

    def value(self, *, constant: bool) -> Node:
        """Read a value; a ``constant`` one has no variable in it."""
        token, comment = self.token, _comments(self.token)
        if token.kind == "[":
            items = self.several("[", "]", lambda: {"Name": "", "Value": self.value(constant=constant)}, least=0)
            return self._value("", LIST, Children=items, Comment=comment)
        if token.kind == "{":
            members = self.several("{", "}", lambda: self.argument(constant=constant), least=0)
            return self._value("", OBJECT, Children=members, Comment=comment)
        if token.kind == "$" and not constant:
            self.advance()
            return self._value(self.name(), VARIABLE)
        if token.kind == "name":
            kind = _NAMES.get(token.text, ENUM)
        elif token.kind in _LITERALS:
            kind = _LITERALS[token.kind]
        else:
            raise self.unexpected()
        return self._value(self.advance().text, kind)

    @staticmethod
    def _value(raw: str, kind: int, **members: Any) -> Node:
        return _node(Raw=raw, Kind=kind, ExpectedTypeHasDefault=False, **members)

    def argument(self, *, constant: bool) -> Node:
        """Read a name and its value: an argument, or a member of an object."""
        comment = _comments(self.token)
        name = self.name()
        self.expect(":")
        return _node(Name=name, Value=self.value(constant=constant), Comment=comment)

    def directives(self, *, constant: bool) -> list[Node]:
        """Read any number of directives."""
        found: list[Node] = []
        while self.skip("@"):
            name = self.name()
            arguments = self.several("(", ")", lambda: self.argument(constant=constant))
            found.append(_node(Name=name, Arguments=arguments, Location=""))
        return found

    def type(self) -> Node:
        """Read a reference to a type."""
        if self.skip("["):
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise BudgetError
            told = {"NamedType": "", "Elem": self.type()}
            self.expect("]")
            self.depth -= 1
        else:
            told = {"NamedType": self.name()}
        return told | {"NonNull": self.skip("!")}

    # Queries.

    def query(self) -> Node:
        """Read an executable document."""
        operations: list[Node] = []
        fragments: list[Node] = []
        while self.token.kind:
            if self.at_word("fragment"):
                fragments.append(self.fragment_definition())
            else:
                operations.append(self.operation())
        return _node(Operations=operations, Fragments=fragments)

    def operation(self) -> Node:
        """Read an operation; without a word it is a query."""
        if self.token.kind == "{":
            return _node(Operation="query", Name="", SelectionSet=self.selections())
        if self.token.kind != "name" or self.token.text not in {"query", "mutation", "subscription"}:
            raise self.unexpected()
        comment = _comments(self.token)
        kind = self.advance().text
        name = self.advance().text if self.token.kind == "name" else ""
        return _node(
            Operation=kind,
            Name=name,
            VariableDefinitions=self.several("(", ")", self.variable),
            Directives=self.directives(constant=False),
            SelectionSet=self.selections(),
            Comment=comment,
        )

    def variable(self) -> Node:
        """Read the definition of a variable."""
        comment = _comments(self.token)
        self.expect("$")
        name = self.name()
        self.expect(":")
        kind = self.type()
        default = self.value(constant=True) if self.skip("=") else None
        directives = self.directives(constant=False)
        return _node(Variable=name, Type=kind, DefaultValue=default, Directives=directives, Comment=comment, Used=False)

    def selections(self) -> list[Node]:
        """Read a selection set, which must be there."""
        if self.token.kind != "{":
            raise self.unexpected()
        return self.several("{", "}", self.selection)

    def selection(self) -> Node:
        """Read a field, the spread of a fragment, or an inline fragment."""
        comment = _comments(self.token)
        if not self.skip("..."):
            alias = self.name()
            name = self.name() if self.skip(":") else alias
            return _node(
                Alias=alias,
                Name=name,
                Arguments=self.several("(", ")", lambda: self.argument(constant=False)),
                Directives=self.directives(constant=False),
                SelectionSet=self.several("{", "}", self.selection),
                Comment=comment,
            )
        if self.token.kind == "name" and self.token.text != "on":
            return _node(Name=self.name(), Directives=self.directives(constant=False), Comment=comment)
        condition = ""
        if self.at_word("on"):
            self.advance()
            condition = self.name()
        directives = self.directives(constant=False)
        return _node(TypeCondition=condition, Directives=directives, SelectionSet=self.selections(), Comment=comment)

    def fragment_definition(self) -> Node:
        """Read the definition of a fragment."""
        comment = _comments(self.word("fragment"))
        if self.at_word("on"):
            raise self.unexpected()
        name = self.name()
        variables = self.several("(", ")", self.variable)
        self.word("on")
        return _node(
            Name=name,
            VariableDefinition=variables,
            TypeCondition=self.name(),
            Directives=self.directives(constant=False),
            SelectionSet=self.selections(),
            Comment=comment,
        )

    # Schemas.

    def schema(self) -> Node:
        """Read a document of type definitions."""
        found: dict[str, list[Node]] = {}
        while self.token.kind:
            before, description = self.description()
            word = self.token.text if self.token.kind == "name" else ""
            described = {"BeforeDescriptionComment": before, "Description": description}
            if word in _KINDS:
                found.setdefault("Definitions", []).append(self.definition(described))
            elif word == "schema":
                found.setdefault("Schema", []).append(self.schema_definition(described))
            elif word == "directive":
                found.setdefault("Directives", []).append(self.directive_definition(described))
            elif word == "extend" and not description:
                self.extension(found)
            else:
                raise self.unexpected()
        return _node(**found, Comment=_comments(self.token))

    def description(self) -> tuple[Node | None, str]:
        """Read a description if there is one; return the comment before it, and its text."""
        if self.token.kind not in {"string", "block"}:
            return None, ""
        comment = _comments(self.token)
        return comment, self.advance().text

    def block(self, read: Callable[[], Node]) -> tuple[list[Node], Node | None]:
        """Read definitions in braces, if there are any; return them and the comment before the closing brace."""
        opened = self.token.kind == "{"
        found = self.several("{", "}", read)
        return found, _comments(self.tokens[self.position - 1]) if opened else None

    def extension(self, found: dict[str, list[Node]]) -> None:
        """Read an extension, which must add something."""
        comment = _comments(self.word("extend"))
        if self.at_word("schema"):
            added = self.schema_definition({"Description": ""})
            found.setdefault("SchemaExtension", []).append(_extended(added, comment))
        else:
            plain = self.at_word("interface")  # an extension of an interface names no further interfaces
            added = self.definition({"Description": ""}, interfaces=not plain)
            found.setdefault("Extensions", []).append(_extended(added, comment))
        if not added.keys() & {"Directives", "OperationTypes", "Interfaces", "Fields", "Types", "EnumValues"}:
            raise self.unexpected()

    def schema_definition(self, described: Node) -> Node:
        """Read which types the operations begin at."""
        comment = _comments(self.word("schema"))
        directives = self.directives(constant=True)
        operations, end = self.block(self.operation_type)
        return _node(
            **described,
            AfterDescriptionComment=comment,
            Directives=directives,
            OperationTypes=operations,
            EndOfDefinitionComment=end,
        )

    def operation_type(self) -> Node:
        """Read the type that an operation begins at."""
        comment = _comments(self.token)
        kind = self.name()
        if kind not in {"query", "mutation", "subscription"}:
            raise BuiltinError("GraphQL: unexpected name")
        self.expect(":")
        return _node(Operation=kind, Type=self.name(), Comment=comment)

    def definition(self, described: Node, *, interfaces: bool = True) -> Node:
        """Read the definition of a type from its keyword on."""
        if self.token.kind != "name" or self.token.text not in _KINDS:
            raise self.unexpected()
        comment = _comments(self.token)
        kind = _KINDS[self.advance().text]
        members: Node = {"Kind": kind, **described, "AfterDescriptionComment": comment, "BuiltIn": False}
        members["Name"] = self.name()
        if kind in {"OBJECT", "INTERFACE"} and interfaces:
            members["Interfaces"] = self.interfaces()
        members["Directives"] = self.directives(constant=True)
        if kind in {"OBJECT", "INTERFACE"}:
            members["Fields"], members["EndOfDefinitionComment"] = self.block(self.field)
        elif kind == "INPUT_OBJECT":
            members["Fields"], members["EndOfDefinitionComment"] = self.block(self.input_value)
        elif kind == "ENUM":
            members["EnumValues"], members["EndOfDefinitionComment"] = self.block(self.enum_value)
        elif kind == "UNION":
            members["Types"] = self.names("|") if self.skip("=") else []
        return _node(**members)

    def names(self, mark: str) -> list[str]:
        """Read names with a mark between them, and perhaps one before."""
        self.skip(mark)
        found = [self.name()]
        while self.skip(mark):
            found.append(self.name())
        return found

    def interfaces(self) -> list[str]:
        """Read what a type implements."""
        if not self.at_word("implements"):
            return []
        self.advance()
        return self.names("&")

    def member(self) -> Node:
        """Read the description of a field, an argument or a value."""
        before, description = self.description()
        comment = _comments(self.token)
        return {
            "BeforeDescriptionComment": before if description else None,
            "Description": description,
            "AfterDescriptionComment": comment,
            "Name": self.name(),
        }

    def field(self) -> Node:
        """Read a field of an object or an interface."""
        members = self.member()
        arguments = self.several("(", ")", self.input_value)
        self.expect(":")
        return _node(**members, Arguments=arguments, Type=self.type(), Directives=self.directives(constant=True))

    def input_value(self) -> Node:
        """Read an argument, or a field of an input object."""
        members = self.member()
        self.expect(":")
        kind = self.type()
        default = self.value(constant=True) if self.skip("=") else None
        return _node(**members, Type=kind, DefaultValue=default, Directives=self.directives(constant=True))

    def enum_value(self) -> Node:
        """Read one value of an enumeration."""
        return _node(**self.member(), Directives=self.directives(constant=True))

    def directive_definition(self, described: Node) -> Node:
        """Read the definition of a directive."""
        comment = _comments(self.word("directive"))
        self.expect("@")
        name = self.name()
        arguments = self.several("(", ")", self.input_value)
        repeatable = self.at_word("repeatable")
        if repeatable:
            self.advance()
        self.word("on")
        locations = self.names("|")
        if not LOCATIONS.issuperset(locations):
            raise BuiltinError("GraphQL: unexpected name of a location")
        return _node(
            **described,
            AfterDescriptionComment=comment,
            Name=name,
            Arguments=arguments,
            Locations=locations,
            IsRepeatable=repeatable,
        )


def _extended(added: Node, comment: Node | None) -> Node:
    """Return an extension with the comment that stands before its first word."""
    rest = {name: each for name, each in added.items() if name != "AfterDescriptionComment"}
    return rest if comment is None else rest | {"AfterDescriptionComment": comment}


def parse_query(context: Context, source: str) -> Node:
    """Return the tree of an executable document. Raises BuiltinError."""
    return _Parser(context, source).query()


def parse_schema(context: Context, source: str) -> Node:
    """Return the tree of a document of type definitions. Raises BuiltinError."""
    return _Parser(context, source).schema()
