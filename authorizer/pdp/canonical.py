"""The request as everyone reads it, or the reason why two readers could disagree about it.

Nothing is repaired: a gateway, we and the API behind must see one and the same path, host and method, and only a
request that leaves no choice to its reader is decided. A clean request costs one look at each byte; only what is not
clean takes the slow road, to find the exact reason. Sources: RFC 3986 (paths, hosts), RFC 9110 and 9112 (targets,
fields).
"""

import re
from functools import lru_cache
from itertools import chain, product

from msgspec import Struct

from authorizer.grammar import METHOD, TOKEN_CHARACTERS
from authorizer.model import Headers, Reason, Request
from authorizer.pdp.query import decoded, taken_for
from authorizer.pdp.readings import Unreadable, read_path
from authorizer.policy.templates import TemplateError, ipv6_literal
from authorizer.reasons import ACCEPTABLE, reason

MAX_TARGET = 8192
"""Characters of a request target. RFC 9112 (section 3) asks for 8,000 at least."""
MAX_HOST = 255
"""Characters of a host with its port. A DNS name has 253 at most (RFC 1035, section 2.3.4)."""
MAX_HEADERS = 256
"""Header lines. Envoy's default is 100."""
MAX_HEADER_CHARACTERS = 64 * 1024
"""Characters of all header names and values. Envoy's default is 60 KiB."""
MAX_OPTIONS = 256
"""Members of all Connection and Upgrade lines."""
MAX_CREDENTIAL = 16 * 1024
"""Characters of an Authorization value."""

SOFT_REASONS: dict[str, Reason] = {word: reason(code) for word, code in ACCEPTABLE.items()}
"""What an application may declare that it accepts -> the denial if it does not."""

_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
# As ``taken_for`` tells them.
_OVERRIDE_PARAMETERS = _OVERRIDES | {"_method"}
_MOST_NEAR = 64  # parameters whose names hold "method": more are taken for an override unread
# CGI-like readers take '_' and '-' in a header's name for the same character.
OVERRIDE_HEADERS = frozenset(
    "".join(spelling)
    for name in _OVERRIDES
    for spelling in product(*(("-", "_") if character == "-" else (character,) for character in name))
)
_LONG_NAMES = 1024  # of all headers together; longer ones are not remembered
_ANSWERED_401 = frozenset({"authorization", "dpop"})  # a repeat is the credential's own refusal
# An API that takes the upgrade (RFC 9113 has dropped it) speaks HTTP/2 through a gateway that sees but a tunnel:
# about the requests in it nobody is asked.
_HTTP2 = frozenset({"h2c", "h2"})
_PSEUDO = frozenset({":method", ":path", ":scheme", ":authority", ":protocol"})

# RFC 3986: pchar without ';' and escapes, which the slow road judges.
_CLEAN_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,=:@/-]*").fullmatch
_USUAL_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HOST = re.compile(r"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?(?::([0-9]{1,5}))?").fullmatch
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?").fullmatch
_BAD_OCTETS = re.compile(r"[^!-~]").search
_NAME_OCTETS = f"{TOKEN_CHARACTERS.lower()}:".encode()


class Canonical(Struct, frozen=True):
    """A request that can be read in one way only.

    ``method`` is as sent (compared exactly); ``host`` lower-case, without port and trailing dot; ``path`` and ``query``
    raw; ``segments`` the raw path between its slashes, the last one empty after a trailing slash. ``softs`` names the
    doubtful things (keys of SOFT_REASONS) that only an application that declares them may be asked. ``readings`` are
    the decoded segments as others might read them; empty when the path holds no escape and no ``;``.
    """

    method: str
    host: str
    path: str
    segments: tuple[str, ...]
    query: str = ""
    softs: frozenset[str] = frozenset()
    readings: tuple[tuple[str, ...], ...] = ()


_NONE: frozenset[str] = frozenset()
_OVERRIDDEN = frozenset({"method_override"})


def refuse(softs: frozenset[str], accepts: frozenset[str] = _NONE) -> Reason | None:
    """Return the denial for the first of ``softs`` that ``accepts`` does not hold, or None when all are accepted."""
    return next((why for word, why in SOFT_REASONS.items() if word in softs and word not in accepts), None)


def read(request: Request) -> Canonical | Reason:
    """Read method, host, path and query, or tell why they are not clear. Never raises."""
    method = request.method
    if method not in _USUAL_METHODS and not METHOD.fullmatch(method):
        return reason("method_malformed" if method else "method_missing")
    target = request.target
    if len(target) > MAX_TARGET:
        return reason("path_too_long")
    path, mark, query = target.partition("?")
    softs = _NONE
    readings: tuple[tuple[str, ...], ...] = ()
    if mark and (code := _bad_query(query)):
        return reason(code)
    if not _CLEAN_PATH(path) or "//" in path or "/." in path:
        judged = _judge(path)
        if isinstance(judged, Reason):
            return judged
        softs, readings = judged
    host = read_host(request.host)
    if isinstance(host, Reason):
        return host
    if not OVERRIDE_HEADERS.isdisjoint(request.headers) or (query and _overrides(query)):
        softs |= _OVERRIDDEN
    return Canonical(method, host, path, tuple(path[1:].split("/")), query, softs, readings)


def read_host(text: str) -> str | Reason:
    """Return the host that routes are found by: lower-case, without one trailing dot and the port; or the reason."""
    return _remembered_host(text) if len(text) <= MAX_HOST else _read_address(text)


@lru_cache(maxsize=1024)
def _remembered_host(text: str) -> str | Reason:
    name: str
    port: str | None
    found = _HOST(text)
    if found is None:
        return _read_address(text)
    name, port = found.groups()
    if port is not None and int(port) > 65535:
        return reason("host_malformed")
    return name.lower()


