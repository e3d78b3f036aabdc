r"""Shell patterns: ``glob.match`` in linear time, and whether two simple expressions share a text.

A pattern is ``*`` (any characters but delimiters), ``**`` (any characters), ``?`` (one, no delimiter), ``[abc]``,
``[a-z]``, ``[!...]``, ``{a,b*}`` and ``\`` before a character that is meant as it is. Source: github.com/gobwas/glob.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, array, contextual, text, wrong_operand, wrong_type
from authorizer.policy.plan.builtins.rendering import MAX_DEPTH
from authorizer.policy.plan.context import BudgetError, Context
from authorizer.policy.plan.values import BuiltinError, Value

_CACHED: Final = 256
_MAX_STATES: Final = 2000
_MAX_STEPS: Final = 20_000
_MAX_REACHED: Final = 50_000
"""Nodes in all remembered steps of a pattern: a caller chooses the text, and with it the steps."""
_SPECIAL: Final = {ord(each): f"\\{each}" for each in "*?\\[]{}"}

_Test = Callable[[str], bool]
# A node of the automaton: nodes that follow without a character, and what a character must be to go to the next node.
_Node = tuple[list[int], _Test | None]


class _Reader:
    """A pattern that is read into the nodes of an automaton; node n goes by a character to node n + 1."""

    def __init__(self, pattern: str, delimiters: str) -> None:
        self.pattern = pattern
        self.delimiters = delimiters
        self.position = 0
        self.nodes: list[_Node] = []

    def next(self) -> str:
        """Return the next character and go on; empty at the end."""
        found = self.pattern[self.position : self.position + 1]
        self.position += 1
        return found

    def add(self, test: _Test | None = None) -> int:
        """Add a node and return its number."""
        if len(self.nodes) >= _MAX_STATES:
            raise BudgetError
        self.nodes.append(([], test))
        return len(self.nodes) - 1

    def free(self, character: str) -> bool:
        """Tell whether ``*`` and ``?`` take a character."""
        return character not in self.delimiters

    def sequence(self, depth: int) -> str:
        """Read up to the end or, within braces, a ``,`` or ``}``; return which."""
        if depth > MAX_DEPTH:
            raise BudgetError
        while character := self.next():
            match character:
                case "{":
                    self.alternatives(depth)
                case "," | "}" if depth:
                    return character
                case "[":
                    self.add(self.character_class())
                case "?":
                    self.add(self.free)
                case "*":
                    wide = self.pattern[self.position : self.position + 1] == "*"
                    self.position += wide
                    self.star((lambda _character: True) if wide else self.free)
                case _:
                    self.add(self.literal(character).__eq__)
        return ""

    def literal(self, character: str) -> str:
        """Return the character that is meant: the next one behind a backslash."""
        if character != "\\":
            return character
        meant = self.next()
        if not meant:
            raise BuiltinError("glob: trailing backslash")
        return meant

    def star(self, test: _Test) -> None:
        """Add a loop over characters that can be left at once."""
        begin = self.add()
        self.add(test)
        back = self.add()
        leave = self.add()
        self.nodes[begin][0].extend((begin + 1, leave))
        self.nodes[back][0].append(begin)
        self.nodes[leave][0].append(leave + 1)

    def alternatives(self, depth: int) -> None:
        """Add what stands between braces."""
        fork = self.add()
        ends: list[int] = []
        mark = ","
        while mark == ",":
            self.nodes[fork][0].append(len(self.nodes))
            mark = self.sequence(depth + 1)
            ends.append(self.add())
        if mark != "}":
            raise BuiltinError("glob: unclosed `{`")
        for end in ends:
            self.nodes[end][0].append(len(self.nodes))

    def character_class(self) -> _Test:
        """Read what stands between brackets."""
        character = self.next()
        negated = character == "!"
        if negated:
            character = self.next()
        if self.pattern[self.position : self.position + 1] == "-":
            self.position += 1
            low, high = character, self.next()
            if not high or high < low or self.next() != "]":
                raise BuiltinError("glob: malformed range")
            return lambda each: (low <= each <= high) is not negated
        members: set[str] = set()
        while character and character != "]":
            members.add(self.literal(character))
            character = self.next()
        if not character or not members:
            raise BuiltinError("glob: malformed class")
        return lambda each: (each in members) is not negated


class Glob:
    """A pattern as an automaton whose steps are remembered once they were computed."""

    __slots__ = ("_begin", "_end", "_nodes", "_reached", "_steps")

    def __init__(self, pattern: str, delimiters: str) -> None:
        reader = _Reader(pattern, delimiters)
        reader.sequence(0)
        self._end = reader.add()
        self._nodes = reader.nodes
        self._begin = self._closure([0])
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._reached = 0

    def _closure(self, numbers: list[int]) -> frozenset[int]:
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += self._nodes[number][0]
        return frozenset(found)

    def matches(self, context: Context, value: str) -> bool:
        """Tell whether the pattern takes all of ``value``."""
        steps = self._steps
        current = self._begin
        for character in value:
            following = steps.get((current, character))
            if following is None:
                context.budget.charge(8 * len(current) + 8)
                tested = ((number, self._nodes[number][1]) for number in current)
                following = self._closure([number + 1 for number, test in tested if test and test(character)])
                self._reached += len(following)
                if len(steps) >= _MAX_STEPS or self._reached > _MAX_REACHED:
                    steps.clear()
                    self._reached = len(following)
                steps[current, character] = following
            if not following:
                return False
            current = following
        return self._end in current


@lru_cache(maxsize=_CACHED)
def _compiled(pattern: str, delimiters: str) -> Glob:
    return Glob(pattern, delimiters)


def _delimiters(value: Value) -> str:
    """Return the delimiters: none for null, the dot for an empty array."""
    if value is None:
        return ""
    if type(value) is not list:
        raise wrong_type(2, value, "array", "null")
    for each in array(value, 2):
        if type(each) is not str or len(each) != 1:
            raise wrong_operand(2, "must be array of single characters")
    return "".join(value) or "."


def _match(context: Context, pattern: Value, delimiters: Value, value: Value) -> bool:
    shape, between, matched = text(pattern, 1), _delimiters(delimiters), text(value, 3)
    context.budget.charge(20 + len(shape) + 2 * len(matched))
    return _compiled(shape, between).matches(context, matched)


def _quote(context: Context, value: Value) -> str:
    source = text(value, 1)
    context.budget.charge(len(source) >> 2)
    return source.translate(_SPECIAL)


# A token of a simple expression: the characters it takes (None: any), whether it may take none, and more than one.
_Token = tuple[frozenset[str] | None, bool, bool]


def _tokens(context: Context, pattern: str) -> list[_Token]:
    context.budget.charge(20 + 4 * len(pattern))
    found: list[_Token] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        taken: frozenset[str] | None = None
        if character in "]+*":
            raise BuiltinError("the input provided is invalid")
        if character == "[":
            taken, position = _class(context, pattern, position + 1)
        elif character != ".":
            position += character == "\\"
            if position == len(pattern):
                raise BuiltinError("the input provided is invalid")
            taken = frozenset(pattern[position])
        position += 1
        flag = pattern[position : position + 1]
        position += flag in {"+", "*"}
        token = (taken, flag == "*", flag in {"+", "*"})
        if token[2] and found and found[-1][2] and found[-1][0] == taken:  # a*a* is a*, a+a* is a+
            before = found.pop()
            token = (taken, token[1] and before[1], True)
        found.append(token)
    return found


def _class(context: Context, pattern: str, position: int) -> tuple[frozenset[str], int]:
    """Read a class from behind its bracket; return its characters and where its end stands."""
    members: set[str] = set()
    previous = ""
    while position < len(pattern):
        character = pattern[position]
        if character == "]":
            return frozenset(members), position
        if character == "-":
            position += 1
            escaped = pattern[position : position + 1] == "\\"
            position += escaped
            high = pattern[position : position + 1]
            if not previous or not high or high < previous or (not escaped and high in "]-"):
                break
            context.budget.charge(ord(high) - ord(previous))
            members.update(map(chr, range(ord(previous), ord(high) + 1)))
            previous = ""
        else:
            position += character == "\\"
            previous = pattern[position : position + 1]
            members.add(previous)
        position += 1
    raise BuiltinError("the input provided is invalid")


def intersect(context: Context, first: Value, second: Value) -> bool:
    """Tell whether two expressions of characters, ``.``, classes, ``*`` and ``+`` have a text in common, as OPA does.

    OPA lets what is repeated on one side take the tokens of the other one by one, as if none of those were repeated:
    so it finds nothing in common of ``a*`` and ``b*``, or of ``ab*`` and ``a``.
    """
    left, right = _tokens(context, text(first, 1)), _tokens(context, text(second, 2))
    try:
        return _Intersection(context, left, right).plain(0, 0, swapped=False)
    except RecursionError:
        raise BudgetError from None


class _Intersection:
    """Two expressions. Which tails meet is remembered: so there are no more questions than pairs of tails."""

    def __init__(self, context: Context, left: list[_Token], right: list[_Token]) -> None:
        self.context = context
        self.sides = left, right
        self.known: dict[tuple[int, int, bool], bool] = {}

    def plain(self, i: int, j: int, *, swapped: bool) -> bool:
        """Tell whether the tails meet, token by token up to one that is repeated; ``swapped``: of the second first."""
        place = (i, j, swapped)
        if place not in self.known:
            self.known[place] = self._plain(i, j, swapped=swapped)
        return self.known[place]

    def _plain(self, i: int, j: int, *, swapped: bool) -> bool:
        one, other = self.sides[swapped], self.sides[not swapped]
        while i < len(one) and j < len(other):
            self.context.budget.charge(60)
            if one[i][2]:
                return self._repeated(i, j, swapped=swapped)
            if other[j][2]:
                return self._repeated(j, i, swapped=not swapped)
            if not _share(self.context, one[i], other[j]):
                return False
            i, j = i + 1, j + 1
        return i == len(one) and j == len(other)

    def _repeated(self, i: int, j: int, *, swapped: bool) -> bool:
        """Tell whether the tails meet where the token at ``i`` takes as many of the other side as lead there."""
        one, other = self.sides[swapped], self.sides[not swapped]
        token, following = one[i], one[i + 1] if i + 1 < len(one) else None
        if not token[1]:
            if not _share(self.context, token, other[j]):
                return False
            j += not other[j][2]
        for k in range(j, len(other)):
            self.context.budget.charge(120)
            if following and _share(self.context, other[k], following) and self.plain(i + 1, k, swapped=swapped):
                return True
            if not _share(self.context, token, other[k]):
                return False
        return following is None


def _share(context: Context, first: _Token, second: _Token) -> bool:
    if first[0] is None or second[0] is None:
        return True
    context.budget.charge(min(len(first[0]), len(second[0])) >> 4)
    return not first[0].isdisjoint(second[0])


BUILTINS: Final[Mapping[str, Builtin]] = {"glob.match": contextual(_match), "glob.quote_meta": contextual(_quote)}
