"""Whole bundles: signed and read back; each way to tamper has its own code."""

import base64
import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer import bundle
from authorizer.bundle import Signer, Verifier, archive
from authorizer.bundle.signatures import _digest
from authorizer.errors import BundleError
from authorizer.jose import jwk, sign

PEM, OTHER = sign.generate("ES256"), sign.generate("ES256")
SIGNER = Signer(private_pem=PEM, key_id="k1")
VERIFIER = Verifier(keys={"k1": jwk.read_pem(sign.public_pem(PEM), "ES256", "k1")})
DOCUMENT = {"routes": [{"path": "/ü\u2028"}], "n": 1}
GOOD = bundle.write("policy", DOCUMENT, serial=1_700_000_000_000, signer=SIGNER)
FILES = archive.unpack(GOOD)
NAME = "authorizer/policy.json"


def resigned(files: Mapping[str, bytes], /, *, pem: bytes = PEM, key_id: str | None = "k1", **members: object) -> bytes:
    """Sign the files as the publisher would, then say ``members`` in the signed list."""
    plain = {name: content for name, content in files.items() if name != ".signatures.json"}
    listed = [{"name": n, "hash": _digest(n, c, "SHA-256"), "algorithm": "SHA-256"} for n, c in plain.items()]
    token = sign.sign({"files": listed, **members}, pem, "ES256", key_id)
    return archive.pack({**plain, ".signatures.json": json.dumps({"signatures": [token]}).encode()})


def without(*names: str) -> dict[str, bytes]:
    return {name: content for name, content in FILES.items() if name not in names}


def stamped(**changes: object) -> bytes:
    """Sign a manifest that differs: dotted names reach into metadata.authorizer."""
    manifest = json.loads(FILES[".manifest"])
    for name, value in changes.items():
        target = (
            manifest["metadata"]["authorizer"] if name in ("kind", "serial", "format", "edition", "extra") else manifest
        )
        if value is None:
            del target[name]
        else:
            target[name] = value
    return resigned({**FILES, ".manifest": json.dumps(manifest).encode()})


def listing(change: Callable[[list[dict[str, str]]], object]) -> bytes:
    payload = json.loads(FILES[".signatures.json"])["signatures"][0].split(".")[1]
    files = json.loads(base64.urlsafe_b64decode(payload + "=="))["files"]
    change(files)
    return resigned(FILES, files=files)


def token_of(**members: object) -> bytes:
    return archive.pack({**FILES, ".signatures.json": json.dumps(members).encode()})


TOKEN = json.loads(FILES[".signatures.json"])["signatures"][0]
PADDED = sign.sign({"files": []}, PEM, "ES256", "k1")

