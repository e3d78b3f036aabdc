"""Gzipped tar archives of plain files, in memory: read under limits, written so that equal files give equal bytes.

The reader knows the ustar form (POSIX.1-1988 ``tar``; also what Go's ``archive/tar`` and GNU tar write for short names)
and refuses all else: links, devices, sparse files, extended headers. Nothing is ever written to the names it reads.
"""

import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping

from msgspec import Struct

from authorizer.bundle.refusals import refusal, shown

BLOCK = 512
_STEP = 16 * 1024
_CHUNK = 64 * 1024
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
    entries: int = 4096


DEFAULT_LIMITS = Limits()


def unpack(data: bytes, limits: Limits = DEFAULT_LIMITS, *, rooted: bool = False) -> dict[str, bytes]:
    """Return the files of a ``.tar.gz`` by name; with ``rooted`` all of them begin with a slash, which is left out.

    Raises BundleError (AZ300-AZ306) on anything but one gzip member that holds one complete archive of plain files
    with distinct relative names, within the limits.
    """
    if len(data) > limits.compressed:
        raise refusal("too_large", f"the archive has {len(data)} bytes, more than {limits.compressed}")
    files: dict[str, bytes] = {}
    entries = _entries(_Text(data, limits.unpacked), limits, "/" if rooted else "")
    for count, (name, content) in enumerate(entries, start=1):
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


class _Text:
    """What one gzip member (RFC 1952) holds, unpacked as far as it is asked for, and never beyond the limit.

    INVARIANT: no step takes long while it holds the interpreter: unpacking itself does not hold it.
    """

    def __init__(self, data: bytes, limit: int) -> None:
        self._inflate = zlib.decompressobj(31)
        self._packed = (data[at : at + _STEP] for at in range(0, len(data), _STEP))
        self._limit = limit
        self._ready = deque[bytes]()
        self._has = 0
        self._unpacked = 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer at the end. zlib has checked length and checksum when it is reached."""
        while self._has < size and self._more():
            pass
        taken = []
        wanted = min(size, self._has)
        self._has -= wanted
        while wanted:
            chunk = self._ready.popleft()
            if len(chunk) > wanted:
                self._ready.appendleft(chunk[wanted:])
                chunk = chunk[:wanted]
            taken.append(chunk)
            wanted -= len(chunk)
        return b"".join(taken)

    def _more(self) -> bool:
        inflate = self._inflate
        if inflate.eof:
            if inflate.unused_data or next(self._packed, b""):
                raise refusal("trailing", "there is data after the end of the archive")
            return False
        packed = inflate.unconsumed_tail or next(self._packed, b"")
        try:
            chunk = inflate.decompress(packed, _CHUNK)
        except zlib.error:
            raise refusal("malformed", "the archive is not gzip, or is damaged") from None
        if not packed and not chunk and not inflate.eof:
            raise refusal("truncated", "the archive ends too early")
        self._unpacked += len(chunk)
        if self._unpacked > self._limit:
            raise refusal("too_large", f"the archive unpacks to more than {self._limit} bytes")
        if chunk:
            self._ready.append(chunk)
            self._has += len(chunk)
        return True


def _entries(text: _Text, limits: Limits, root: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield (name, content) of each entry; the content of a directory is None."""
    while (header := text.take(BLOCK)) != _ZEROS:
        if len(header) < BLOCK:
            raise refusal("truncated", "the archive ends without its end mark")
        name, size, is_file = _read_header(header, root)
        if size > limits.file:
            raise refusal("too_large", f"{shown(name)} has {size} bytes, more than {limits.file}")
        content = text.take(size)
        padding = text.take(-size % BLOCK)
        if len(content) + len(padding) < size + -size % BLOCK:
            raise refusal("truncated", f"the archive ends within {shown(name)}")
        if any(padding):
            raise refusal("malformed", f"the padding after {shown(name)} is not zero")
        yield name, content if is_file else None
    if len(header := text.take(BLOCK)) < BLOCK:
        raise refusal("truncated", "the archive ends without its end mark")
    while header:
        if header.count(0) < len(header):
            raise refusal("trailing", "there is data after the end mark of the archive")
        header = text.take(_CHUNK)


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
