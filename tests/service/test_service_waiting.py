"""What waits for the world is bounded, all of it together: requests beyond it are denied, and others are decided."""

import asyncio

import pytest
from msgspec.structs import replace

from authorizer import service
from authorizer.model import Decision, Request
from authorizer.pdp.needs import Introspect, Told
from tests.forge.world import HOST, world

NOW = 1_795_000_000.0
MADE = world(NOW)
STRANGE = Request(method="GET", target="/read", host=HOST, headers={"authorization": ("Bearer strange",)})
KNOWN = replace(STRANGE, headers={"authorization": (f"Bearer {MADE.tokens['good']}",)})


async def test_bodies_that_wait_are_bounded():
    authorizer, answer = MADE.authorizer(), asyncio.Event()
    authorizer._clock = lambda: NOW

    async def silent(_need):
        await answer.wait()

    authorizer._meet = silent
    large = replace(STRANGE, body=b"x" * (service.MOST_WAITING // 8), body_state="complete")
    for _ in range(2):  # what has waited makes room again, whatever came of it
        waiting = [authorizer.check(large) for _ in range(3)]
        assert not any(isinstance(one, Decision) for one in waiting)
        refused = authorizer.check(large)
        assert (refused.reason.code, refused.reason.status) == ("overload", 503)
        assert authorizer.check(KNOWN).allowed
        small = asyncio.create_task(authorizer.check(STRANGE))
        await asyncio.sleep(0)
        small.cancel()
        answer.set()
        assert {one.reason.code for one in await asyncio.gather(*waiting)} == {"introspection_failed"}
        answer.clear()
    assert authorizer._waiting == 0


@pytest.mark.parametrize(
    ("more", "target", "most"),
    [
        ({}, "/read", 30),
        ({"x": ("v" * 50_000,)}, "/read", 3),
        ({"x" * 50_000: ("v",)}, "/read", 3),
        ({f"x{number}": ("v",) for number in range(200)}, "/read", 5),
        ({"x": ("v",) * 200}, "/read", 8),
        ({}, "/read?" + "a" * 8000, 15),
    ],
)
async def test_requests_without_bodies_are_too(more, target, most, monkeypatch):
    monkeypatch.setattr(service, "MOST_WAITING", 200_000)
    authorizer = MADE.authorizer()
    authorizer._clock = lambda: NOW
    asked = [authorizer.check(replace(STRANGE, target=target, headers={**STRANGE.headers, **more})) for _ in range(100)]
    waiting = [one for one in asked if not isinstance(one, Decision)]
    assert most // 2 <= len(waiting) <= most
    for one in waiting:
        assert not (await one).allowed


async def test_strangers_leave_room_for_who_has_a_proof_to_be_looked_up():
    authorizer, answer = MADE.authorizer(), asyncio.Event()
    authorizer._clock = lambda: NOW
    meet = authorizer._meet

    async def slow(need):
        if isinstance(need, Introspect):
            await answer.wait()
            return Told({"sub": "ann", "aud": "api", "scope": "read"}, NOW + 30)
        return await meet(need)

    authorizer._meet = slow
    large = replace(STRANGE, body=b"x" * (service.MOST_WAITING // 4 - 8192), body_state="complete")
    proof = MADE.proof({"proof": {"of": "of a key"}}, 1)
    proved = {"authorization": (f"DPoP {MADE.tokens['of a key']}",), "dpop": (proof,)}
    waiting = [asyncio.ensure_future(authorizer.check(large)) for _ in range(2)]
    assert authorizer.check(large).reason.code == "overload"
    assert (await authorizer.check(replace(large, headers=proved))).allowed
    answer.set()
    assert all(one.allowed for one in await asyncio.gather(*waiting))
    authorizer._clock = lambda: NOW + 60  # the token has to be asked about anew, which is no stranger's then
    answer.clear()
    waiting = [authorizer.check(large) for _ in range(4)]
    answer.set()
    assert all([(await one).allowed for one in waiting])
