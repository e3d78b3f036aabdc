"""The issuers' keys: fetched, rotated, kept; and what a provider that fails or lies cannot do."""

import asyncio
import contextlib
import json
import threading
import time

import pytest
from aiohttp import web
from msgspec.structs import replace

from authorizer.jose import sign
from authorizer.jose.encoding import encode_base64url
from authorizer.model import Identity
from authorizer.pdp import facts, tokens
from authorizer.pdp.memo import Memo
from authorizer.pdp.trust import DISCOVERY, Fetched, renewed
from authorizer.upstream_idp import calls, kept_keys, keys
from authorizer.upstream_idp.calls import open_session
from authorizer.upstream_idp.refreshing import Pace, Refreshing
from tests.upstream_idp.provider import running, text, trusting, until

NOW = 1_800_000_000.0
PACE = Pace(refresh=600, max_age=3600, cooldown=30, timeout=0.4)


class World:
    """A decision's view: trust and memo, renewed as the app renews them."""

    def __init__(self, provider, session, directory=None, pace=PACE, **more):
        self.provider = provider
        self.now = NOW
        self.trust = trusting(provider, **more)
        self.memo = Memo()
        self.notes, self.ages = [], []
        self.refreshing = Refreshing(
            session,
            directory,
            pace,
            lambda: self.trust,
            self.put,
            self.notes.append,
            lambda ages: setattr(self, "ages", [*ages.values()]),
            lambda: self.now,
        )

    async def put(self, fetched):
        self.trust, kept = renewed(self.trust, fetched)
        if not kept:
            self.memo = Memo()

    def judge(self, token):
        found = tokens.verify(token, self.trust, facts.NOTHING, self.memo, self.now)
        return "good" if isinstance(found, Identity) else found.code

    async def settle(self):
        await self.refreshing.look_once()
        await asyncio.gather(*(seen.task for seen in self.refreshing._seen.values() if seen.task is not None))


@contextlib.asynccontextmanager
async def world(**more):
    async with running() as provider, open_session() as session:
        provider.rotate("one")
        yield World(provider, session, **more)


async def test_keys_are_found_by_the_metadata_and_rotated():
    async with world() as it:
        first = it.provider.token("one", NOW)
        assert it.judge(first) == "keys_stale"
        await it.settle()
        assert it.judge(first) == "good"
        it.provider.rotate("one", "two")
        second = it.provider.token("two", NOW)
        assert it.judge(second) == "token_key"
        await it.settle()
        assert it.judge(second) == "token_key", "the cool-down since the last fetch is not over"
        it.now += 31
        assert it.judge(second) == "token_key"
        await it.settle()
        assert it.judge(second) == "good"
        memo = it.memo
        assert it.judge(first) == "good"
        it.provider.rotate("two")
        it.now += 601
        await it.settle()
        assert (it.judge(first), it.memo is memo) == ("token_key", False), "what a withdrawn key signed is forgotten"
        assert it.judge(second) == "good"


async def test_keys_that_came_are_told_of_and_not_those_that_came_again(caplog, tmp_path):
    caplog.set_level("INFO", "authorizer.upstream_idp")
    async with world(directory=tmp_path) as it:
        for names, lines in ((["one"], 1), (["one"], 1), (["one", "two"], 2), (["one", "two"], 2), (["two"], 3)):
            it.provider.rotate(*names)
            it.now += 700
            await it.settle()
            assert caplog.text.count(" in force: ") == lines
        assert it.notes == ["fetched"] * 5


async def test_keys_are_found_where_the_document_says():
    async with world() as it:
        it.trust = trusting(it.provider, discovery=None, jwks_uri=f"{it.provider.url}/keys")
        await it.settle()
        assert it.judge(it.provider.token("one", NOW)) == "good"
        assert it.provider.calls == ["/keys"]


