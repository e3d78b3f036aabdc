"""Archives: what is written is read back by others and by us; everything else is refused with its own code."""

import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.bundle import Limits, archive
from authorizer.errors import BundleError

FILES = {".manifest": b"{}", "authorizer/policy.json": b'{"a":1}' * 200, "authorizer/empty": b""}
SMALL = Limits(compressed=64 * 1024, unpacked=64 * 1024, file=8 * 1024, entries=4)


def tar(*entries: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as writer:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                writer.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                writer.addfile(info, io.BytesIO(entry[1]))
    return out.getvalue()


def special(kind: bytes, name: str = "a", target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def changed(raw: bytes, at: int, new: bytes) -> bytes:
    """Overwrite bytes of the first header and mend its checksum."""
    header = bytearray(raw[:512])
    header[at : at + len(new)] = new
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + raw[512:]


ONE = tar(("a", b"x"))
GOOD = gzip.compress(ONE, mtime=0)

REFUSED = [
    ("not gzip", b"hello", "AZ300"),
    ("empty", b"", "AZ301"),
    ("raw tar", ONE, "AZ300"),
    ("damaged deflate", GOOD[:12] + b"\xff\xff\xff" + GOOD[15:], "AZ300"),
    ("wrong crc", GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:], "AZ300"),
    ("gzip cut short", GOOD[:-1], "AZ301"),
    ("gzip cut in the middle", GOOD[: len(GOOD) // 2], "AZ301"),
    ("no end mark", gzip.compress(ONE[:1024]), "AZ301"),
    ("half an end mark", gzip.compress(ONE[:1536]), "AZ301"),
    ("cut within a file", gzip.compress(tar(("a", b"x" * 2000))[:1024]), "AZ301"),
    ("empty tar", gzip.compress(b""), "AZ301"),
    ("gzip trailing garbage", GOOD + b"\0", "AZ302"),
    ("second gzip member", GOOD + GOOD, "AZ302"),
    ("data after the end mark", gzip.compress(ONE + b"x" * 512), "AZ302"),
    ("too large as fetched", bytes(64 * 1024 + 1), "AZ303"),
    ("bomb", gzip.compress(bytes(50_000_000)), "AZ303"),
    ("too large a file", gzip.compress(tar(("a", bytes(8193)))), "AZ303"),
    ("too many entries", gzip.compress(tar(*((str(n), b"") for n in range(5)))), "AZ303"),
    ("too many folders", gzip.compress(tar(*(special(tarfile.DIRTYPE, f"d{n}") for n in range(5)))), "AZ303"),
    ("parent", gzip.compress(tar(("../a", b""))), "AZ304"),
    ("parent inside", gzip.compress(tar(("a/../../b", b""))), "AZ304"),
    ("absolute", gzip.compress(tar(("/etc/passwd", b""))), "AZ304"),
    ("dot", gzip.compress(tar(("./a", b""))), "AZ304"),
    ("empty segment", gzip.compress(tar(("a//b", b""))), "AZ304"),
    ("backslash", gzip.compress(tar(("..\\a", b""))), "AZ304"),
    ("control character", gzip.compress(tar(("a\nb", b""))), "AZ304"),
    ("no name", gzip.compress(changed(ONE, 0, b"\0")), "AZ304"),
    ("name with a tail", gzip.compress(changed(ONE, 0, b"a\0b")), "AZ304"),
    ("escape by prefix", gzip.compress(changed(ONE, 345, b"..")), "AZ304"),
    ("folder escape", gzip.compress(tar(special(tarfile.DIRTYPE, "../d"))), "AZ304"),
    ("symlink", gzip.compress(tar(special(tarfile.SYMTYPE, "a", "/etc/passwd"))), "AZ305"),
    ("hard link", gzip.compress(tar(special(tarfile.LNKTYPE, "a", "b"))), "AZ305"),
    ("device", gzip.compress(tar(special(tarfile.CHRTYPE))), "AZ305"),
    ("fifo", gzip.compress(tar(special(tarfile.FIFOTYPE))), "AZ305"),
    ("file with a link target", gzip.compress(changed(ONE, 157, b"x")), "AZ305"),
    ("pax header", gzip.compress(tar(("ü" * 60, b""), form=tarfile.PAX_FORMAT)), "AZ305"),
    ("gnu long name", gzip.compress(tar(("a" * 120, b""), form=tarfile.GNU_FORMAT)), "AZ305"),
    ("sparse", gzip.compress(changed(ONE, 156, b"S")), "AZ305"),
    ("twice", gzip.compress(tar(("a", b"1"), ("a", b"2"))), "AZ306"),
    ("wrong checksum", gzip.compress(b"b" + ONE[1:]), "AZ300"),
    ("base-256 size", gzip.compress(changed(ONE, 124, b"\x80" + bytes(11))), "AZ300"),
    ("signed size", gzip.compress(changed(ONE, 124, b"-0000000001\0")), "AZ300"),
    ("padding not zero", gzip.compress(ONE[:513] + b"x" + ONE[514:]), "AZ300"),
    ("old tar", gzip.compress(changed(ONE, 257, bytes(8))), "AZ300"),
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(data: bytes, code: str) -> None:
    with pytest.raises(BundleError) as caught:
        archive.unpack(data, SMALL)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)
    assert "\n" not in str(caught.value)


def test_read_back_and_deterministic() -> None:
    data = archive.pack(FILES)
    assert archive.unpack(data) == FILES
    assert archive.pack(dict(reversed(FILES.items()))) == data


def test_others_read_ours() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive.pack(FILES))) as reader:
        found = {m.name: reader.extractfile(m).read() for m in reader.getmembers()}
    assert found == FILES


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_we_read_others(form: int) -> None:
    folder = special(tarfile.DIRTYPE, "authorizer")
    assert archive.unpack(gzip.compress(tar(folder, *FILES.items(), form=form))) == FILES


@pytest.mark.parametrize("name", ["/a", "../a", "a b", "", "a/", "ü", "x" * 60 + "/" + "y" * 60])
def test_bad_names_are_not_written(name: str) -> None:
    with pytest.raises(BundleError) as caught:
        archive.pack({name: b""})
    assert caught.value.code == "AZ304"


@settings(max_examples=200)
@given(st.data())
def test_mutated_archives_never_surprise(data: st.DataObject) -> None:
    raw = bytearray(tar(*FILES.items()) if data.draw(st.booleans()) else archive.pack(FILES))
    packed = raw[:2] == b"\x1f\x8b"
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        files = archive.unpack(bytes(raw) if packed else gzip.compress(bytes(raw)), SMALL)
    except BundleError:
        return
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in files)
