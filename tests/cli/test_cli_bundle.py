"""``authorizer bundle`` from the command line."""

import io
import json
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from authorizer import bundle, cli
from authorizer.bundle import Signer
from authorizer.jose import sign


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert cli.main(["bundle", "keygen", "-o", str(tmp_path / "keys")]) == 0
    assert "key id" in capsys.readouterr().out
    return tmp_path / "keys"


@pytest.fixture
def file(keys: Path, tmp_path: Path) -> Path:
    signer = Signer(private_pem=(keys / "signing.pem").read_bytes(), key_id="k1")
    path = tmp_path / "policy.tar.gz"
    path.write_bytes(bundle.write("policy", {"a": 1}, serial=1_700_000_000_000, signer=signer))
    return path


def test_keys_are_private_and_never_overwritten(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private, public = keys / "signing.pem", keys / "signing.pub.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert sign.public_pem(private.read_bytes()) == public.read_bytes()
    before = private.read_bytes()
    assert cli.main(["bundle", "keygen", "-o", str(keys)]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert private.read_bytes() == before


def test_verify(file: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = str(keys / "signing.pub.pem")
    assert cli.main(["bundle", "verify", str(file), "--key", key, "--kind=policy"]) == 0
    assert "good: policy bundle, serial 1700000000000" in capsys.readouterr().out
    for arguments, code in [
        (["--key", key, "--kind=facts"], "AZ311"),
        (["--key", key, "--scope", "prod"], "AZ326"),
        (["--key", key, "--algorithm", "RS256"], "AZ403"),
        (["--key", str(file)], "AZ410"),
    ]:
        assert cli.main(["bundle", "verify", str(file), *arguments]) == 3
        assert code in capsys.readouterr().err


def test_verify_refuses_a_changed_file(file: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(file.read_bytes()[:-4])
    assert cli.main(["bundle", "verify", str(file), "--key", str(keys / "signing.pub.pem")]) == 3
    assert "AZ301" in capsys.readouterr().err


def test_inspect(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bundle", "inspect", str(file)]) == 0
    out = capsys.readouterr().out
    assert "2023-11-14 22:13:20 UTC" in out
    assert "with the key k1, not verified" in out
    assert "authorizer/policy.json" in out


def test_inspect_as_json_from_standard_input(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(file.read_bytes())))
    assert cli.main(["bundle", "inspect", "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["signed_by"], shown["verified"]) == ("policy", "k1", False)
    assert set(shown["files"]) == {".manifest", ".signatures.json", "authorizer/policy.json"}


def test_inspect_says_what_is_not_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plain.tar.gz"
    path.write_bytes(bundle.write("facts", {}, serial=1, signer=None))
    assert cli.main(["bundle", "inspect", str(path)]) == 0
    assert "signed    no" in capsys.readouterr().out


def test_no_such_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bundle", "inspect", "/nowhere/x.tar.gz"]) == 1
    assert "/nowhere/x.tar.gz" in capsys.readouterr().err
