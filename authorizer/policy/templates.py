"""Route templates: ``/orders/{id}/lines``, ``/files/{rest=**}``, and the host patterns they hang under.

A template is compared with the raw segments of a canonical path, so a literal is written exactly as it travels. What a
canonical path may never hold (dot segments, ``;``, encoded slashes, needless escapes) can stand in no template either:
such a route could only ever be dead.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Literal, NamedTuple
from urllib.parse import unquote

from authorizer.grammar import METHOD, NEEDLESS_ESCAPE

MAX_SEGMENTS = 64
MAX_LENGTH = 2048
_MAX_HOST = 253

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})+", re.ASCII)
# Escapes of control characters and of the delimiters / \ ; ? # %.
_FORBIDDEN = re.compile(r"%(?:[01][0-9a-f]|7f|2[35f]|3[bf]|5c)", re.IGNORECASE)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_ADDRESS_HOST = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)


class TemplateError(ValueError):
    """A route's method, template or host pattern is not well-formed; the message says what and how to cure it."""


class Segment(NamedTuple):
    """One part of a template: ``text`` is the literal as it travels, or the name of the parameter or of the tail."""

    kind: Literal["literal", "parameter", "tail"]
    text: str


def parse_template(text: str) -> tuple[Segment, ...]:
    """Split a template into its segments.

    ``{name}`` takes one segment that is not empty. ``{name=**}`` stands last and takes all that is left, at least one
    segment, which may be the empty one after a trailing slash. A trailing slash is a segment of its own: ``/a/`` is
    not ``/a``. Raises TemplateError.
    """
    if not text.startswith("/"):
        raise TemplateError(f"a route template starts with '/', not {text[:1]!r}")
    if len(text) > MAX_LENGTH:
        raise TemplateError(f"a route template has at most {MAX_LENGTH} characters")
    parts = text[1:].split("/")
    if len(parts) > MAX_SEGMENTS:
        raise TemplateError(f"a route template has at most {MAX_SEGMENTS} segments")
    segments = tuple(_segment(part, last=number == len(parts)) for number, part in enumerate(parts, start=1))
    names = parameters(segments)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise TemplateError(f"the parameter {repeated!r} stands in the template twice")
    return segments


def _segment(part: str, *, last: bool) -> Segment:
    if not part:
        if last:
            return Segment("literal", "")
        raise TemplateError("a template has no empty segment: '//' is never matched")
    if "{" in part or "}" in part:
        return _parameter(part, last=last)
    if part in {".", ".."}:
        raise TemplateError(f"the segment {part!r} is never matched: paths with dot segments are refused")
    if ";" in part:
        raise TemplateError("';' cannot stand in a template: write the segment without its parameters")
    if not _PLAIN.fullmatch(part):
        raise TemplateError(f"the segment {part!r} has a character that a path may not hold; write it percent-encoded")
    if found := _FORBIDDEN.search(part):
        raise TemplateError(f"the escape {found[0]!r} cannot stand in a template")
    if found := NEEDLESS_ESCAPE.search(part):
        raise TemplateError(f"the escape {found[0]!r} is needless; write {unquote(found[0])!r}")
    try:
        unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise TemplateError(f"the escapes of {part!r} are not UTF-8") from None
    return Segment("literal", part)


def _parameter(part: str, *, last: bool) -> Segment:
    if not (part.startswith("{") and part.endswith("}")):
        raise TemplateError(f"a parameter fills its whole segment: {part!r} mixes it with text")
    name, tail, pattern = part[1:-1].partition("=")
    if not _NAME.fullmatch(name):
        raise TemplateError(f"{name!r} is not a parameter name: letters, digits and '_' only, no digit first")
    if not tail:
        return Segment("parameter", name)
    if pattern != "**":
        raise TemplateError(f"'{{{name}={pattern}}}' is not known; a greedy tail is written '{{{name}=**}}'")
    if not last:
        raise TemplateError(f"the greedy tail '{part}' must stand last")
    return Segment("tail", name)


def parameters(segments: Iterable[Segment]) -> tuple[str, ...]:
    """Return the names of a template's parameters, in order; the tail's name is the last."""
    return tuple(segment.text for segment in segments if segment.kind != "literal")


def shape(segments: Iterable[Segment]) -> tuple[tuple[str, str], ...]:
    """Return what a template matches, whatever its parameters are called: equal shapes match the same paths.

    Literals that differ in their spelling only (``%C3%A9``, ``%c3%a9``) have one shape, as have ``:`` and ``%3A``.
    """
    return tuple((part.kind, unquote(part.text) if part.kind == "literal" else "") for part in segments)


def parse_host(text: str) -> str:
    """Return a host pattern in the form it is matched in: lower case, without a trailing dot.

    A pattern is a name, an IP address (IPv6 in brackets), ``*.`` and a name (one label or more before it), or ``*``.
    Ports are not part of it; IPv6 addresses take their shortest form. Raises TemplateError.
    """
    host = text.lower().removesuffix(".")
    if not text.isascii() or len(host) > _MAX_HOST:
        raise TemplateError(f"{text[:80]!r} is not a host name of at most {_MAX_HOST} ASCII characters (IDNA form)")
    if host == "*" or _NAME_HOST.fullmatch(host):
        return host
    if host.startswith("[") and host.endswith("]"):
        return ipv6_literal(host)
    if ":" in host:
        raise TemplateError(
            f"{text!r} is not a host: write the name without scheme and port; an IPv6 address stands in brackets"
        )
    raise TemplateError(f"{text!r} is not a host: a name, '*.' and a name, or '*'")


def ipv6_literal(text: str) -> str:
    """Return a bracketed IPv6 address (RFC 3986, 3.2.2) in its shortest form, no zone. Raises TemplateError."""
    if not _ADDRESS_HOST.fullmatch(text):
        raise TemplateError("not a bracketed IPv6 address")
    try:
        return f"[{IPv6Address(text[1:-1]).compressed}]"
    except ValueError:
        raise TemplateError("not a bracketed IPv6 address") from None


def parse_method(text: str) -> str:
    """Return a route's method: an HTTP token, compared exactly, or ``*`` for every method but CONNECT.

    Raises TemplateError.
    """
    if not METHOD.fullmatch(text):
        raise TemplateError(f"{text[:80]!r} is not an HTTP method")
    if text != text.upper():
        raise TemplateError(f"the method {text!r} is compared exactly; write {text.upper()!r}")
    return text


Key = tuple[str, str, tuple[tuple[str, str], ...]]


def keys(hosts: Iterable[str], method: str, template: str) -> tuple[Key, ...]:
    """Return one key a host; two routes that share a key answer for the same requests. Raises TemplateError."""
    kind = shape(parse_template(template))
    name = parse_method(method)
    return tuple((parse_host(host), name, kind) for host in hosts)