async def test_ten_thousand_unknown_keys_make_one_call():
    async with world() as it:
        await it.settle()
        it.now += 31
        calls = len(it.provider.calls)
        rest = it.provider.token("one", NOW).partition(".")[2]
        for number in range(10_000):
            head = encode_base64url(f'{{"alg":"ES256","kid":"key-{number}","typ":"JWT"}}'.encode())
            assert it.judge(f"{head}.{rest}") == "token_key"
            if number % 1000 == 0:
                await it.settle()
        await it.settle()
        assert len(it.provider.calls) == calls + 2  # metadata and keys
        assert len(it.trust.wanted) <= 1


async def test_a_provider_that_is_down_leaves_the_keys_until_their_age():
    async with world() as it:
        await it.settle()
        token = it.provider.token("one", NOW, exp=int(NOW) + 80_000)
        it.provider.answer = text(b"", 503)
        for _ in range(5):
            it.now += 700
            await it.settle()
            assert it.judge(token) == "good"
        it.now = NOW + 3600
        await it.settle()
        assert it.judge(token) == "keys_stale"
        it.provider.answer = None
        it.now += 700
        await it.settle()
        assert it.judge(token) == "good"
        assert it.notes == ["fetched", *["failed"] * 6, "fetched"]


def key(**changes):
    return sign.public_jwk(sign.generate("ES256"), "ES256", "two") | changes


WEAK = encode_base64url((2**1023 + 1).to_bytes(128))


# Each would take the key that is in force away, or bring another, if it were taken.
@pytest.mark.parametrize(
    ("jwks", "why"),
    [
        ({"keys": []}, "no key fits"),
        ({"keys": [key(use="enc")]}, "no key fits"),
        ({"keys": [key(), {"kty": "oct", "k": "AAAA"}]}, "symmetric"),
        ({"keys": [key(), key(kid="three", d="AAAA")]}, "private"),
        ({"keys": [key(), key()]}, "same 'kid'"),
        ({"keys": [key(), {"kty": "RSA", "n": WEAK, "e": "AQAB", "kid": "three"}]}, "1024 bits"),
        ({"keys": [key(kid=str(number)) for number in range(101)]}, "at most 100 keys"),
        ({"keys": [key(more="x" * 600_000)]}, "more than 524288 bytes"),
        ({"keys": "none"}, "must be a JSON object"),
        ([], "must be a JSON object"),
    ],
    ids=[
        "empty",
        "none for signatures",
        "symmetric",
        "private",
        "twice",
        "weak",
        "many",
        "large",
        "no list",
        "no object",
    ],
)
async def test_a_set_that_is_not_sound_changes_nothing(jwks, why, caplog):
    async with world() as it:
        await it.settle()
        before = it.trust
        it.provider.jwks = jwks
        it.now += 700
        await it.settle()
        assert it.notes == ["fetched", "failed"]
        assert why in caplog.text
        assert it.trust is before
        assert it.judge(it.provider.token("one", it.now)) == "good"


async def slow(_request):
    await asyncio.sleep(1)
    return web.Response()


async def endless(request):
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            await response.write(b" " * 65536)
    return response


@pytest.mark.parametrize(
    "answer",
    [
        slow, endless, text(b"", 302, location="/keys"), text(b"", 500), text(b"not json"), text(b'{"keys": 1, "keys": 2}'),
        text(json.dumps({"issuer": "https://other.example", "jwks_uri": "https://other.example/keys"}).encode()),
        text(b"{}", 200, **{"content-encoding": "gzip"}),
    ],
)  # fmt: skip
async def test_a_provider_that_fails_or_lies_changes_nothing(answer):
    async with world() as it:
        await it.settle()
        it.provider.answer = answer
        it.now += 700
        await it.settle()
        assert it.notes == ["fetched", "failed"]
        assert it.judge(it.provider.token("one", it.now)) == "good"


