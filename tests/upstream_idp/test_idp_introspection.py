"""Opaque tokens, and those that may be revoked: asked once, remembered for a moment, denied when nobody answers."""

import asyncio
import contextlib
import itertools
import ssl
from base64 import b64decode

import pytest
from aiohttp import web
from msgspec.structs import replace

from authorizer.jose import sign
from authorizer.jose.encoding import read_object
from authorizer.jose.jwk import read_key
from authorizer.model import Identity, Reason
from authorizer.pdp import facts, tokens
from authorizer.pdp.memo import Memo
from authorizer.pdp.trust import DISCOVERY, Fetched, renewed
from authorizer.upstream_idp import once
from authorizer.upstream_idp.calls import MOST_AT_ONCE, open_session
from authorizer.upstream_idp.clients import Client, Clients
from authorizer.upstream_idp.introspection import Introspector
from tests.doors.test_native_tls import LOOPBACK, Authority
from tests.jose.verified import verified
from tests.upstream_idp.provider import running, text, trusting, until

NOW = 1_800_000_000.0
GOOD = {"active": True, "sub": "ann", "aud": "api", "client_id": "app", "scope": "orders.read"}


class World:
    def __init__(self, provider, session, tokens_="opaque", **client):
        self.provider = provider
        self.now = NOW
        self.notes = []
        how = {"endpoint": f"{provider.url}/introspect", "client": "us", "tokens": tokens_, "seconds": "30"}
        self.trust = trusting(provider, introspection=how)
        keys = [read_key(key) for key in provider.jwks["keys"]]
        self.trust, _ = renewed(self.trust, {provider.url: Fetched(tuple(keys), float("inf"), DISCOVERY)})
        self.memo = Memo()
        known = {"id": "us", "method": "client_secret_basic", "secret": "s3cr:t", "session": session} | client
        self.clients = {"us": Client(**known)}
        names = map(str, itertools.count()).__next__
        self.introspector = Introspector(
            Clients(known=self.clients, seconds=0.5, clock=lambda: self.now, new_id=names), self.notes.append
        )

    async def judge(self, token):
        found = tokens.verify(token, self.trust, facts.NOTHING, self.memo, self.now)
        if not isinstance(found, Identity | Reason):
            how = self.trust.issuers[found.issuer].introspection
            learnt = {found: await self.introspector.ask(found.issuer, how, found.token)}
            found = tokens.verify(token, self.trust, facts.NOTHING, self.memo, self.now, learnt)
        return found if isinstance(found, Identity) else found.code


@contextlib.asynccontextmanager
async def world(**more):
    async with running() as provider, open_session() as session:
        provider.rotate("one")
        yield World(provider, session, **more)


async def test_an_active_token_is_asked_about_once_in_a_while():
    async with world() as it:
        it.provider.tokens["opaque"] = GOOD
        found = await it.judge("opaque")
        assert (found.subject, found.client, found.scopes) == ("ann", "app", frozenset({"orders.read"}))
        assert await it.judge("opaque") is found
        it.now += 31
        assert (await it.judge("opaque")).subject == "ann"
        form, auth = it.provider.asked[0]
        assert form == {"token": "opaque", "token_type_hint": "access_token"}
        assert b64decode(auth.removeprefix("Basic ")) == b"us:s3cr%3At"
        assert len(it.provider.asked) == 2


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"active": False}, "token_inactive"),
        (GOOD | {"aud": "other"}, "token_audience"),
        (GOOD | {"iss": "https://other.example"}, "token_issuer"),
        (GOOD | {"exp": int(NOW) - 100}, "token_expired"),
        (GOOD | {"nbf": int(NOW) + 100}, "token_not_yet"),
        (GOOD | {"cnf": {"x": "y"}}, "token_unbound"),
        (GOOD | {"token_type": "DPoP"}, "token_unbound"),
        (GOOD | {"token_use": "refresh_token"}, "token_type"),
        (GOOD | {"typ": "Offline"}, "token_type"),
        ({"active": True, "aud": "api"}, "token_claims"),
        ({"active": True, "sub": "ann"}, "token_claims"),
        ({"active": "true"}, "introspection_failed"),
        ({}, "introspection_failed"),
        ([], "introspection_failed"),
    ],
)
async def test_what_the_issuer_says_is_judged_like_claims(told, code):
    async with world() as it:
        it.provider.tokens["opaque"] = told
        answers = [await it.judge("opaque") for _ in range(3)]
        assert answers == [code] * 3
        # What could be told counts for a while, also where it is not good enough.
        assert len(it.provider.asked) == (3 if code == "introspection_failed" else 1)


