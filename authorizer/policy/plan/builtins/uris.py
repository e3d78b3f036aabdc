"""URIs taken apart as Go's ``net/url`` does it."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from authorizer.policy.plan.builtins.calling import Builtin, as_bytes, as_text, contextual, spend, text
from authorizer.policy.plan.builtins.encoding import unescape
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Value

_READING: Final = 150
PATH_SAFE: Final = "$&+,/:;=@-_.~"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:\[\]<>\"\x80-\U0010ffff]|%[89A-Fa-f][0-9A-Fa-f]|%25)*")
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
_ZONE = re.compile(r"%25[^%\]]+")


class Uri(Struct, frozen=True):
    """The parts of a URI, each empty if it is not there; ``raw_path`` empty if it is the usual spelling of ``path``."""

    scheme: str = ""
    opaque: str = ""
    user: str | None = None
    host: str = ""
    path: str = ""
    raw_path: str = ""
    omit_host: bool = False
    force_query: bool = False
    raw_query: str = ""
    fragment: str = ""
    raw_fragment: str = ""

    def hostname(self) -> str:
        """Return the host without its port and brackets."""
        if self.host.startswith("["):
            return self.host[1 : self.host.rfind("]")]
        return self.host.partition(":")[0]

    def port(self) -> str:
        """Return the port, empty if there is none."""
        return self.host[self.host.rfind("]") + 1 :].partition(":")[2]


def _decoded(part: str) -> str:
    return as_text(unescape(as_bytes(part), plus=False))


def _spelled(part: str, safe: str) -> tuple[str, str]:
    """Return a decoded part, and its own spelling unless that is the usual one."""
    decoded = _decoded(part)
    return decoded, "" if quote(as_bytes(decoded), safe=safe) == part else part


def _authority(source: str) -> tuple[str | None, str]:
    """Return user information and host. Raises BuiltinError."""
    user, at, host = source.rpartition("@")
    if at:
        if not _USER.fullmatch(user):
            raise BuiltinError("invalid userinfo")
        _decoded(user)
    if host.startswith("["):
        end = host.rfind("]")
        port = host[end + 1 :]
        plain = _ZONE.sub("", host[:end])
        if end < 0 or not _PORT.fullmatch(port) or not _HOST.fullmatch(plain):
            raise BuiltinError("invalid host")
        return (user if at else None), _decoded(host)
    name, colon, port = host.partition(":")
    if not _PORT.fullmatch(colon + port) or not _HOST.fullmatch(name):
        raise BuiltinError("invalid host")
    return (user if at else None), _decoded(host)


def parse_uri(source: str) -> Uri:
    """Return the parts of a URI reference. Raises BuiltinError."""
    if any(character < " " or character == "\x7f" for character in source):
        raise BuiltinError("invalid control character in URL")
    rest, hash_mark, fragment = source.partition("#")
    fragment, raw_fragment = _spelled(fragment, PATH_SAFE + "?!()*'") if hash_mark else ("", "")
    if rest == "*":
        return Uri(path="*", fragment=fragment, raw_fragment=raw_fragment)
    found = _SCHEME.match(rest)
    if found is None and rest.startswith(":"):
        raise BuiltinError("missing protocol scheme")
    scheme = found[1].lower() if found else ""
    rest = rest[found.end() :] if found else rest
    force_query = rest.endswith("?") and rest.count("?") == 1
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Uri(scheme, rest, None, "", "", "", False, force_query, query, fragment, raw_fragment)
        if ":" in rest.partition("/")[0]:
            raise BuiltinError("first path segment in URL cannot contain colon")
    user, host = None, ""
    slashes = rest.startswith("//") and (bool(scheme) or not rest.startswith("///"))
    if slashes:
        authority, slash, path = rest[2:].partition("/")
        user, host = _authority(authority)
        rest = slash + path
    path, raw_path = _spelled(rest, PATH_SAFE)
    omit_host = bool(scheme) and not slashes and rest.startswith("/")
    return Uri(scheme, "", user, host, path, raw_path, omit_host, force_query, query, fragment, raw_fragment)


def _parse(context: Context, value: Value) -> dict[str, Value]:
    source = text(value, 1)
    context.budget.charge(_READING)
    spend(context, 16 * len(source))
    uri = parse_uri(source)
    told = {
        "scheme": uri.scheme,
        "hostname": uri.hostname(),
        "port": uri.port(),
        "path": uri.path,
        "raw_path": uri.raw_path or uri.path,
        "raw_query": uri.raw_query,
        "fragment": uri.fragment,
    }
    return {name: part for name, part in told.items() if part}


def _is_valid(context: Context, value: Value) -> bool:
    if type(value) is not str or not value:
        return False
    context.budget.charge(_READING)
    spend(context, 16 * len(value))
    try:
        parse_uri(value)
    except BuiltinError:
        return False
    return True


BUILTINS: Final[Mapping[str, Builtin]] = {"uri.is_valid": contextual(_is_valid), "uri.parse": contextual(_parse)}
