"""Parameters of a query that a decision reads: one clear value each, or none, or a refusal.

Frameworks disagree about queries: the first or the last of two equal names wins, ``;`` separates or not, names are
compared in any case, ``a[]``, ``[a]``, ``a.b`` and ``a%00`` become other names. Whatever could be a second opinion
about a parameter that is read makes it ambiguous; parameters that nobody reads may look as they like.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote, unquote_plus

from authorizer.grammar import BAD_ESCAPE, PHP_NAME, UNSAFE_TEXT
from authorizer.model import Reason
from authorizer.reasons import reason

_SEPARATORS = re.compile(r"[&;]")
_BRACKETS = re.compile(r"[\[\]]")
_WIDE = re.compile(r"%u([0-9A-Fa-f]{4})")


def read_query(query: str, names: frozenset[str]) -> dict[str, str] | Reason:
    """Return the values of those of ``names`` that the raw query holds, decoded once (``+`` is a space), or the reason.

    ``query`` has no ``?`` before it. Never raises.
    """
    found = _collect(query.split("&"), names)
    if found is None or (";" in query and _collect(_SEPARATORS.split(query), names) != found):
        return reason("query_ambiguous")
    return found


def _collect(pairs: Iterable[str], names: frozenset[str]) -> dict[str, str] | None:
    near = frozenset(map(_fold, names))
    found: dict[str, str] = {}
    for pair in pairs:
        raw_name, _, raw_value = pair.partition("=")
        name = unquote_plus(raw_name)
        if name in names:
            value = _value(raw_value)
            if name in found or value is None:
                return None
            found[name] = value
        elif not near.isdisjoint(taken_for(raw_name)):
            return None
    return found


def taken_for(raw_name: str) -> tuple[str, str]:
    """Return what frameworks may take the name of a parameter for, in lower case: as a whole, and up to its brackets.

    PHP ends a name at NUL, leaves blanks before it out, and makes ``_`` of ``.``, ``+`` and a space; Rack and qs (of
    Express) leave brackets around it out; ASP.NET knows ``%uXXXX``.
    """
    name = unquote_plus(_WIDE.sub(lambda found: chr(int(found[1], 16)), raw_name))
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
