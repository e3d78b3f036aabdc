"""``authorizer keys new``: the key that is shown is the one that its row is for."""

import msgspec
import pytest

from authorizer.cli import main
from authorizer.pdp.api_keys import ApiKey, compile_keys, find
from authorizer.policy import documents


@pytest.mark.parametrize("pepper", [b"", b"0123456789abcdef"])
def test_a_key_and_its_row(capsys, tmp_path, pepper):
    more = []
    if pepper:
        (tmp_path / "pepper").write_bytes(pepper + b"\n")
        more = ["--pepper-file", str(tmp_path / "pepper")]
    assert (
        main(
            ["keys", "new", "--client", "it's me", "--scope", "orders.read", "--expires", "2027-01-31T00:00:00Z", *more]
        )
        == 0
    )
    printed, told = capsys.readouterr()
    text = told.split()[0]
    rows, problems = compile_keys(documents.load(printed, "keys.yaml"))
    assert problems == []
    key = msgspec.convert(rows[0], ApiKey)
    assert find(text, {key.id: key}, pepper, 0.0) == key
    assert (key.names, key.scopes) == ({"client": ("it's me",)}, ("orders.read",))
    assert text not in printed


def test_no_key_is_made_that_documents_would_refuse(capsys):
    assert main(["keys", "new", "--client", "job", "--expires", "tomorrow"]) == 3
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith("the command line")
    assert "T103" in told
    assert "azk_" not in told


def test_a_pepper_that_is_too_short_or_not_there(capsys, tmp_path):
    (tmp_path / "pepper").write_text("short")
    for name in ("pepper", "none"):
        assert main(["keys", "new", "--person", "ann", "--pepper-file", str(tmp_path / name)]) == 3
        assert "AZ432" in capsys.readouterr().err