REFUSED = [
    ("unsigned", archive.pack(without(".signatures.json")), "AZ320"),
    ("no signature", token_of(signatures=[]), "AZ322"),
    ("two signatures", token_of(signatures=[TOKEN, TOKEN]), "AZ322"),
    ("not a token", token_of(signatures=["x"]), "AZ322"),
    ("token is a number", token_of(signatures=[1]), "AZ322"),
    ("plugin", token_of(signatures=[TOKEN], plugin="mine"), "AZ322"),
    ("signature file is no object", archive.pack({**FILES, ".signatures.json": b"[]"}), "AZ322"),
    (
        "signature file repeats",
        archive.pack({**FILES, ".signatures.json": b'{"signatures":[],"signatures":[]}'}),
        "AZ322",
    ),
    ("files is no list", resigned(FILES, files={}), "AZ322"),
    ("entry without hash", listing(lambda f: f[0].pop("hash")), "AZ322"),
    ("wrong key, same name", resigned(FILES, pem=OTHER), "AZ323"),
    (
        "signature of another list",
        token_of(signatures=[PADDED.rsplit(".", 1)[0] + "." + TOKEN.rsplit(".", 1)[1]]),
        "AZ323",
    ),
    ("alg none", token_of(signatures=["eyJhbGciOiJub25lIn0.e30."]), "AZ324"),
    ("alg of another key", token_of(signatures=[sign.sign({}, sign.generate("ES384"), "ES384", "k1")]), "AZ324"),
    ("wrong key, other name", resigned(FILES, pem=OTHER, key_id="k2"), "AZ325"),
    ("no key named", resigned(FILES, key_id=None), "AZ325"),
    ("scope", resigned(FILES, scope="write"), "AZ326"),
    ("scope is no text", resigned(FILES, scope=["write"]), "AZ326"),
    ("file added", archive.pack({**FILES, "authorizer/more.json": b"{}"}), "AZ327"),
    ("file removed", archive.pack(without(NAME)), "AZ327"),
    ("file listed twice", listing(lambda f: f.append(f[0])), "AZ327"),
    ("MD5", listing(lambda f: f[0].update(algorithm="MD5")), "AZ328"),
    ("SHA-1", listing(lambda f: f[0].update(algorithm="SHA-1")), "AZ328"),
    ("tampered document", archive.pack({**FILES, NAME: FILES[NAME].replace(b"1", b"2")}), "AZ329"),
    ("tampered manifest", archive.pack({**FILES, ".manifest": FILES[".manifest"].replace(b"17", b"18")}), "AZ329"),
    ("wrong digest", listing(lambda f: f[0].update(hash="00")), "AZ329"),
    ("no manifest", resigned(without(".manifest")), "AZ310"),
    ("manifest without stamp", resigned({**FILES, ".manifest": b'{"revision":"1","roots":["authorizer"]}'}), "AZ310"),
    ("kind unknown", stamped(kind="rego"), "AZ310"),
    ("serial zero", stamped(serial=0), "AZ310"),
    ("serial negative", stamped(serial=-5), "AZ310"),
    ("serial is a fraction", stamped(serial=1.5), "AZ310"),
    ("serial is text", stamped(serial="5"), "AZ310"),
    ("serial missing", stamped(serial=None), "AZ310"),
    ("serial beyond all time", stamped(serial=10**14), "AZ310"),
    ("revision missing", stamped(revision=None), "AZ310"),
    ("revision is a number", stamped(revision=5), "AZ310"),
    ("revision forges a line", stamped(revision="a\nb"), "AZ310"),
    ("roots missing", stamped(roots=None), "AZ310"),
    ("roots are numbers", stamped(roots=[1]), "AZ310"),
    ("stamp has more", stamped(extra=1), "AZ310"),
    ("edition is a list", stamped(edition=[1]), "AZ310"),
    ("edition of an unknown kind", stamped(edition={"rego": 1}), "AZ310"),
    ("edition with a text", stamped(edition={"facts": "1"}), "AZ310"),
    ("edition with a zero", stamped(edition={"facts": 0}), "AZ310"),
    ("another kind", bundle.write("facts", {}, serial=1, signer=SIGNER), "AZ311"),
    ("newer format", stamped(format=2), "AZ312"),
    ("format is text", stamped(format="1"), "AZ312"),
    ("outside of the roots", resigned({**FILES, "other/x.json": b"{}"}), "AZ313"),
    ("no document", resigned(without(NAME)), "AZ314"),
    ("document is no JSON", resigned({**FILES, NAME: b"{"}), "AZ314"),
    ("document is a list", resigned({**FILES, NAME: b"[]"}), "AZ314"),
    ("truncated", GOOD[:-20], "AZ301"),
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(data: bytes, code: str) -> None:
    with pytest.raises(BundleError) as caught:
        bundle.read(data, kind="policy", verifier=VERIFIER)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)
    if code == "AZ325":
        assert "configured: 'k1'" in caught.value.message
        assert "--key-id" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_read_back() -> None:
    read = bundle.read(GOOD, kind="policy", verifier=VERIFIER)
    assert (read.kind, read.serial, read.document, read.key_id) == ("policy", 1_700_000_000_000, DOCUMENT, "k1")
    assert read.revision == bundle.revision_of("policy", dict(reversed(DOCUMENT.items())))
    assert bundle.read(GOOD, kind=None, verifier=VERIFIER) == read


