"""All the ways in which others might read a path that holds escapes or ``;``.

Gateways and frameworks decode once or twice, take an encoded slash for a slash, cut ``;`` parameters off, and end the
path at an encoded ``?`` or ``#``. Each such reading must itself be a clean path; where it names something else than the
raw path does, ``routes`` refuses.
"""

import re
from urllib.parse import unquote

from msgspec import Struct

from authorizer.grammar import BAD_ESCAPE, NEEDLESS_ESCAPE, UNSAFE_TEXT

_PATH_OCTETS = re.compile(r"[^/A-Za-z0-9._~!$&'()*+,=:@;%-]").search
_SLASH = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
_SEMICOLON = re.compile(r"%3b", re.IGNORECASE)
_DELIMITER = re.compile(r"%(?:23|3f)", re.IGNORECASE)
# Percent-encoded more than once: an escape whose '%' is itself encoded, any number of times.
_NESTED = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")
_PARAMETERS = re.compile(r"(?:;|%3b)[^/]*", re.IGNORECASE)
_DOTS = frozenset({".", ".."})


MAX_ESCAPES = 3000
"""Escapes of all forms of a path: where it has one, as many as fit into a target."""


class Unreadable(Struct, frozen=True):
    """The path is refused, whoever asks; ``code`` is that of the reason."""

    code: str


def read_path(path: str) -> tuple[frozenset[str], tuple[tuple[str, ...], ...]] | Unreadable:
    """Return what is doubtful in an absolute path of printable ASCII, and its readings; or why it is refused.

    The readings are decoded segments, at most sixteen, the plainly decoded ones first. Never raises.
    """
    if "\\" in path:
        return Unreadable("path_backslash")
    if _PATH_OCTETS(path):
        return Unreadable("path_character")
    if BAD_ESCAPE.search(path):
        return Unreadable("path_malformed_escape")
    raw = path[1:].split("/")
    if not _DOTS.isdisjoint(raw):
        return Unreadable("path_dot_segment")
    if "" in raw[:-1]:
        return Unreadable("path_empty_segment")
    if "%" not in path and ";" not in path:
        return frozenset(), ()
    softs, forms = _forms(path)
    if sum(form.count("%") for form in forms) > MAX_ESCAPES:
        return Unreadable("path_too_long")
    readings: dict[tuple[str, ...], None] = {}
    for form in forms:
        judged = _decode(form)
        if isinstance(judged, Unreadable):
            dots_in_clear = judged.code == "path_encoded_dot_segment" and "%" not in path
            return Unreadable("path_dot_segment") if dots_in_clear else judged
        readings[judged] = None
    if NEEDLESS_ESCAPE.search(path):
        return Unreadable("path_encoded_unreserved")
    return softs, tuple(readings)


def _forms(path: str) -> tuple[frozenset[str], list[str]]:
    """Return the doubtful classes, and the path in each combination of what others might undo before they split it."""
    softs = set()
    forms = [path]
    if _NESTED.search(path):
        softs.add("double_encoding")
        forms.append(_NESTED.sub("%", path))
    if any(_DELIMITER.search(form) for form in forms):
        if _DELIMITER.search(path):
            softs.add("encoded_delimiter")
        forms += [_DELIMITER.split(form, 1)[0] for form in forms]
    if any(_SLASH.search(form) for form in forms):
        if _SLASH.search(path):
            softs.add("encoded_slash")
        forms += [_SLASH.sub("/", form) for form in forms]
    if any(";" in form or _SEMICOLON.search(form) for form in forms):
        if ";" in path or _SEMICOLON.search(path):
            softs.add("path_parameters")
        forms += [_PARAMETERS.sub("", form) for form in forms]
    return frozenset(softs), list(dict.fromkeys(forms))


def _decode(form: str) -> tuple[str, ...] | Unreadable:
    """Decode a form's segments once; each must be UTF-8 without control characters, and no dot or inner empty one."""
    # All at once, for there may be thousands: line breaks stand for the slashes, since a path has none of its own and
    # an encoded one is refused. UTF-8 that is whole so is whole in each segment.
    try:
        text = unquote(form[1:].replace("/", "\n"), errors="strict")
    except UnicodeDecodeError:
        return Unreadable("path_malformed_escape")
    segments = tuple(text.split("\n"))
    if len(segments) != form.count("/") or UNSAFE_TEXT.search("".join(segments)):
        return Unreadable("path_encoded_control")
    if not _DOTS.isdisjoint(segments):
        return Unreadable("path_encoded_dot_segment")
    if "" in segments[:-1]:
        return Unreadable("path_empty_segment")
    return segments
