"""authorizer policy check, test, build, fmt, explain on Rego."""

import json
import tarfile

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authorizer.cli import main
from authorizer.policy.plan import Context, compile_plan, read

ALLOW = 'package acme\n\ndefault allow := false\n\nallow if {\n\tinput.user == "alice"\n\tdata.open\n}\n'
TESTS = (
    "package acme_test\n\nimport data.acme\n\n"
    'test_alice if acme.allow with input as {"user": "alice"} with data.open as true\n\n'
    'test_bob if not acme.allow with input as {"user": "bob"}\n'
)


@pytest.fixture
def folder(tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "acme.rego").write_text(ALLOW)
    (policies / "acme_test.rego").write_text(TESTS)
    return policies


@pytest.fixture
def key(tmp_path):
    private = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(private.private_bytes(encoding, form, serialization.NoEncryption()))
    return path


def test_check_shows_all_problems_with_the_line(folder, capsys):
    assert main(["policy", "check", str(folder)]) == 0
    (folder / "bad.rego").write_text("package bad\np := x\nq := y\n")
    assert main(["policy", "check", str(folder)]) == 3
    captured = capsys.readouterr()
    assert "bad.rego:2:6: error G301" in captured.err
    assert "bad.rego:3:6: error G301" in captured.err
    assert "p := x\n         ^" in captured.err
    assert captured.out.endswith("2 errors, 0 warnings\n")
    assert main(["policy", "check", "--output", "json", str(folder)]) == 3
    assert [one["code"] for one in json.loads(capsys.readouterr().out)["problems"]] == ["G301", "G301"]


def test_test_runs_the_test_rules(folder, capsys):
    assert main(["policy", "test", "--coverage", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 passed, 0 failed\n")
    assert "acme.rego: 3 of 3 expressions held" in out
    (folder / "more_test.rego").write_text("package more_test\ntest_no if data.acme.allow == true\n")
    assert main(["policy", "test", str(folder)]) == 4
    assert "FAILED data.more_test.test_no" in capsys.readouterr().out


def test_build_writes_a_signed_bundle_in_opas_form(folder, key, tmp_path, capsys):
    (tmp_path / "data.json").write_text('{"open": true}')
    out = tmp_path / "out"
    command = ["policy", "build", "-e", "acme/allow", "--data", str(tmp_path / "data.json"), "--key", str(key)]
    assert main([*command, "--serial", "7000", "-o", str(out), str(folder)]) == 0
    assert "serial 7000" in capsys.readouterr().out
    with tarfile.open(out / "bundle.tar.gz") as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    assert sorted(files) == [".manifest", ".signatures.json", "acme.rego", "acme_test.rego", "data.json", "plan.json"]
    compiled = compile_plan(read(json.loads(files["plan.json"])))
    context = Context(0, bytes)
    data = json.loads(files["data.json"])
    assert compiled.evaluate("acme/allow", {"user": "alice"}, context, data) == [{"result": True}]


def test_a_manifest_tells_the_version_of_the_language(folder, key, tmp_path, capsys):
    (folder / "old.rego").write_text('package old\n\nallow {\n\tinput.user == "alice"\n}\n')
    assert main(["policy", "check", str(folder)]) == 3
    (folder / ".manifest").write_text('{"file_rego_versions": {"/old.rego": 0}}')
    for verb in ("check", "test", "fmt"):
        assert main(["policy", verb, str(folder)]) == 0, verb
    out = tmp_path / "out"
    assert main(["policy", "build", "-e", "old/allow", "--key", str(key), "-o", str(out), str(folder)]) == 0
    with tarfile.open(out / "bundle.tar.gz") as archive:
        manifest = json.load(archive.extractfile(".manifest"))
    assert (manifest["rego_version"], manifest["file_rego_versions"]) == (1, {"/old.rego": 0})
    (folder / ".manifest").write_text("{")
    assert main(["policy", "check", str(folder)]) == 3
    assert "AZ215" in capsys.readouterr().err


def test_build_refuses_what_it_cannot_build(folder, key, tmp_path, capsys):
    command = ["policy", "build", "--key", str(key), "-o", str(tmp_path / "out"), str(folder)]
    assert main(command) == 3
    assert "entrypoint" in capsys.readouterr().err
    (tmp_path / "data.json").write_text('{"acme": {"allow": 1}}')
    assert main([*command, "-e", "acme/allow", "--data", str(tmp_path / "data.json")]) == 3
    assert "G205" in capsys.readouterr().err


def test_fmt_lays_out_and_check_only_names(folder, capsys):
    assert main(["policy", "fmt", "--check", str(folder)]) == 0
    (folder / "acme.rego").write_text(ALLOW.replace("\t", "    ").replace(" == ", "=="))
    assert main(["policy", "fmt", "--check", str(folder)]) == 4
    assert "acme.rego" in capsys.readouterr().out
    assert main(["policy", "fmt", str(folder)]) == 0
    assert (folder / "acme.rego").read_text() == ALLOW


def test_explain_shows_the_value_and_where_rules_stopped(folder, tmp_path, capsys):
    (tmp_path / "input.json").write_text('{"user": "bob"}')
    command = ["policy", "explain", "--query", "data.acme.allow", "--input", str(tmp_path / "input.json")]
    assert main([*command, str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("data.acme.allow: false\n")
    assert 'acme.rego:6:2: data.acme.allow stopped here\n     input.user == "alice"\n     ^' in out
