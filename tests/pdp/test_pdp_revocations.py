"""What was taken back is refused as soon as the facts say so, also where it was remembered, and until their moment."""

import json

import pytest

from authorizer.errors import BundleError
from authorizer.jose import sign
from authorizer.model import Identity, Request
from authorizer.pdp import facts
from authorizer.pdp.authentication import authenticate
from authorizer.pdp.certificates import Place
from authorizer.pdp.needs import NOTHING_LEARNT
from authorizer.pdp.revocations import is_revoked
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy import documents
from tests.forge.world import ISSUER, world

NOW = 1_795_000_000.0
LATER = "2027-01-01T00:00:00Z"
END = 1_798_761_600.0
MADE = world(NOW)
OPTIONS = Options(certificates={"grpc": Place(form="pem", header="x-cert"), "http": Place()})
BY_TOKEN = {"authorization": (f"Bearer {MADE.tokens['good']}",)}
BY_KEY = {"x-api-key": (MADE.keys["current"],)}
BY_CERTIFICATE = {"x-cert": (MADE.escaped("client"),)}


def snapshot(revoked, previous=None, number="1"):
    more = {} if revoked is None else {"f.yaml": f"kind: Facts\nrevoked: {json.dumps(revoked)}".encode()}
    compiled = compile_documents({**MADE.documents, **more})
    assert [problem for problem in compiled.problems if problem.severity == "error"] == []
    revisions = {"policy": "1", "trust": "1", "facts": number}
    return build(compiled.documents(), revisions, OPTIONS, previous)


def judged(using, headers, now=NOW):
    found = authenticate(using, Request(method="GET", target="/read", headers=headers), now, NOTHING_LEARNT)
    return "accepted" if isinstance(found, Identity) else found.code


@pytest.mark.parametrize(
    ("headers", "revoked", "found"),
    [
        (BY_TOKEN, {"sub": {"ann": {"until": LATER}}}, "credential_revoked"),
        (BY_TOKEN, {"sub": {"bob": {"until": LATER}}}, "accepted"),
        (BY_TOKEN, {"client": {"ann": {"until": LATER}}}, "accepted"),
        (BY_KEY, {"client": {"job": {"until": LATER}}}, "credential_revoked"),
        (BY_KEY, {"sub": {"job": {"until": LATER}}}, "credential_revoked"),
        (BY_CERTIFICATE, {"client": {"spiffe://acme.example/web": {"until": LATER}}}, "credential_revoked"),
    ],
)
def test_it_takes_effect_with_the_facts_and_ends(headers, revoked, found):
    before = snapshot(None)
    assert judged(before, headers) == "accepted"
    after = snapshot(revoked, before, "2")
    assert after.memo.before is before.memo, "no signature is checked again"
    assert [judged(after, headers), judged(after, headers)] == [found, found]
    assert judged(snapshot(None, after, "3"), headers) == "accepted"
    # The token itself has ended by then.
    if headers is not BY_TOKEN:
        assert judged(after, headers, END - 1) == found
        assert judged(after, headers, END) == "accepted"


@pytest.mark.parametrize("kind", ["jti", "sid"])
@pytest.mark.parametrize(("name", "found"), [("x", True), ("partner/x", False), ("y", False)])
def test_tokens_and_logins_by_name(kind, name, found):
    told = facts.load({"format": 1, "revoked": {kind: {name: END}}})
    assert is_revoked(Identity(claims={kind: "x"}), told, NOW) is found
    assert is_revoked(Identity(claims={kind: "x"}, namespace="partner/"), told, NOW) is (name == "partner/x")
    assert not is_revoked(Identity(claims={}), told, NOW)


@pytest.mark.parametrize("kind", ["jti", "sid"])
@pytest.mark.parametrize("value", [7, None, "", ["x"], {"x": 1}])
def test_what_cannot_be_compared_with_what_is_revoked_is_refused(kind, value):
    claims = {"iss": ISSUER, "aud": "api", "sub": "ann", "iat": int(NOW), "exp": int(NOW) + 60, kind: value}
    headers = {"authorization": (f"Bearer {sign.sign(claims, MADE.pem, 'ES256', 'main')}",)}
    other = "sid" if kind == "jti" else "jti"
    for revoked, found in ((None, "accepted"), ({other: {"7": {"until": LATER}}}, "accepted"),
                           ({kind: {"7": {"until": LATER}}}, "token_claims")):  # fmt: skip
        assert judged(snapshot(revoked), headers) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{jti: {a: {}}}", "AZ210"),
        ("{jti: {a: {until: soon}}}", "T206"),
        ("{jti: {a: 2027-01-01T00:00:00Z}}", "AZ209"),
        ("{ip: {a: {until: 2027-01-01T00:00:00Z}}}", "AZ204"),
        (f"{{jti: {{{', '.join(f'a{n}: {{until: {LATER}}}' for n in range(6))}}}}}", "T206"),
    ],
)
def test_what_is_wrong_is_refused(text, code, monkeypatch):
    monkeypatch.setattr(facts, "MAX_REVOKED", 5)
    _, problems = facts.compile_facts(documents.load(f"kind: Facts\nrevoked: {text}", "f.yaml"))
    assert [problem.code for problem in problems] == [code]


def test_a_bundle_with_an_unknown_kind_is_refused():
    with pytest.raises(BundleError, match="AZ315"):
        facts.load({"format": 1, "revoked": {"ip": {"a": END}}})
