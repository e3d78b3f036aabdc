"""Parameters of a query that a decision reads: one clear value each, or none, or a refusal.

Frameworks disagree about queries: the first or the last of two equal names wins, ``;`` separates or not, names are
compared in any case, ``a[]``, ``[a]``, ``a.b`` and ``a%00`` become other names. Whatever could be a second opinion
about a parameter that is read makes it ambiguous; parameters that nobody reads may look as they like.
"""

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote, unquote_plus

from authorizer.grammar import BAD_ESCAPE, PHP_NAME, UNSAFE_TEXT
from authorizer.model import Reason
from authorizer.reasons import reason

_SEPARATORS = re.compile(r"[&;]")
_BRACKETS = re.compile(r"[\[\]]")
_WIDE = re.compile(r"%u([0-9A-Fa-f]{4})")

_BETWEEN = "\x1f"  # stands in no query as it is sent, and in no name that means anything

MAX_PARAMETERS = 1000
"""PHP and qs (of Express) read as many and leave the rest out: a parameter there is one to us and none to them."""

_FEW = 1000  # texts that are decoded one by one


def read_query(query: str, names: frozenset[str]) -> dict[str, str] | Reason:
    """Return the values of those of ``names`` that the raw query holds, decoded once (``+`` is a space), or the reason.

    ``query`` has no ``?`` before it. Never raises.
    """
    found = _collect(query.split("&"), names)
    if found is None or (";" in query and _collect(_SEPARATORS.split(query), names) != found):
        return reason("query_ambiguous")
    return found


def _collect(pairs: list[str], names: frozenset[str]) -> dict[str, str] | None:
    near = frozenset(map(_fold, names))
    found: dict[str, str] = {}
    if len(pairs) > MAX_PARAMETERS:
        return None
    raw_names = [pair.partition("=")[0] for pair in pairs]
    plain, wide = _decoded(raw_names), decoded(raw_names)
    if not len(plain) == len(wide) == len(pairs):  # a name has a separator of its own
        return None
    folded = _BETWEEN.join(wide).translate(PHP_NAME).casefold().split(_BETWEEN)
    for pair, name, seen, spelled in zip(pairs, plain, wide, folded, strict=True):
        if name in names:
            value = _value(pair.partition("=")[2])
            if name in found or value is None:
                return None
            found[name] = value
        elif any(one in spelled for one in near) and not near.isdisjoint(taken_for(seen)):
            return None
    return found


def decoded(raw_names: Iterable[str]) -> list[str]:
    """Return the names of parameters decoded, ``%uXXXX`` as ASP.NET does; all at once: 0.1 ms for 4000, against 8.

    One that holds an encoded U+001F comes out as two.
    """
    return _decoded(raw_names, lambda joined: _WIDE.sub(lambda found: chr(int(found[1], 16)), joined))


def _decoded(raw_names: Iterable[str], before: Callable[[str], str] = str) -> list[str]:
    return unquote_plus(before(_BETWEEN.join(raw_names))).split(_BETWEEN)


def decoded_strictly(texts: list[str]) -> list[str]:
    """Return names or values decoded once (``+`` is a space), all at once, though each comes out as if alone.

    Raises UnicodeError for what is not UTF-8, and for more than 1000 texts of which one holds an encoded U+001F.
    """
    if not texts:
        return []
    found = unquote_plus(_BETWEEN.join(texts), errors="strict").split(_BETWEEN)
    if len(found) == len(texts):
        return found
    if len(texts) > _FEW:
        raise UnicodeError("too many texts to decode one by one")
    return [unquote_plus(text, errors="strict") for text in texts]


def taken_for(name: str) -> tuple[str, str]:
    """Return what frameworks may take a decoded name for, in lower case: as a whole, and up to its brackets.

    PHP ends a name at NUL, leaves blanks before it out, and makes ``_`` of ``.``, ``+`` and a space; Rack and qs (of
    Express) leave brackets around it out.
    """
    name = name.partition("\0")[0].lstrip("?[] \t")
    return _fold(name), _fold(_BRACKETS.split(name, maxsplit=1)[0])


def _fold(name: str) -> str:
    return name.strip("? \t").translate(PHP_NAME).casefold()


def _value(raw: str) -> str | None:
    if BAD_ESCAPE.search(raw):
        return None
    try:
        value = unquote(raw.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        return None
    return None if UNSAFE_TEXT.search(value) else value
