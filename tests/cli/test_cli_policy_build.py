"""``authorizer policy build``: what it writes is what an authorizer reads."""

import subprocess
import sys

import pytest

from authorizer import bundle
from authorizer.cli import main
from authorizer.jose.jwk import read_pem
from authorizer.model import KINDS

POLICIES = """
kind: Application
id: api
model: pbac
rights: {read: {}}
http: {hosts: [api.example], routes: {GET /: {right: read}}}
---
kind: Policies
policies: [{id: readers, right: api/read, to: {group: readers}}]
"""


@pytest.fixture
def estate(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "api.yaml").write_text(POLICIES)
    assert main(["bundle", "keygen", "-o", str(tmp_path)]) == 0
    return tmp_path


def build(estate, *more, paths=("policies",)) -> int:
    found = [str(estate / path) for path in paths]
    return main(["policy", "build", *found, "-o", str(estate / "out"), "--key", str(estate / "signing.pem"), *more])


def test_three_signed_bundles(estate, capsys):
    capsys.readouterr()
    assert build(estate, "--serial", "7") == 0
    lines = capsys.readouterr().out.splitlines()
    key = read_pem((estate / "signing.pub.pem").read_bytes(), "ES256", lines[0].rsplit(" ", 1)[1])
    verifier = bundle.Verifier(keys={key.id: key})
    for kind in KINDS:
        made = bundle.read((estate / "out" / f"{kind}.tar.gz").read_bytes(), kind=kind, verifier=verifier)
        assert (made.kind, made.serial) == (kind, 7)
        assert str(estate) not in str(made.document)


def test_equal_documents_give_equal_content(estate):
    read = (estate / "out").joinpath
    assert build(estate, "--serial", "7") == 0
    first = bundle.archive.unpack(read("policy.tar.gz").read_bytes())
    assert build(estate, "--serial", "7") == 0
    second = bundle.archive.unpack(read("policy.tar.gz").read_bytes())
    assert first[".manifest"] == second[".manifest"]
    assert first["authorizer/policy.json"] == second["authorizer/policy.json"]


def test_an_error_writes_nothing(estate, capsys):
    (estate / "policies" / "broken.yaml").write_text("kind: Policies\npolices: []\n")
    assert build(estate) == 3
    assert "broken.yaml:2:1: error AZ204" in capsys.readouterr().err
    assert not (estate / "out").exists()


def test_the_same_file_twice_is_refused(estate, capsys):
    assert build(estate, paths=("policies", "policies/api.yaml")) == 3
    assert "given twice" in capsys.readouterr().err


def test_a_key_that_cannot_sign_is_refused(estate, capsys):
    (estate / "signing.pem").write_text("not a key")
    assert build(estate) == 3
    assert "AZ4" in capsys.readouterr().err


def test_the_module_runs_as_a_program(estate):
    done = subprocess.run(
        [sys.executable, "-m", "authorizer", "policy", "check", str(estate / "policies")], check=False
    )
    assert done.returncode == 0