def _read_address(text: str) -> str | Reason:
    if not text:
        return reason("host_missing")
    if "," in text:
        return reason("host_ambiguous")
    found = _ADDRESS(text)
    if found is None or int(found[2] or 0) > 65535:
        return reason("host_malformed")
    try:
        return ipv6_literal(found[1])
    except TemplateError:
        return reason("host_malformed")


def _judge(path: str) -> tuple[frozenset[str], tuple[tuple[str, ...], ...]] | Reason:
    """Judge a path that is not plainly clean: the reason to refuse it, or what is doubtful and its other readings."""
    if not path:
        return reason("path_missing")
    if "#" in path:
        return reason("path_fragment")
    if not path.startswith("/"):
        return reason("path_not_absolute")
    if _BAD_OCTETS(path):
        return reason("path_control_character")
    judged = read_path(path)
    return reason(judged.code) if isinstance(judged, Unreadable) else judged


def _bad_query(query: str) -> str:
    if "#" in query:
        return "path_fragment"
    return "path_control_character" if _BAD_OCTETS(query) else ""


def _overrides(query: str) -> bool:
    """Tell whether a parameter would change the method in a framework that looks for one.

    Both ``&`` and ``;`` are separators to some.
    """
    if "%" not in query and "method" not in query.lower():
        return False
    names = decoded(pair.partition("=")[0] for pair in query.replace(";", "&").split("&"))
    if "method" not in "".join(names).casefold():
        return False  # most, also of what is made to take long
    near = [part for name in names if "method" in name.casefold() for part in name.split("&")]
    return len(near) > _MOST_NEAR or any(not _OVERRIDE_PARAMETERS.isdisjoint(taken_for(name)) for name in near)


def check_headers(request: Request, managed: frozenset[str]) -> Reason | None:
    """Refuse header sets that two readers could take for different ones; None when there is nothing to refuse.

    ``managed`` are the lower-case names of the headers that the authorizer sets or trusts. That a client sends one is
    no reason to refuse: they are overwritten or removed on the way. Never raises.
    """
    headers = request.headers
    values = list(chain.from_iterable(headers.values()))
    names, content = "".join(headers), "".join(values)
    if (
        len(headers) == len(values) <= MAX_HEADERS
        and all(headers.values())
        and len(names) <= _LONG_NAMES
        and len(content) <= MAX_HEADER_CHARACTERS - _LONG_NAMES
        and _plain_names(names)
        and "" not in headers
        and "\n" not in content
        and "\r" not in content
        and "\0" not in content
        and "upgrade" not in headers
    ):
        return None
    return _check_headers(headers, values, managed)


@lru_cache(maxsize=1024)
def _plain_names(names: str) -> bool:
    """Tell whether names, one after the other, leave nothing to ask. A client sends the same ones each time."""
    if not names.isascii() or "_" in names or ":" in names or "connection" in names:
        return False
    return not names.encode().translate(None, _NAME_OCTETS)


def _check_headers(headers: Headers, values: list[str], managed: frozenset[str]) -> Reason | None:
    """Look for the exact reason. ``values`` are those of all headers."""
    count = len(headers)
    if count > MAX_HEADERS or len(values) > MAX_HEADERS:
        return reason("header_limit")
    names = "".join(headers)
    content = "".join(values)
    if len(names) + len(content) > MAX_HEADER_CHARACTERS:
        # Where the credential alone is too large, that is what is wrong with the request: 401, as for any bad token.
        credential = sum(map(len, headers.get("authorization", ())))
        return reason("token_too_large" if credential > MAX_CREDENTIAL else "header_limit")
    if (
        "\n" in content
        or "\r" in content
        or "\0" in content
        or "" in headers
        or not all(headers.values())
        or not names.isascii()
        or names.encode().translate(None, _NAME_OCTETS)
    ):
        return reason("header_malformed")
    if ":" in names and any(":" in name and name not in _PSEUDO for name in headers):
        return reason("header_malformed")
    if len(values) != count and (code := _repeated(headers)):
        return reason(code)
    listed = (line for name in ("connection", "upgrade") for line in headers.get(name, ()))
    if sum(line.count(",") for line in listed) >= MAX_OPTIONS:
        return reason("header_limit")
    if any(option.strip(" \t").lower() in _HTTP2 for line in headers.get("upgrade", ()) for option in line.split(",")):
        return reason("header_upgrade")
    if "_" in names or len(values) != count or "connection" in headers:
        code = clash(headers, managed)
        return reason(code) if code else None
    return None


def _repeated(headers: Headers) -> str:
    if any(len(headers.get(name, ())) > 1 for name in ("host", ":authority")):
        return "host_ambiguous"
    return "header_malformed" if any(len(headers.get(name, ())) > 1 for name in _PSEUDO) else ""


def clash(headers: Headers, names: frozenset[str]) -> str:
    """Return the code of what makes one of the headers in ``names`` unclear, or nothing.

    It is sent twice; it is also sent in another spelling (CGI-like readers take ``_`` and ``-`` for one character); or
    the Connection header names it or the credential, so that the next proxy drops it (RFC 9110, section 7.6.1).
    """
    twins = {name.replace("_", "-") for name in names}
    for name, values in headers.items():
        if "_" in name and name not in names and name.replace("_", "-") in twins:
            return "header_underscore"
        if len(values) > 1 and name in names and name not in _ANSWERED_401:
            return "header_repeated"
    for value in headers.get("connection", ()):
        for option in value.split(","):
            dropped = option.strip(" \t").lower().replace("_", "-")
            if dropped == "authorization" or dropped in twins:
                return "header_hop_by_hop"
    return ""
