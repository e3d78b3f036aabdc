"""What paths a gateway's route lets through, as far as it can be known, and whether templates answer for them.

A route is held between two patterns: all of its paths are in ``outer``, and a template that meets ``inner`` meets the
route. Where the gateway's own language says more than a pattern can, ``inner`` is None: then nothing is claimed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple
from urllib.parse import unquote

from msgspec import Struct

from authorizer.model import ApiRoute
from authorizer.policy.templates import Segment

Template = tuple[Segment, ...]

MAX_STEPS = 50_000
"""Steps, each a look at one template, after which a proof of cover is given up."""


class Steps:
    """How much may still be compared. What is not compared any more is not claimed."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, steps: int) -> bool:
        """Take steps away, and tell whether there were so many."""
        self.left -= steps
        return self.left >= 0


class Part(NamedTuple):
    """What one segment may be.

    ``literal``: this text. ``begins``: every text that begins so, even the empty one. ``any``: every text but the empty
    one. ``some``: texts that are not empty, of which no more is known than that there are some.
    """

    kind: Literal["literal", "begins", "any", "some"]
    text: str = ""


class Pattern(Struct, frozen=True):
    """Segments that stand first; if ``open``, any number of further segments may follow."""

    parts: tuple[Part, ...]
    open: bool = False


class Bounds(Struct, frozen=True):
    """The two patterns of a route."""

    inner: Pattern | None
    outer: Pattern


_EVERYTHING = Pattern((Part("begins"),), open=True)
_ANY = Part("any")

# Flags of discovery that say that the match was not understood, so that the route may take less than it seems to.
_UNREAD = frozenset({"match_unread", "matcher_unread", "method_unread", "action_unread", "connect"})

_LITERAL_EXPRESSION = re.compile(r"(?:[A-Za-z0-9_~!&'=,:@%-]|\\[.~!$&'()*+,;:@_-])+")
# A class of characters that cannot hold '/': ranges are only those of letters and digits.
_CLASS_EXPRESSION = re.compile(r"(?:\[(?:A-Z|a-z|0-9|A-F|a-f|[A-Za-z0-9_.~]|\\[dw.-])+-?\]|\\[dw])\+")
_SEGMENT_EXPRESSION = "[^/]+"
_SEGMENT_MARK = "\0"
_QUANTIFIERS = ("?", "*", "+", "{")
_PLACEHOLDER = re.compile(r"\*|\{[A-Za-z_][A-Za-z0-9_]*(?:=\*)?\}")
_TAIL_PLACEHOLDER = re.compile(r"\*\*|\{[A-Za-z_][A-Za-z0-9_]*=\*\*\}")


def bounds(route: ApiRoute) -> Bounds:
    """Read a route's path. Regular expressions are taken to match the whole path, as Envoy's do."""
    if route.kind != "any" and route.path and not route.path.startswith(("/", "^/")):
        return Bounds(None, _EVERYTHING)
    match route.kind:
        case "exact":
            read = _sure(_exact(route.path))
        case "segments":
            bare = route.path.removesuffix("/")
            read = _sure(Pattern(_exact(bare).parts, open=True) if bare else _EVERYTHING)
        case "prefix":
            read = _prefix(route.path)
        case "template":
            read = _template(route.path)
        case "regex":
            read = _regex(route.path)
        case "any":
            read = _sure(_EVERYTHING)
    if "case_insensitive" in route.flags:
        read = Bounds(read.inner, Pattern(tuple(map(_any_case, read.outer.parts)), read.outer.open))
    return Bounds(None, read.outer) if _UNREAD.intersection(route.flags) else read


def meets(pattern: Pattern, template: Template) -> bool:
    """Tell whether some path is in the pattern and answered by the template."""
    tail = template[-1].kind == "tail"
    if not (pattern.open if len(template) > len(pattern.parts) else tail or len(template) == len(pattern.parts)):
        return False
    return all(map(_agree, pattern.parts, template[:-1] if tail else template))


def covered(pattern: Pattern, templates: Sequence[Template], steps: Steps) -> bool:
    """Tell whether every path in the pattern is proven to be answered by one of the templates.

    Paths with an empty segment before the last do not count: they are denied whatever the policies are.
    """
    room = max(0, min(MAX_STEPS, steps.left))
    own = Steps(room)
    proven = _rest_covered(pattern, 0, templates, own)
    steps.spend(room - max(0, own.left))
    return proven


