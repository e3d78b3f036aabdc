"""Tokens of one issuer exchanged for those of another: asked once, verified like any other, denied when it goes wrong."""

import asyncio
import json
import logging

import pytest
from aiohttp import web

from authorizer.jose import sign
from authorizer.jose.dpop import token_hash
from authorizer.pdp.needs import Exchanged
from authorizer.pdp.sources import compile_documents
from authorizer.upstream_idp import once
from authorizer.upstream_idp.once import Once
from tests.forge.proofs import sign_proof, thumbprint_of
from tests.upstream_idp.exchanging import ISSUED, NOW, PARTNER, world
from tests.upstream_idp.provider import text


async def test_a_token_is_exchanged_once_and_the_caller_is_whom_the_new_one_names():
    async with world() as it:
        partners, ours = it.token("partner", sub="bob"), it.token("main", sub="b-17", scope="read")
        it.answer(partners, ours)
        decisions = [await it.ask(f"Bearer {partners}") for _ in range(3)]
        assert {(one.reason.code, one.subject) for one in decisions} == {("allowed", "b-17")}
        assert dict(decisions[2].upstream) == {"authorization": f"Bearer {ours}", "x-auth-subject": "b-17"}
        form, auth = it.provider.asked[0]
        assert form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": partners,
            "subject_token_type": ISSUED,
            "requested_token_type": ISSUED,
            "audience": "api",
            "scope": "read",
        }
        assert auth.startswith("Basic ")
        assert (len(it.provider.asked), it.notes) == (1, ["exchanged"])
        assert await it.code(ours) == "allowed", "our own tokens need no exchange"


async def test_what_the_api_gets():
    sources = {"x-exchanged": "exchanged_token", "x-original": "original_token"}
    for how, headers, host, expected in (
        ("exchanged", {}, "api.example", {"authorization": "Bearer OURS"}),
        ("original", {}, "api.example", {}),
        ("exchanged", sources, "api.example",
         {"authorization": "Bearer OURS", "x-exchanged": "OURS", "x-original": "THEIRS"}),
        ("original", sources, "api.example", {"x-exchanged": "OURS", "x-original": "THEIRS"}),
        ("exchanged", sources, "bare.example", {"authorization": "Bearer OURS", "x-exchanged": "OURS"}),
        ("original", {"authorization": "credential"}, "api.example", {"authorization": "Bearer THEIRS"}),
        ("exchanged", {"authorization": "credential"}, "api.example", {"authorization": "Bearer OURS"}),
        ("original", {"authorization": "credential"}, "bare.example", {}),
    ):  # fmt: skip
        async with world(headers=headers, authorization=how) as it:
            theirs, ours = it.token("partner"), it.token("main", scope="read")
            it.answer(theirs, ours)
            for token in (theirs, theirs, ours):
                decision = await it.ask(f"Bearer {token}", host, x_original="forged", x_exchanged="forged")
                assert decision.allowed
                found = {name: value.replace(ours, "OURS") for name, value in decision.upstream}
                found = {name: value.replace(theirs, "THEIRS") for name, value in found.items()}
                passed = headers.get("authorization") and host == "api.example"
                mine = {"authorization": "Bearer OURS"} if passed else {}
                assert found == (expected if token == theirs else mine), (how, headers, host)
                # What is not set is taken off, the caller's own copies above all.
                assert headers.keys() <= {*found, *decision.remove}
                assert found.keys().isdisjoint(decision.remove)