async def test_neither_a_redirect_nor_anothers_metadata_bring_keys():
    async with world() as it:
        own = it.provider.token("one", NOW)
        for path, answer in (
            ("/.well-known/openid-configuration", text(b"", 302, location="/moved")),
            ("/keys", text(b"", 307, location="/moved")),
            (
                "/.well-known/openid-configuration",
                text(json.dumps({"issuer": "https://other.example", "jwks_uri": f"{it.provider.url}/keys"}).encode()),
            ),
        ):

            async def lying(request, path=path, answer=answer):
                if request.path == path:
                    return await answer(request)
                found = {"issuer": it.provider.url, "jwks_uri": f"{it.provider.url}/keys"}
                return web.json_response(found | it.provider.jwks)

            it.provider.answer = lying
            it.now += 700
            await it.settle()
            assert it.judge(own) == "keys_stale"
        assert it.notes == ["failed"] * 3
        assert "/moved" not in it.provider.calls


async def test_metadata_that_lead_elsewhere_are_refused():
    async with world() as it:
        for url in (
            "http://keys.example/",
            "file:///etc/passwd",
            "https://user@keys.example",
            "https://[keys/",
            5,
            None,
        ):
            it.provider.metadata = {"jwks_uri": url}
            it.now += 700
            await it.settle()
        assert it.notes == ["failed"] * 6
        assert set(it.provider.calls) == {"/.well-known/openid-configuration"}


async def test_a_restart_goes_on_with_what_is_kept(tmp_path):
    async with world(directory=tmp_path) as it:
        await it.settle()
        token = it.provider.token("one", NOW)
        it.provider.answer = text(b"", 503)
        again = World(it.provider, it.refreshing._session, tmp_path)
        await again.settle()
        assert again.judge(token) == "good"
        assert [file.suffix for file in sorted(tmp_path.iterdir())] == [".json", ".lock"]
        next(tmp_path.glob("*.json")).write_bytes(b"{}")
        damaged = World(it.provider, it.refreshing._session, tmp_path)
        await damaged.settle()
        assert damaged.judge(token) == "keys_stale"


async def test_a_place_that_the_document_names_no_more_has_no_say(tmp_path):
    async with world(directory=tmp_path) as it:
        await it.settle()
        token = it.provider.token("one", NOW)
        assert it.judge(token) == "good"
        fetched_before = Fetched(next(iter(it.refreshing._seen.values())).kept.keys, NOW + 3600, DISCOVERY)
        it.trust, it.memo = trusting(it.provider, discovery=None, jwks_uri=f"{it.provider.url}/moved"), Memo()
        await it.put({it.provider.url: fetched_before})
        for world_ in (it, World(it.provider, it.refreshing._session, tmp_path)):
            world_.trust = it.trust
            await world_.settle()
            assert (world_.judge(token), world_.notes[-1]) == ("keys_stale", "failed")
        assert it.provider.calls[-2:] == ["/moved", "/moved"]


async def test_what_a_key_may_do_no_more_is_forgotten():
    async with world() as it:
        it.provider.jwks["keys"][0].pop("alg")
        await it.settle()
        memo = it.memo
        before = next(iter(it.trust.issuers.values())).keys[0]
        narrower = replace(before, checks={})
        for keys, kept in (((before,), True), ((narrower,), False)):
            await it.put({it.provider.url: Fetched(keys, NOW + 3600, DISCOVERY)})
            assert (it.memo is memo) is kept


@pytest.mark.parametrize("kept", [False, True])
async def test_a_clock_that_is_set_back_does_not_stop_the_rotation(tmp_path, kept):
    async with world(directory=tmp_path if kept else None) as it:
        it.now = NOW + 86_400
        await it.settle()
        it.provider.rotate("two")
        it.now = NOW
        await it.settle()
        calls = len(it.provider.calls)
        assert it.judge(it.provider.token("two", NOW)) == "good"
        it.provider.answer = text(b"", 503)
        it.now += 5
        for _ in range(5):
            await it.settle()
        assert len(it.provider.calls) == calls
        it.now = NOW + 3600
        assert it.judge(it.provider.token("two", it.now)) == "keys_stale", (
            "they are trusted for their age, and no longer"
        )


async def test_the_disk_is_waited_for_elsewhere_than_where_decisions_are_made(tmp_path, monkeypatch):
    threads = []
    monkeypatch.setattr(kept_keys.files, "replace", lambda *_: threads.append(threading.current_thread()))
    async with world(directory=tmp_path) as it:
        await it.settle()
    assert threads
    assert threading.main_thread() not in threads