def test_what_was_published_together_is_told() -> None:
    edition = {"facts": 5, "trust": 7}
    data = bundle.write("policy", DOCUMENT, serial=9, signer=SIGNER, edition=edition)
    assert bundle.read(data, kind="policy", verifier=VERIFIER).edition == edition
    assert bundle.read(GOOD, kind="policy", verifier=VERIFIER).edition == {}


def test_the_revision_is_that_of_the_content_whatever_the_manifest_calls_it() -> None:
    renamed = bundle.read(stamped(revision="v1"), kind="policy", verifier=VERIFIER)
    assert renamed.revision == bundle.revision_of("policy", DOCUMENT)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES384", "ES512", "EdDSA"])
def test_every_family_of_keys(algorithm: str) -> None:
    pem = sign.generate(algorithm)
    data = bundle.write("trust", {}, serial=1, signer=Signer(private_pem=pem, key_id="k", algorithm=algorithm))
    verifier = Verifier(keys={"k": jwk.read_pem(sign.public_pem(pem), algorithm)})
    assert bundle.read(data, kind="trust", verifier=verifier).kind == "trust"


def test_signatures_switched_off_take_unsigned_bundles_only() -> None:
    plain = bundle.write("policy", {}, serial=1, signer=None)
    assert bundle.read(plain, kind="policy", verifier=None).key_id == ""
    with pytest.raises(BundleError) as caught:
        bundle.read(GOOD, kind="policy", verifier=None)
    assert caught.value.code == "AZ321"


def test_configured_scope_and_key_decide() -> None:
    scoped = bundle.write(
        "policy", {}, serial=1, signer=Signer(private_pem=PEM, key_id="named-otherwise", scope="prod")
    )
    pinned = Verifier(keys=VERIFIER.keys, key_id="k1", scope="prod")
    assert bundle.read(scoped, kind="policy", verifier=pinned).key_id == "k1"
    with pytest.raises(BundleError) as caught:
        bundle.read(GOOD, kind="policy", verifier=pinned)
    assert caught.value.code == "AZ326"


def test_structured_files_may_be_written_differently() -> None:
    rewritten = {**FILES, ".manifest": json.dumps(json.loads(FILES[".manifest"]), indent=2).encode()}
    assert bundle.read(archive.pack(rewritten), kind="policy", verifier=VERIFIER).document == DOCUMENT


@pytest.mark.parametrize("name", ["authorizer/data.yaml", "data.json"])
def test_extra_files_that_cannot_stand_in_a_bundle(name: str) -> None:
    with pytest.raises(BundleError):
        bundle.write("policy", {}, serial=1, signer=SIGNER, extra={name: b"{}"})


def test_serials_only_grow() -> None:
    read = bundle.read(GOOD, kind="policy", verifier=VERIFIER)
    bundle.refuse_older(read, read.serial, read.revision)
    bundle.refuse_older(read, read.serial - 1, "another")
    for serial, revision in [(read.serial + 1, read.revision), (read.serial, "another")]:
        with pytest.raises(BundleError) as caught:
            bundle.refuse_older(read, serial, revision)
        assert caught.value.code == "AZ330"


def test_the_private_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(SIGNER)


@settings(max_examples=150)
@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    """Change bytes of any file: BundleError, unless the canonical JSON stayed the same."""
    name = data.draw(st.sampled_from(sorted(FILES)))
    content = bytearray(FILES[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = bundle.read(archive.pack({**FILES, name: bytes(content)}), kind="policy", verifier=VERIFIER)
    except BundleError:
        return
    assert read.document == DOCUMENT
    assert read.serial == 1_700_000_000_000


@settings(max_examples=150)
@given(st.data())
def test_no_changed_archive_raises_anything_else(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    try:
        read = bundle.read(bytes(raw), kind="policy", verifier=VERIFIER)
    except BundleError:
        return
    assert read.document == DOCUMENT