@pytest.mark.parametrize(
    ("claims", "more", "code"),
    [
        ({"aud": "other"}, {}, "exchange_failed"),
        ({"iss": "https://unknown.example"}, {}, "exchange_failed"),
        ({"iss": PARTNER}, {}, "exchange_failed"),
        ({"exp": int(NOW) - 100}, {}, "exchange_failed"),
        ({"cnf": {"jkt": "A" * 43}}, {}, "exchange_failed"),
        ({}, {"token_type": "DPoP"}, "exchange_failed"),
        ({}, {"token_type": None}, "exchange_failed"),
        ({}, {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "exchange_failed"),
        ({}, {"issued_token_type": ["x"]}, "exchange_failed"),
        ({}, {"expires_in": 0}, "exchange_failed"),
        ({}, {"expires_in": "300"}, "exchange_failed"),
        ({}, {"access_token": "a b"}, "exchange_failed"),
        ({}, {"access_token": "x" * 17_000}, "exchange_failed"),
        ({}, {"access_token": "opaque"}, "exchange_failed"),
        ({}, {"access_token": None}, "exchange_failed"),
        ({}, {"error": "invalid_grant"}, "token_not_exchanged"),
        ({}, {"error": "invalid_target"}, "token_not_exchanged"),
        ({}, {"error": "invalid_client"}, "exchange_failed"),
        ({}, {"error": {"x": 1}}, "exchange_failed"),
        ({"scope": "other"}, {}, "no_matching_policy"),
    ],
)
async def test_what_is_exchanged_is_judged_like_any_token(claims, more, code):
    async with world() as it:
        theirs = it.token("partner")
        signer = "partner" if claims.get("iss") == PARTNER else "main"
        it.answer(theirs, it.token(signer, **{"scope": "read"} | claims), **more)
        decision = await it.ask(f"Bearer {theirs}")
        assert (decision.reason.code, decision.upstream) == (code, ())


async def test_no_token_is_exchanged_for_itself_or_further():
    async with world() as it:
        first, second = it.token("partner", jti="1"), it.token("partner", jti="2")
        it.answer(first, first)
        assert await it.code(first) == "exchange_failed"
        it.answer(second, first)
        assert await it.code(second) == "exchange_failed"
        assert len(it.provider.asked) == 2


@pytest.mark.parametrize("name", ["https://unknown.example", PARTNER])
async def test_what_is_not_trusted_is_never_exchanged(name):
    async with world() as it:
        body = {"iss": name, "aud": "api", "sub": "x", "exp": int(NOW) + 60}
        token = sign.sign(body, sign.generate("ES256"), "ES256", "partner")
        assert await it.code(token) in {"token_issuer", "token_signature"}
        assert await it.code(it.token("partner", aud="other")) == "token_audience"
        assert it.provider.asked == []


async def test_how_long_it_counts():
    async with world() as it:
        theirs = it.token("partner", exp=int(NOW) + 5000)
        it.answer(theirs, it.token("main", scope="read"), expires_in=20)
        for step, calls in ((0, 1), (19, 1), (2, 2), (19, 2)):
            it.now += step
            assert await it.code(theirs) == "allowed"
            assert len(it.provider.asked) == calls
        it.answer(theirs, it.token("main", scope="read"), expires_in=5000)
        for step, calls in ((2, 3), (59, 3), (2, 4)):
            it.now += step
            assert await it.code(theirs) == "allowed"
            assert len(it.provider.asked) == calls, "at most 'seconds', whatever the provider says"
        short = it.token("partner", jti="s", exp=int(it.now) + 10)
        it.answer(short, it.token("main", scope="read"))
        assert await it.code(short) == "allowed"
        it.now += 45  # 30 s of leeway
        assert await it.code(short) == "token_expired"
        theirs = it.token("partner", jti="l", exp=int(it.now) + 5000)
        it.answer(theirs, it.token("main", scope="read", exp=int(it.now) + 10), expires_in=None)
        assert await it.code(theirs) == "allowed"
        it.now += 45
        assert await it.code(theirs) == "exchange_failed", "what it was exchanged for has ended"


async def test_other_facts_ask_no_one_anew_and_take_back_both_tokens():
    async with world() as it:
        theirs = it.token("partner", jti="p-1")
        it.answer(theirs, it.token("main", scope="read", jti="m-1"))
        assert await it.code(theirs) == "allowed"
        for revision, revoked, code in (
            ("2", {}, "allowed"),
            ("3", {"jti": {"partner/p-1": {"until": "2100-01-01T00:00:00Z"}}}, "credential_revoked"),
            ("4", {"jti": {"m-1": {"until": "2100-01-01T00:00:00Z"}}}, "exchange_failed"),
            ("5", {}, "allowed"),
        ):
            row = json.dumps({"kind": "Facts", "revoked": revoked})
            it.documents["facts"] = compile_documents({"f.yaml": row.encode()}).documents()["facts"]
            it.revisions["facts"] = revision
            it.authorizer.snapshot = it.snapshot(it.authorizer.snapshot)
            assert await it.code(theirs) == code
        assert len(it.provider.asked) == 1


async def test_a_bound_token_keeps_its_bond():
    async with world() as it:
        prover = sign.generate("ES256")
        theirs = it.token("partner", cnf={"jkt": thumbprint_of(prover)})
        it.answer(theirs, it.token("main", scope="read"))
        assert await it.code(theirs) == "proof_scheme"
        assert (await it.ask(f"DPoP {theirs}")).reason.code == "proof_missing"
        claims = {"jti": "1", "htm": "GET", "htu": "https://api.example/read", "iat": int(NOW)}
        proof = sign_proof(prover, claims | {"ath": token_hash(theirs)})
        assert (await it.ask(f"DPoP {theirs}", dpop=proof)).allowed


async def test_many_at_once_make_one_call_and_a_refusal_counts_for_a_moment():
    async with world() as it:
        theirs = it.token("partner")
        assert set(await asyncio.gather(*(it.code(theirs) for _ in range(50)))) == {"token_not_exchanged"}
        assert await it.code(theirs) == "token_not_exchanged"
        assert len(it.provider.asked) == 1
        it.answer(theirs, it.token("main", scope="read"))
        it.now += 6
        assert set(await asyncio.gather(*(it.code(theirs) for _ in range(50)))) == {"allowed"}
        assert len(it.provider.asked) == 2


async def slow(_request):
    await asyncio.sleep(1)
    return web.Response()


@pytest.mark.parametrize(
    "answer",
    [slow, text(b"", 500), text(b"", 302, location="/"), text(b"x" * 600_000), text(b"{"), text(b"[]"),
     text(b'{"error":"invalid_grant"}', 401), text(b"", 400)],
)  # fmt: skip
async def test_who_cannot_be_asked_denies_and_nothing_is_told(answer, caplog):
    caplog.set_level(logging.DEBUG)
    async with world() as it:
        it.provider.answer = answer
        theirs = it.token("partner")
        decision = await it.ask(f"Bearer {theirs}")
        assert (decision.reason.code, decision.reason.status, it.notes) == ("exchange_failed", 503, ["failed"])
        it.provider.answer = None
        it.answer(theirs, it.token("main", scope="read"))
        assert await it.code(theirs) == "allowed", "a failure is not remembered"
        told = f"{caplog.text} {decision} {it.authorizer.snapshot.memo._young}"
        assert not any(part in told for part in (theirs.split(".")[2], "a-secret-that-no-log-may-show"))


async def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(once, "MAX_KEPT", 100)
    monkeypatch.setattr(once, "MAX_CHARACTERS", 1000)
    monkeypatch.setattr(once, "MAX_PENDING", 3)
    asking = Once(lambda: 0.0)

    async def call():
        return once.Answer("x", 1.0, 50)

    for number in range(500):
        assert await asking.ask(once.digest(str(number)), call, lambda: "busy") == "x"
    assert len(asking) == 20
    found = await asyncio.gather(*(asking.ask(once.digest("n", str(n)), call, lambda: "busy") for n in range(5)))
    assert found == ["x", "x", "x", "busy", "busy"]
    assert repr(Exchanged("secret", 1.0)) == "Exchanged()"


async def test_who_gives_up_takes_the_answer_from_nobody():
    asking, told = Once(lambda: 0.0), asyncio.Event()

    async def call():
        await told.wait()
        return once.Answer("x", 1.0)

    first, second = (asyncio.create_task(asking.ask(b"one", call, lambda: "busy")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    told.set()
    assert await second == "x"
    assert first.cancelled()