async def test_an_answer_counts_no_longer_than_the_document_says_by_then():
    async with world() as it:
        it.provider.tokens["opaque"] = GOOD
        assert (await it.judge("opaque")).subject == "ann"
        row = it.trust.opaque
        shorter = replace(row, introspection=replace(row.introspection, seconds=5))
        it.trust, it.memo = replace(it.trust, issuers={row.issuer: shorter}, opaque=shorter), Memo()
        it.provider.tokens.clear()
        assert await it.judge("opaque") == "token_inactive"


async def test_an_inactive_token_is_not_asked_about_again_at_once():
    async with world() as it:
        assert [await it.judge("gone") for _ in range(3)] == ["token_inactive"] * 3
        assert len(it.provider.asked) == 1
        it.now += 6
        await it.judge("gone")
        assert (len(it.provider.asked), it.notes) == (2, ["inactive", "inactive"])


async def test_many_at_once_make_one_call():
    async with world() as it:
        it.provider.tokens["opaque"] = GOOD
        found = await asyncio.gather(*(it.judge("opaque") for _ in range(50)))
        assert {one.subject for one in found} == {"ann"}
        assert len(it.provider.asked) == 1


async def slow(_request):
    await asyncio.sleep(1)
    return web.Response()


@pytest.mark.parametrize("kind", ["opaque", "jwt", "all"])
async def test_which_tokens_are_asked_about(kind):
    async with world(tokens_=kind) as it:
        token = it.provider.token("one", NOW)
        it.provider.tokens = {"opaque": GOOD}
        found = [await it.judge(one) for one in ("opaque", token)]
        opaque, signed = (one if isinstance(one, str) else one.subject for one in found)
        assert opaque == ("token_malformed" if kind == "jwt" else "ann")
        assert signed == ("ann" if kind == "opaque" else "token_inactive")


async def test_any_number_of_issuers_is_asked_about_tokens_that_say_whose_they_are():
    async with world(tokens_="jwt") as it, world(tokens_="jwt") as partner:
        row = partner.trust.issuers[partner.provider.url]
        it.trust = replace(it.trust, issuers={**it.trust.issuers, row.issuer: row})
        for each in (it, partner):
            token = each.provider.token("one", NOW)
            assert await it.judge(token) == "token_inactive"
            assert [form["token"] for form, _ in each.provider.asked] == [token]


@pytest.mark.parametrize(
    "answer", [slow, text(b"", 500), text(b"", 302, location="/"), text(b"x" * 600_000), text(b"{")]
)
async def test_who_cannot_be_asked_denies(answer):
    async with world() as it:
        it.provider.answer = answer
        assert await it.judge("opaque") == "introspection_failed"
        assert it.notes == ["failed"]


async def test_tokens_that_verify_are_asked_about_where_all_are():
    async with world(tokens_="all") as it:
        token = it.provider.token("one", NOW)
        assert await it.judge(token) == "token_inactive"
        it.provider.tokens[token] = {"active": True}
        it.now += 6
        assert (await it.judge(token)).subject == "ann"
        it.provider.tokens[token] = {"active": False}
        assert (await it.judge(token)).subject == "ann"
        it.now += 31
        assert await it.judge(token) == "token_inactive", "a revoked token is refused after 30 s at most"
        assert await it.judge(token[:-8] + "AAAAAAAA") == "token_signature"
        assert len(it.provider.asked) == 3, "a token that is not sound is not asked about"


async def test_what_is_remembered_of_large_answers_is_bounded():
    async with world() as it:
        it.memo = Memo(tokens=16_384, characters=400_000)
        for number in range(60):
            it.provider.tokens[f"opaque-{number}"] = GOOD | {"more": "x" * 10_000}
            assert (await it.judge(f"opaque-{number}")).extra > 10_000
        assert len(it.memo) < 45
        it.provider.tokens["opaque-large"] = GOOD | {"more": "x" * 70_000}
        assert await it.judge("opaque-large") == "introspection_failed"


