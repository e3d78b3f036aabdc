"""``authorizer token``: what it signs, the policies accept."""

import stat

import pytest

from authorizer.cli import main
from authorizer.model import Identity
from authorizer.pdp import facts, tokens, trust
from authorizer.pdp.memo import Memo
from authorizer.pdp.sources import compile_documents

ISSUERS = """
kind: Issuers
issuers:
  main: {issuer: https://a.example, audiences: [orders], algorithms: [ES256], jwks_file: keys.json}
"""
OTHER = (
    "  other: {issuer: https://b.example, audiences: [x], algorithms: [ES256], jwks_file: keys.json, namespace: o/}\n"
)


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "issuers.yaml").write_text(ISSUERS)
    return folder


def token(policies, *more) -> int:
    return main(["token", str(policies), "--key", str(policies.parent / "dev.pem"), "--subject", "ann", *more])


def test_a_token_that_the_issuer_vouches_for(policies, capsys):
    keys = str(policies / "keys.json")
    assert token(policies, "--jwks", keys, "--claim", 'groups=["sales", "staff"]', "--claim", "tenant=acme") == 0
    text = capsys.readouterr().out.strip()
    assert stat.S_IMODE((policies.parent / "dev.pem").stat().st_mode) == 0o600
    read = {file.name: file.read_bytes() for file in policies.iterdir()}
    trusted = trust.load(compile_documents(read).documents()["trust"])
    iat = tokens.read_object(tokens.parse(text).payload)["iat"]
    identity = tokens.verify(text, trusted, facts.NOTHING, Memo(), iat + 1)
    assert isinstance(identity, Identity)
    assert (identity.subject, identity.claims["tenant"]) == ("ann", "acme")
    assert {"group:sales", "group:staff"} <= identity.tokens


def test_the_key_is_kept_and_used_again(policies, capsys):
    assert token(policies, "--jwks", str(policies / "keys.json")) == 0
    assert token(policies) == 0
    first, second = capsys.readouterr().out.split()
    assert tokens.parse(first).header.key_id == tokens.parse(second).header.key_id


def test_a_key_that_the_issuer_does_not_know_signs_nothing(policies, capsys):
    assert token(policies, "--jwks", str(policies / "keys.json")) == 0
    (policies.parent / "dev.pem").unlink()
    capsys.readouterr()
    assert token(policies) == 3
    shown = capsys.readouterr()
    assert (shown.out, "--jwks FILE" in shown.err) == ("", True)


def test_of_several_issuers_one_must_be_named(policies, capsys):
    (policies / "issuers.yaml").write_text(ISSUERS + OTHER)
    assert token(policies, "--jwks", str(policies / "keys.json")) == 3
    assert "main, other" in capsys.readouterr().err
    assert token(policies, "--jwks", str(policies / "keys.json"), "--issuer", "other") == 0


def test_an_issuer_whose_keys_are_fetched_is_asked_for_tokens(policies, capsys):
    (policies / "issuers.yaml").write_text(ISSUERS.replace("jwks_file: keys.json", "discovery: true"))
    assert token(policies) == 3
    assert "AZ431" in (told := capsys.readouterr().err)
    assert "its keys are fetched" in told