async def test_what_may_take_long_to_read_is_read_elsewhere_too(monkeypatch):
    threads = []

    def noted(read):
        return lambda body: threads.append(threading.current_thread()) or read(body)

    monkeypatch.setattr(calls, "read_object", noted(calls.read_object))
    monkeypatch.setattr(keys, "read_key_set", noted(keys.read_key_set))
    async with world() as it:
        it.provider.metadata = {"more": "x" * calls.SMALL}
        await it.settle()
        assert it.notes == ["fetched"]
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_the_processes_of_a_machine_fetch_once(tmp_path):
    async with world(directory=tmp_path) as it:
        others = [World(it.provider, it.refreshing._session, tmp_path) for _ in range(3)]
        for each in (it, *others):
            await each.settle()
        assert it.provider.calls.count("/keys") == 1
        assert {each.judge(it.provider.token("one", NOW)) for each in (it, *others)} == {"good"}
        issuer = next(iter(it.trust.issuers.values()))
        for each in (it, *others):
            each.now += 700
        with kept_keys.alone(tmp_path, issuer) as ours:
            assert ours
            await it.settle()
            assert it.provider.calls.count("/keys") == 1


async def test_the_age_of_keys_is_told_whoever_fetched_them(tmp_path):
    async with world(directory=tmp_path) as it:
        other = World(it.provider, it.refreshing._session, tmp_path)
        for each in (it, other):
            await each.settle()
        assert (it.ages, other.ages) == ([NOW], [NOW])
        it.now += 700
        await it.settle()
        it.provider.answer = text(b"", 503)
        other.now = it.now + 50
        await other.settle()
        assert (it.ages, other.ages) == ([NOW + 700], [NOW + 700])
        restarted = World(it.provider, it.refreshing._session, tmp_path)
        restarted.now = NOW + 3000
        await restarted.settle()
        assert (restarted.ages, restarted.notes) == ([NOW + 700], ["failed"])
        it.trust = type(it.trust)({})
        await it.refreshing.look_once()
        assert it.ages == [], "nobody is told of an issuer that is no longer trusted"


async def test_one_issuer_that_hangs_does_not_hold_up_another():
    async with running() as hanging, world() as it:
        hanging.answer = slow
        it.trust = type(it.trust)({**it.trust.issuers, **trusting(hanging, namespace="other/").issuers}, wanted=set())
        loop = asyncio.create_task(it.refreshing.run())
        await until(lambda: it.judge(it.provider.token("one", NOW)) == "good")
        assert len(hanging.calls) == 1
        loop.cancel()


async def test_keys_that_come_while_another_issuer_is_looked_at_are_not_fetched_again(tmp_path, monkeypatch):
    async with running() as other, world(directory=tmp_path) as it:
        load = kept_keys.load

        def slowly(directory, issuer, now):
            if issuer.issuer == other.url and not it.notes:
                it.now += 1
                deadline = time.monotonic() + 10
                while not it.notes and time.monotonic() < deadline:
                    time.sleep(0.01)
            return load(directory, issuer, now)

        monkeypatch.setattr(kept_keys, "load", slowly)
        await it.refreshing.look_once()
        it.trust = type(it.trust)({**trusting(other, namespace="other/").issuers, **it.trust.issuers}, wanted=set())
        for _ in range(3):
            await it.settle()
        assert it.notes.count("fetched") == 1
        assert it.provider.calls.count("/keys") == 1


async def test_a_fault_of_ours_does_not_fetch_without_pause(monkeypatch):
    async with world() as it:

        async def broken(*_args, **_more):
            it.provider.calls.append("fault")
            raise RuntimeError

        monkeypatch.setattr("authorizer.upstream_idp.refreshing.fetch", broken)
        for _ in range(5):
            await it.refreshing.look_once()
            await asyncio.wait([seen.task for seen in it.refreshing._seen.values()])
        assert it.provider.calls == ["fault"]
        for seen in it.refreshing._seen.values():
            assert isinstance(seen.task.exception(), RuntimeError)