async def test_an_assertion_signs_for_us():
    pem = sign.generate("ES256")
    key = sign.load_private(pem, "ES256")
    async with world(method="private_key_jwt", key=key, algorithm="ES256", key_id="k") as it:
        it.provider.tokens["opaque"] = GOOD
        assert (await it.judge("opaque")).subject == "ann"
        form, auth = it.provider.asked[0]
        read = verified(form["client_assertion"], read_key(sign.public_jwk(pem, "ES256", "k")))
        claims = read_object(read.payload)
        assert (claims["iss"], claims["sub"], claims["aud"]) == ("us", "us", f"{it.provider.url}/introspect")
        assert (claims["iat"], claims["exp"], claims["jti"]) == (int(NOW), int(NOW) + 60, "0")
        assert (auth, form["client_id"]) == ("", "us")
    async with world(method="private_key_jwt", key=key, algorithm="ES256", audience="https://login.example") as it:
        await it.judge("opaque")
        read = verified(it.provider.asked[0][0]["client_assertion"], read_key(sign.public_jwk(pem, "ES256")))
        assert read_object(read.payload)["aud"] == "https://login.example"


async def test_calls_wait_for_their_turn_before_they_are_signed():
    key = sign.load_private(sign.generate("ES256"), "ES256")
    async with running() as hanging, world(method="private_key_jwt", key=key, algorithm="ES256") as it:
        hanging.answer = slow
        it.provider.tokens["opaque"] = GOOD
        how = it.trust.opaque.introspection
        there = replace(how, endpoint=f"{hanging.url}/introspect")
        signed = []
        clients = replace(it.introspector._clients, new_id=lambda: str(signed.append(1)))
        introspector = Introspector(clients, it.notes.append)
        asking = [asyncio.create_task(introspector.ask("i", there, f"strange-{number}")) for number in range(100)]
        await until(lambda: len(signed) == MOST_AT_ONCE)
        assert (await introspector.ask("i", how, "opaque")).claims["sub"] == "ann", "one that hangs holds up no other"
        assert await asyncio.gather(*asking) == [None] * 100
        assert len(signed) < 50, "most never had their turn, and ended in time too"


async def test_strange_tokens_do_not_hold_up_those_that_were_good(monkeypatch):
    monkeypatch.setattr(once, "MAX_PENDING", 50)
    async with world() as it:

        async def answer(request):
            if (await request.post())["token"].startswith("strange"):
                await asyncio.sleep(1)
            return web.json_response(GOOD)

        it.provider.answer = answer
        how = it.trust.opaque.introspection

        async def ask(token, **more):
            return await it.introspector.ask("i", how, token, **more)

        strange = [asyncio.create_task(ask(f"strange-{number}")) for number in range(100)]
        await until(lambda: "overload" in it.notes)
        assert (await ask("good-1", known=True)).claims["sub"] == "ann"
        assert await ask("good-2") is None
        assert await asyncio.gather(*strange) == [None] * 100
        assert (await ask("good-2")).claims["sub"] == "ann"


async def test_a_failure_is_logged_once_in_a_while(caplog):
    async with world() as it:
        it.provider.answer = text(b"", 503)
        for seconds, lines in ((0, 1), (9, 1), (1, 2), (-100, 3)):
            it.now += seconds
            for number in range(3):
                assert await it.judge(f"{seconds}-{number}") == "introspection_failed"
            assert caplog.text.count("could not be asked about a token: AZ532") == lines
        assert it.notes == ["failed"] * 12


async def test_a_certificate_speaks_for_us(tmp_path):
    authority = Authority(tmp_path, "authority")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    tls.load_cert_chain(*authority.issue("server", LOOPBACK))
    tls.verify_mode = ssl.CERT_REQUIRED
    ours = tuple(map(str, authority.issue("us")))
    async with running(tls) as provider:
        provider.rotate("one")
        provider.tokens["opaque"] = GOOD
        for certificate, found in ((ours, "ann"), (None, "introspection_failed")):
            async with open_session(str(authority.file), certificate) as session:
                answer = await World(provider, session, method="tls_client_auth", secret="").judge("opaque")
                assert (answer if isinstance(answer, str) else answer.subject) == found
    assert provider.asked == [({"token": "opaque", "token_type_hint": "access_token", "client_id": "us"}, "")]


async def test_a_secret_may_go_in_the_form():
    async with world(method="client_secret_post") as it:
        await it.judge("opaque")
        form, auth = it.provider.asked[0]
        assert (form["client_secret"], auth) == ("s3cr:t", "")


async def test_an_unknown_client_denies():
    async with world() as it:
        it.clients.clear()
        assert await it.judge("opaque") == "introspection_failed"
        assert it.provider.asked == []
