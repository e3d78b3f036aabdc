"""What APIs are told of callers, signed: right claims, in time, kept for a while, and never the caller's own."""

import json

import pytest

from authorizer.app.credentials import options, published
from authorizer.errors import KeyMaterialError
from authorizer.jose import sign
from authorizer.jose.encoding import read_object
from authorizer.jose.jwk import read_key_set
from authorizer.jose.jws import Jws, parse, signature_fault
from authorizer.model import KINDS, Request
from authorizer.pdp.snapshot import build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from authorizer.settings import Assertion, Settings
from tests.forge.world import world

NOW = 1_795_000_000.0
MADE = world(NOW)
OPEN = b"kind: Application\nid: open\nhttp: {hosts: [open.example], routes: {GET /: public}}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    files = [tmp_path_factory.mktemp("keys") / name for name in ("first.pem", "second.pem")]
    for file in files:
        file.write_bytes(sign.generate("ES256"))
    return Assertion(
        issuer="https://authorizer.internal",
        key_files=tuple(map(str, files)),
        audiences={"api": "https://api.internal"},
    )


class World:
    """An authorizer whose clock stands at ``now``, and the keys that it publishes."""

    def __init__(self, asked):
        self.now = NOW
        settings = Settings(identity_headers={"x-assertion": "assertion", "x-user": "subject"}, assertion=asked)
        documents = compile_documents({**MADE.documents, "o.yaml": OPEN}).documents()
        snapshot = build(documents, dict.fromkeys(KINDS, "1"), options(settings))
        self.authorizer = Authorizer(snapshot, clock=lambda: self.now)
        self.keys = read_key_set(json.loads(published(asked))).keys

    def ask(self, token="good", host="api.example", target="/read", **more):
        headers = {"authorization": (f"Bearer {MADE.tokens[token]}",)} if token else {}
        return self.authorizer.check(Request(method="GET", target=target, host=host, headers=headers | more))

    def told(self, decision):
        taken = parse(dict(decision.upstream)["x-assertion"])
        assert isinstance(taken, Jws)
        assert (taken.header.algorithm, signature_fault(taken, self.keys[0])) == ("ES256", None)
        assert taken.header.key_id == self.keys[0].id
        return read_object(taken.payload)


@pytest.fixture
def it(asked):
    return World(asked)


def test_an_api_learns_who_calls(it):
    assert it.told(it.ask()) == {
        "iss": "https://authorizer.internal", "aud": "https://api.internal", "sub": "ann", "iat": int(NOW),
        "exp": int(NOW) + 60, "scope": "read", "idp": "https://login.example",
    }  # fmt: skip
    assert len(it.keys) == 2


def test_it_is_kept_with_the_identity_and_renewed_in_time(it):
    first = dict(it.ask().upstream)["x-assertion"]
    it.now = NOW + 29
    assert dict(it.ask().upstream)["x-assertion"] == first
    for seconds in (30, 61, 3000):
        it.now = NOW + seconds
        claims = it.told(it.ask())
        assert claims["iat"] <= it.now < claims["exp"] - 29
    it.now = NOW + 3590
    assert it.told(it.ask())["exp"] == int(NOW) + 3630, "an assertion does not outlive what it was made of"


def test_each_caller_and_each_api_has_its_own(it):
    assert it.told(it.ask("strong"))["acr"] == "phr"
    assert "acr" not in it.told(it.ask("good"))
    assert it.told(it.ask("good", "open.example", "/"))["aud"] == "open"
    assert it.told(it.ask())["aud"] == "https://api.internal"


def test_a_callers_own_copy_never_passes(it):
    mine = {"x-assertion": ("e30.e30.e30",)}
    assert it.told(it.ask(**mine))["sub"] == "ann"
    nobody = it.ask("", "open.example", "/", **mine)
    assert nobody.allowed
    assert "x-assertion" in nobody.remove
    assert "x-assertion" not in dict(nobody.upstream)
    denied = it.ask("expired", **mine)
    assert not denied.upstream


def test_a_key_that_cannot_be_used_stops_the_start(tmp_path):
    with pytest.raises(KeyMaterialError, match="AZ434"):
        published(Assertion(key_files=(str(tmp_path / "none"),)))
    (tmp_path / "bad").write_text("no key")
    with pytest.raises(KeyMaterialError, match="AZ410"):
        published(Assertion(key_files=(str(tmp_path / "bad"),)))
