"""What was published together takes effect together."""

import asyncio

import pytest

from authorizer import bundle
from authorizer.app.activation import Activation
from authorizer.errors import BundleError
from authorizer.model import KINDS, Kind, Request
from authorizer.pdp.snapshot import Options
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

POLICIES = """
kind: Application
id: api
model: pbac
rights: {read: {}}
http: {hosts: [api.example], routes: {GET /: {right: read}}}
---
kind: Policies
policies:
  - {id: everyone, right: api/read, to: {anyone: true}}
"""
REQUEST = Request(method="GET", target="/", host="api.example")
FIRST = {"policy": 1, "facts": 1, "trust": 1}


def made(kind: Kind, serial: int, edition: dict[Kind, int], text: str = POLICIES) -> bundle.Bundle:
    document = compile_documents({"a.yaml": text.encode()}).documents()[kind]
    data = bundle.write(kind, document, serial=serial, signer=None, edition=edition)
    return bundle.read(data, kind=kind, verifier=None)


@pytest.fixture
def noted() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def activation(noted) -> Activation:
    activation = Activation(Authorizer(), Options(), lambda kind, revision: noted.append(kind))
    assert await activation.join([made(kind, 1, FIRST) for kind in KINDS]) == frozenset(KINDS)
    noted.clear()
    return activation


async def test_a_bundle_waits_for_those_of_its_edition(activation, noted):
    edition = {"policy": 2, "facts": 2, "trust": 1}
    policy = asyncio.create_task(activation.offer(made("policy", 2, edition)))
    await asyncio.sleep(0.05)
    assert (policy.done(), noted) == (False, [])
    await activation.offer(made("facts", 2, edition))
    await policy
    assert noted == ["policy", "facts"]


async def test_a_change_of_one_waits_for_nobody(activation, noted):
    await activation.offer(made("facts", 2, {"policy": 1, "facts": 2, "trust": 1}))
    assert noted == ["facts"]


async def test_newer_ones_than_those_of_the_edition_will_do(activation, noted):
    policy = asyncio.create_task(activation.offer(made("policy", 2, {"policy": 2, "facts": 2, "trust": 1})))
    await asyncio.sleep(0)
    await activation.offer(made("facts", 3, {"policy": 2, "facts": 3, "trust": 1}))
    await policy
    assert sorted(noted) == ["facts", "policy"]


async def test_whoever_waits_too_long_is_refused_and_nothing_has_changed(activation, noted):
    with pytest.raises(BundleError) as caught:
        await activation.offer(made("policy", 2, {"facts": 2}), patience=0.05)
    assert (caught.value.code, noted) == ("AZ332", [])
    await activation.offer(made("facts", 2, {"policy": 1}))  # the policy that gave up is not put in force after all
    assert noted == ["facts"]


async def test_a_newer_offer_takes_the_place_of_one_that_waits(activation, noted):
    first = asyncio.create_task(activation.offer(made("policy", 2, {"facts": 2})))
    await asyncio.sleep(0)
    await activation.offer(made("policy", 3, {}))
    with pytest.raises(BundleError):
        await first
    assert noted == ["policy"]


async def test_what_cannot_be_put_in_force_takes_the_others_of_its_edition_with_it(activation, noted):
    edition = {"policy": 2, "facts": 2}
    facts = asyncio.create_task(activation.offer(made("facts", 2, edition)))
    await asyncio.sleep(0)
    broken = bundle.read(
        bundle.write("policy", {"format": 99}, serial=2, signer=None, edition=edition), kind="policy", verifier=None
    )
    for offered in (activation.offer(broken), facts):
        with pytest.raises(Exception, match="AZ220"):
            await offered
    assert noted == []


async def test_of_what_was_kept_only_what_belongs_together_is_taken(noted):
    authorizer = Authorizer()
    activation = Activation(authorizer, Options(), lambda kind, revision: noted.append(kind))
    kept = [made("policy", 2, {"facts": 2}), made("facts", 1, FIRST | {"policy": 1}), made("trust", 1, {})]
    assert await activation.join(kept) == {"trust"}
    assert authorizer.check(REQUEST).reason.code == "not_ready"
