"""Credentials and keys: given, or made once; never weak, never shown."""

import stat

import pytest

from authorizer.control_plane.server import credentials, private_files, signing_key
from authorizer.control_plane.server.credentials import accept, role_of
from authorizer.control_plane.server.running import Config
from authorizer.errors import ControlPlaneError, KeyMaterialError
from authorizer.jose.sign import generate, public_pem

GOOD = {"authorizer": "a" * 20, "admin": "b" * 20}


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_credential_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    first, made = credentials.load("admin", file=None, value=None, state=tmp_path)
    assert made == tmp_path / "admin.token"
    assert mode(made) == 0o600
    assert len(first) >= 40
    assert credentials.load("admin", file=None, value=None, state=tmp_path) == (first, None)
    assert [path.name for path in tmp_path.iterdir()] == ["admin.token"]


def test_a_file_goes_before_a_value_before_what_was_made(tmp_path) -> None:
    (tmp_path / "given").write_text("from-the-file\n")
    (tmp_path / "admin.token").write_text("made-before\n")
    load = credentials.load
    assert load("admin", file=tmp_path / "given", value="a-value", state=tmp_path) == ("from-the-file", None)
    assert load("admin", file=None, value="a-value", state=tmp_path) == ("a-value", None)
    assert load("admin", file=None, value=None, state=tmp_path) == ("made-before", None)


@pytest.mark.parametrize(
    "tokens",
    [
        {**GOOD, "admin": ""},
        {**GOOD, "admin": "short"},
        {**GOOD, "admin": "with a space in the middle"},
        {**GOOD, "admin": "\N{GREEK SMALL LETTER ALPHA}" * 20},
        {**GOOD, "admin": GOOD["authorizer"]},
    ],
)
def test_weak_credentials_are_refused_and_not_shown(tokens: dict[str, str]) -> None:
    with pytest.raises(ControlPlaneError, match="AZ583") as refused:
        accept(tokens)
    assert not tokens["admin"] or tokens["admin"] not in str(refused.value)


def test_each_credential_proves_its_role() -> None:
    accepted = accept(GOOD)
    assert {role: role_of(accepted, [f"Bearer {token}"]) for role, token in GOOD.items()} == {
        "authorizer": "authorizer",
        "admin": "admin",
    }
    assert role_of(accepted, []) is None
    assert GOOD["admin"] not in repr(accepted)
    assert "b" * 20 not in repr(Config(state=None, tokens=GOOD))


def test_a_key_is_made_once_with_its_public_half_beside_it(tmp_path) -> None:
    signer, made = signing_key.load(None, "", tmp_path)
    assert made == tmp_path / "signing.pub.pem"
    assert made.read_bytes() == public_pem((tmp_path / "signing.pem").read_bytes())
    assert mode(tmp_path / "signing.pem") == 0o600
    assert signing_key.load(None, "", tmp_path) == (signer, None)
    assert signing_key.verifier(signer).keys.keys() == {signer.key_id}
    assert "PRIVATE" not in repr(signer)


def test_a_given_key_is_known_by_the_given_name(tmp_path) -> None:
    (tmp_path / "key.pem").write_bytes(generate("ES256"))
    signer, made = signing_key.load(tmp_path / "key.pem", "main", tmp_path)
    assert (signer.key_id, made) == ("main", tmp_path / "signing.pub.pem")


@pytest.mark.parametrize("content", [b"", b"not a key", "rsa", "public"])
def test_a_key_that_cannot_sign_is_refused(tmp_path, content: bytes | str) -> None:
    pem = {"rsa": lambda: generate("RS256"), "public": lambda: public_pem(generate("ES256"))}
    (tmp_path / "key.pem").write_bytes(content if isinstance(content, bytes) else pem[content]())
    for name in ("", "main"):
        with pytest.raises(KeyMaterialError):
            signing_key.load(tmp_path / "key.pem", name, tmp_path)


@pytest.mark.parametrize("kind", ["missing", "folder", "large"])
def test_files_that_fail_are_said(tmp_path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"x" * 100)
    with pytest.raises(ControlPlaneError, match="AZ584"):
        private_files.read(path, 99)


def test_what_exists_is_not_replaced(tmp_path) -> None:
    (tmp_path / "kept").write_text("old")
    with pytest.raises(ControlPlaneError, match="AZ584"):
        private_files.create(tmp_path / "kept", b"new")
    assert (tmp_path / "kept").read_text() == "old"
    with pytest.raises(ControlPlaneError, match="AZ584"):
        private_files.create(tmp_path / "none/x", b"new")
    with pytest.raises(ControlPlaneError, match="AZ584"):
        private_files.directory(tmp_path / "kept")


def test_the_state_directory_is_its_owners_alone(tmp_path) -> None:
    private_files.directory(tmp_path / "a/state")
    assert mode(tmp_path / "a/state") == 0o700