def _rest_covered(pattern: Pattern, depth: int, alive: Sequence[Template], steps: Steps) -> bool:
    """Tell whether all that may follow ``depth`` segments is answered by those templates that agreed so far."""
    if not steps.spend(1 + len(alive)):
        return False
    last = depth >= len(pattern.parts)
    if last and not any(len(template) == depth for template in alive):
        return False
    if last and not pattern.open:
        return True
    spelled: dict[str, list[Template]] = {}
    open_: list[Template] = []
    for template in alive:
        if len(template) > depth:
            segment = template[depth]
            if segment.kind == "tail":
                return True
            (spelled.setdefault(unquote(segment.text), []) if segment.kind == "literal" else open_).append(template)
    part = Part("begins") if last else pattern.parts[depth]
    ends = depth + 1 >= len(pattern.parts)
    for text in _texts(part, spelled):
        if text == "":
            if ends and not any(len(template) == depth + 1 for template in spelled.get("", ())):
                return False
            continue
        after = [*spelled.get(text, ()), *open_] if text is not None else open_
        if not after or not _rest_covered(pattern, depth + 1, after, steps):
            return False
    return True


def _texts(part: Part, spelled: Iterable[str]) -> Iterator[str | None]:
    """Yield what a segment may be, each kind of text once; None stands for a text that no template spells out."""
    if part.kind == "literal":
        yield part.text
        return
    yield None
    if part == Part("begins"):
        yield ""
    for text in sorted(spelled):
        if text and (part.kind != "begins" or text.startswith(part.text)):
            yield text


def _agree(part: Part, segment: Segment) -> bool:
    if segment.kind != "literal":
        return part.text != "" or part.kind != "literal"
    text = unquote(segment.text)
    match part.kind:
        case "literal":
            return text == part.text
        case "begins":
            return text.startswith(part.text)
        case "any":
            return text != ""
        case "some":
            return False


def _sure(pattern: Pattern) -> Bounds:
    return Bounds(pattern, pattern)


def _exact(path: str) -> Pattern:
    return Pattern(tuple(Part("literal", unquote(text)) for text in path.removeprefix("/").split("/")))


def _prefix(path: str) -> Bounds:
    """Read a prefix of characters: ``/a/b`` lets ``/a/b``, ``/a/bc`` and ``/a/b/c`` through."""
    *whole, begun = path.removeprefix("/").split("/")
    parts = tuple(Part("literal", unquote(text)) for text in whole)
    if "%" in begun:  # it may end within an escape, or within a character
        return Bounds(None, Pattern((*parts, Part("begins")), open=True))
    return _sure(Pattern((*parts, Part("begins", begun)), open=True))


def _template(path: str) -> Bounds:
    """Read Envoy's URI templates: ``*`` and ``{name}`` take one segment, a last ``**`` takes the rest."""
    parts: list[Part] = []
    pieces = path.removeprefix("/").split("/")
    for number, piece in enumerate(pieces, start=1):
        if _PLACEHOLDER.fullmatch(piece):
            parts.append(_ANY)
        elif number == len(pieces) and _TAIL_PLACEHOLDER.fullmatch(piece):
            return _sure(Pattern((*parts, Part("begins")), open=True))
        elif "*" in piece or "{" in piece or "}" in piece:
            return Bounds(None, Pattern((*parts, Part("begins")), open=True))
        else:
            parts.append(Part("literal", unquote(piece)))
    return _sure(Pattern(tuple(parts)))


def _regex(path: str) -> Bounds:
    """Read an expression piece by piece for as long as the pieces are simple; after that anything may follow."""
    expression = path.removeprefix("^").removesuffix("$")
    if not expression.startswith("/") or "|" in expression or _SEGMENT_MARK in expression:
        return Bounds(None, _EVERYTHING)
    outer: list[Part] = []
    inner: list[Part] = []
    pieces = expression[1:].replace(_SEGMENT_EXPRESSION, _SEGMENT_MARK).split("/")
    for number, piece in enumerate(pieces, start=1):
        last = number == len(pieces)
        if _LITERAL_EXPRESSION.fullmatch(piece) or (last and piece == ""):
            part = Part("literal", unquote(piece.replace("\\", "")))
            outer.append(part)
            inner.append(part)
        elif piece == _SEGMENT_MARK:
            outer.append(_ANY)
            inner.append(_ANY)
        elif _CLASS_EXPRESSION.fullmatch(piece):
            outer.append(_ANY)
            inner.append(Part("some"))
        elif last and piece == ".*":
            rest = Part("begins")
            return Bounds(Pattern((*inner, rest), open=True), Pattern((*outer, rest), open=True))
        else:
            if piece.startswith(_QUANTIFIERS):  # it says how often the '/' before it stands, so even that is unsure
                unsure = outer.pop() if outer else _ANY
                begun = Part("begins", unsure.text)
            else:
                begun = Part("begins")
            return Bounds(None, Pattern((*outer, begun), open=True))
    return Bounds(Pattern(tuple(inner)), Pattern(tuple(outer)))


def _any_case(part: Part) -> Part:
    if part.kind == "begins":
        return Part("begins")
    return part if part.text == "" else _ANY
