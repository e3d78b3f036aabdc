"""Gzipped tar archives of plain files, in memory: read under limits, written so that equal files give equal bytes.

The reader knows the ustar form (POSIX.1-1988 ``tar``; also what Go's ``archive/tar`` and GNU tar write for short names)
and refuses all else: links, devices, sparse files, extended headers. Nothing is ever written to the names it reads.
"""

import re
import zlib
from collections.abc import Iterator, Mapping

from msgspec import Struct

from authorizer.bundle.refusals import refusal, shown

BLOCK = 512
_NAME = re.compile(r"[A-Za-z0-9_.+@=,-]{1,100}(/[A-Za-z0-9_.+@=,-]{1,100}){0,15}")
_OCTAL = re.compile(rb" *([0-7]{1,11})[ \0]*")
_FILE, _DIRECTORY = (b"0", b"\0"), b"5"
_POSIX, _GNU = b"ustar\x0000", b"ustar  \0"
_ZEROS = bytes(BLOCK)


class Limits(Struct, frozen=True, kw_only=True):
    """How much a bundle may hold. Sizes are bytes: as fetched, unpacked in all, and of one file."""

    compressed: int = 32 * 1024 * 1024
    unpacked: int = 128 * 1024 * 1024
    file: int = 64 * 1024 * 1024
    entries: int = 256


DEFAULT_LIMITS = Limits()


def unpack(data: bytes, limits: Limits = DEFAULT_LIMITS, *, rooted: bool = False) -> dict[str, bytes]:
    """Return the files of a ``.tar.gz`` by name; with ``rooted`` all of them begin with a slash, which is left out.

    Raises BundleError (AZ300-AZ306) on anything but one gzip member that holds one complete archive of plain files
    with distinct relative names, within the limits.
    """
    if len(data) > limits.compressed:
        raise refusal("too_large", f"the archive has {len(data)} bytes, more than {limits.compressed}")
    files: dict[str, bytes] = {}
    for count, (name, content) in enumerate(_entries(_gunzip(data, limits), limits, "/" if rooted else ""), start=1):
        if count > limits.entries:
            raise refusal("too_large", f"the archive has more than {limits.entries} entries")
        if content is None:
            continue
        if name in files:
            raise refusal("repeated_entry", f"the archive has {shown(name)} twice")
        files[name] = content
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a ``.tar.gz`` of the files, sorted, with no owner and no time. Raises BundleError on a bad name."""
    parts: list[bytes] = []
    for name in sorted(files):
        _check_name(name)
        if len(name) > 100:
            raise refusal("bad_name", f"the name {shown(name)} is longer than 100 characters")
        content = files[name]
        parts += [_header(name, len(content)), content, bytes(-len(content) % BLOCK)]
    parts.append(_ZEROS * 2)
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    return deflate.compress(b"".join(parts)) + deflate.flush()


def _gunzip(data: bytes, limits: Limits) -> bytes:
    """Unpack one gzip member (RFC 1952), never beyond the limit; its checksum and length are checked by zlib."""
    inflate = zlib.decompressobj(31)
    try:
        text = inflate.decompress(data, limits.unpacked + 1)
    except zlib.error:
        raise refusal("malformed", "the archive is not gzip, or is damaged") from None
    if len(text) > limits.unpacked:
        raise refusal("too_large", f"the archive unpacks to more than {limits.unpacked} bytes")
    if not inflate.eof:
        raise refusal("truncated", "the archive ends too early")
    if inflate.unused_data:
        raise refusal("trailing", "there is data after the end of the archive")
    return text


def _entries(text: bytes, limits: Limits, root: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield (name, content) of each entry; the content of a directory is None."""
    at = 0
    while (header := text[at : at + BLOCK]) != _ZEROS:
        if len(header) < BLOCK:
            raise refusal("truncated", "the archive ends without its end mark")
        name, size, is_file = _read_header(header, root)
        if size > limits.file:
            raise refusal("too_large", f"{shown(name)} has {size} bytes, more than {limits.file}")
        start = at + BLOCK
        at = start + size + -size % BLOCK
        if at > len(text):
            raise refusal("truncated", f"the archive ends within {shown(name)}")
        if any(text[start + size : at]):
            raise refusal("malformed", f"the padding after {shown(name)} is not zero")
        yield name, text[start : start + size] if is_file else None
    if len(text) - at < 2 * BLOCK:
        raise refusal("truncated", "the archive ends without its end mark")
    if text.count(0, at) != len(text) - at:
        raise refusal("trailing", "there is data after the end mark of the archive")


def _read_header(header: bytes, root: str) -> tuple[str, int, bool]:
    """Return name, size and whether the entry is a file. Names begin with ``root``, which is left out."""
    magic = header[257:265]
    if magic not in (_POSIX, _GNU):
        raise refusal("malformed", "an entry's header is not of the ustar form")
    if _octal(header[148:156]) != sum(header[:148]) + sum(header[156:]) + 8 * 0x20:
        raise refusal("malformed", "an entry's header has a wrong checksum")
    name, prefix = _text(header[:100]), _text(header[345:500]) if magic == _POSIX else ""
    if prefix:
        name = f"{prefix}/{name}"
    if not name.startswith(root):
        raise refusal("bad_name", f"the archive has the name {shown(name)}, which does not begin with {root!r}")
    name = name.removeprefix(root)
    kind = header[156:157]
    size = _octal(header[124:136])
    if kind == _DIRECTORY:
        if size:
            raise refusal("bad_entry", f"the directory {shown(name)} has content")
        _check_name(name.removesuffix("/"))
        return name, 0, False
    if kind not in _FILE:
        raise refusal(
            "bad_entry", f"the entry {shown(name)} is not a plain file (type {shown(kind.decode('latin-1'))})"
        )
    if any(header[157:257]):
        raise refusal("bad_entry", f"the file {shown(name)} has a link target")
    _check_name(name)
    return name, size, True


def _octal(field: bytes) -> int:
    digits = _OCTAL.fullmatch(field)
    if digits is None:
        raise refusal("malformed", "a number in an entry's header is malformed")
    return int(digits[1], 8)


def _text(field: bytes) -> str:
    value, _, rest = field.partition(b"\0")
    if any(rest):
        raise refusal("bad_name", "a name in the archive has bytes after its end")
    return value.decode("latin-1")


def _check_name(name: str) -> None:
    """INVARIANT: a name is relative, has no empty, ``.`` or ``..`` segment, and no backslash, colon or control."""
    if not _NAME.fullmatch(name) or any(part in (".", "..") for part in name.split("/")):
        raise refusal("bad_name", f"the archive has the name {shown(name)}")


def _header(name: str, size: int) -> bytes:
    fields = b"".join(
        (
            name.encode().ljust(100, b"\0"),
            b"0000644\x000000000\x000000000\0",
            b"%011o\0" % size,
            b"00000000000\0",
            b" " * 8,
            b"0".ljust(101, b"\0"),
            _POSIX.ljust(255, b"\0"),
        )
    )
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]
