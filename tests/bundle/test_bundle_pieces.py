"""Large documents in pieces: joined they are what was cut, and nothing else is taken."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer import bundle
from authorizer.bundle import Signer, Verifier, archive, manifest, pieces
from authorizer.errors import BundleError
from authorizer.jose import jwk, sign

PEM = sign.generate("ES256")
SIGNER = Signer(private_pem=PEM, key_id="k1")
VERIFIER = Verifier(keys={"k1": jwk.read_pem(sign.public_pem(PEM), "ES256", "k1")})
SERIAL = 1_700_000_000_000
LARGE = {
    "users": {f"u{n:05}": {"name": "é" * (n % 40), "n": n} for n in range(12_000)},
    "list": [[n, str(n)] for n in range(20_000)],
    "small": {"a": None, "b": [2**70, -1.5, True]},
    "text": "x" * (2 * pieces.PIECE),
}
GOOD = bundle.write("facts", LARGE, serial=SERIAL, signer=SIGNER)
FILES = archive.unpack(GOOD)
NAMES = sorted(name for name in FILES if name.startswith("authorizer/facts/"))

texts = st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
documents = st.dictionaries(
    texts,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(texts, inner, max_size=8),
        max_leaves=30,
    ),
    max_size=8,
)


@settings(max_examples=300)
@given(documents, st.sampled_from([8, 40, 300]))
def test_joined_is_what_was_cut(document: dict[str, Any], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        patch.setattr(pieces, "WHOLE", size)
        cut = list(pieces.split(document))
    if cut:
        assert pieces.join(cut) == document


def test_a_large_bundle() -> None:
    read = bundle.read(GOOD, kind="facts", verifier=VERIFIER)
    assert read.document == LARGE
    assert read.revision == bundle.revision_of("facts", dict(reversed(LARGE.items())))
    assert len(NAMES) > 10
    assert all(len(FILES[name]) < 3 * pieces.PIECE for name in NAMES)
    assert manifest.read(FILES[".manifest"]).pieces == len(NAMES)


def repacked(files: Mapping[str, bytes], *, signed: bool, **stamp: object) -> bytes:
    """Pack files again, with a signature over them or none at all."""
    made = {name: content for name, content in files.items() if name != ".signatures.json"}
    if stamp:
        said = json.loads(made[".manifest"])
        said["metadata"]["authorizer"].update(stamp)
        made[".manifest"] = json.dumps(said).encode()
    if signed:
        from authorizer.bundle import signatures

        made[".signatures.json"] = signatures.attach(made, SIGNER, issued_at=1)
    return archive.pack(made)


def changed(name: str, **members: object) -> dict[str, bytes]:
    return {**FILES, name: msgspec.json.encode({**json.loads(FILES[name]), **members})}


FIRST, SECOND, THIRD = NAMES[:3]
WRONG = [
    ("missing", {name: FILES[name] for name in FILES if name != THIRD}, {}),
    ("last is missing", {name: FILES[name] for name in FILES if name != NAMES[-1]}, {}),
    ("doubled", {**FILES, THIRD: FILES[SECOND]}, {}),
    ("exchanged", {**FILES, SECOND: FILES[THIRD], THIRD: FILES[SECOND]}, {}),
    ("not JSON", {**FILES, SECOND: b"{"}, {}),
    ("no object", {**FILES, SECOND: b"[]"}, {}),
    ("nested without end", {**FILES, SECOND: b"[" * 100_000}, {}),
    ("members and items", changed(SECOND, items=[], members={}), {}),
    ("neither", {**FILES, SECOND: b'{"at":[],"from":0}'}, {}),
    ("a member nobody knows", changed(SECOND, more=1), {}),
    ("no such place", changed(SECOND, at=["nowhere"]), {}),
    ("a place in a text", changed(SECOND, at=["text", 0]), {}),
    ("a place from behind", changed(SECOND, at=["list", -1]), {}),
    ("a member that is there", {**FILES, SECOND: b'{"at":[],"from":4,"members":{"small":1}}'}, {}),
    ("the whole beside the pieces", {**FILES, "authorizer/facts.json": b"{}"}, {}),
    ("none are said", FILES, {"pieces": 0}),
    ("more are said", FILES, {"pieces": len(NAMES) + 1}),
    ("too many are said", FILES, {"pieces": 9999}),
    ("the number is a text", FILES, {"pieces": "3"}),
    ("the format knows of none", FILES, {"format": 1}),
    ("the format is that of later days", FILES, {"format": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("files", "stamp"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_pieces_that_do_not_fit(files: dict[str, bytes], stamp: dict[str, object]) -> None:
    for verifier in (VERIFIER, None):
        with pytest.raises(BundleError) as caught:
            bundle.read(repacked(files, signed=verifier is not None, **stamp), kind="facts", verifier=verifier)
        assert caught.value.code in {"AZ310", "AZ312", "AZ314"}


@pytest.mark.parametrize("files", [row[1] for row in WRONG if row[1] is not FILES])
def test_pieces_that_were_changed_after_signing(files: dict[str, bytes]) -> None:
    with pytest.raises(BundleError) as caught:
        bundle.read(archive.pack(files), kind="facts", verifier=VERIFIER)
    assert caught.value.code in {"AZ327", "AZ329"}
