"""Documents come into force together, or not at all."""

import asyncio
import logging

import pytest

from authorizer.app import feeds
from authorizer.app.activation import Activation
from authorizer.bundle import Bundle
from authorizer.directory import Watch
from authorizer.errors import AuthorizerError, KeyMaterialError
from authorizer.model import Request
from authorizer.pdp.snapshot import Options
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from authorizer.settings import BundleKey, ControlPlane
from authorizer.telemetry.metrics import Metrics

OPEN = """
kind: Application
id: api
model: pbac
rights: {read: {}}
http: {hosts: [api.example], routes: {GET /: {right: read}}}
---
kind: Policies
policies: [{id: everyone, right: api/read, to: {anyone: true}}]
"""
CLOSED = OPEN.replace("{anyone: true}", "{group: staff}")
REQUEST = Request(method="GET", target="/", host="api.example")


@pytest.fixture
def authorizer() -> Authorizer:
    return Authorizer()


@pytest.fixture
def noted() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def activation(authorizer, noted) -> Activation:
    return Activation(authorizer, Options(), lambda kind, revision: noted.append((kind, revision)))


def documents(text: str) -> dict:
    return compile_documents({"a.yaml": text.encode()}).documents()


async def test_one_document_replaces_its_kind_and_no_other(authorizer, activation, noted):
    first = documents(OPEN)
    await activation.put(first, {"policy": "1", "facts": "1", "trust": "1"})
    before = authorizer.snapshot
    await activation.put({"policy": documents(CLOSED)["policy"]}, {"policy": "2"})
    after = authorizer.snapshot
    assert (before.program is after.program, before.trust is after.trust, before.facts is after.facts) == (
        False,
        True,
        True,
    )
    assert before.memo is not after.memo
    assert noted == [("policy", "1"), ("facts", "1"), ("trust", "1"), ("policy", "2")]
    assert authorizer.check(REQUEST).reason.code == "no_credential"


@pytest.mark.parametrize("kind", ["policy", "facts", "trust"])
async def test_a_document_that_cannot_be_read_changes_nothing(authorizer, activation, kind):
    await activation.put(documents(OPEN), {"policy": "1", "facts": "1", "trust": "1"})
    before = authorizer.snapshot
    with pytest.raises(AuthorizerError):
        await activation.put({kind: {"format": 99}}, {kind: "2"})
    assert authorizer.snapshot is before
    await activation.put({"policy": documents(CLOSED)["policy"]}, {"policy": "3"})
    assert authorizer.snapshot.revisions == {"policy": "3", "facts": "1", "trust": "1"}


async def test_a_fault_of_ours_is_a_refusal_that_all_who_wait_are_told(authorizer, activation, monkeypatch):
    def fail(*_):
        raise ValueError

    monkeypatch.setattr("authorizer.app.activation.build", fail)
    made = documents(OPEN)
    edition = dict.fromkeys(made, 1)
    bundles = [Bundle(kind=kind, revision=kind, serial=1, document=made[kind], edition=edition) for kind in made]
    told = await asyncio.gather(*map(activation.offer, bundles), return_exceptions=True)
    assert [error.code for error in told] == ["AZ331"] * 3
    assert not authorizer.ready


async def test_documents_that_arrive_at_once_are_all_in_force(authorizer, activation):
    made = documents(OPEN)
    await asyncio.gather(*(activation.put({kind: made[kind]}, {kind: kind}) for kind in made))
    assert authorizer.snapshot.ready
    assert authorizer.check(REQUEST).allowed


async def test_a_directory_is_followed_and_a_broken_file_changes_nothing(authorizer, activation, tmp_path, caplog):
    caplog.set_level(logging.INFO, "authorizer.app")
    file = tmp_path / "api.yaml"
    file.write_text(OPEN)
    watch, metrics = Watch(tmp_path), Metrics("test")
    await feeds.take(await feeds.first_reading(watch), activation)
    assert authorizer.check(REQUEST).allowed
    said = f"policies in force: applications 1, routes 1, issuers 0, revision {authorizer.snapshot.revision}"
    assert caplog.messages == [said]

    file.write_text(OPEN.replace("right: api/read,", "right: api/reed,"))
    await _look(watch, activation, metrics)
    assert authorizer.check(REQUEST).allowed
    assert [str(problem.place) for problem in metrics.problems] == ["api.yaml:9:34"]
    assert caplog.messages[-1] == "the change is refused: what was in force stays"
    assert metrics.activation_failures == {("policy", "R004"): 1}

    file.write_text(CLOSED)
    await _look(watch, activation, metrics)
    assert not authorizer.check(REQUEST).allowed
    assert metrics.problems == ()


async def _look(watch, activation, metrics) -> None:
    for _ in range(3):  # a change is taken when two looks in a row saw the same
        await feeds.look_once(watch, activation, metrics)


def test_a_key_file_that_is_missing_is_shown_with_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyMaterialError) as caught:
        feeds.verifier(ControlPlane(keys={"main": BundleKey(file="no.pem")}))
    said = f"control_plane.keys.main.file: {tmp_path / 'no.pem'} cannot be read: No such file or directory"
    assert (caught.value.code, caught.value.message) == ("AZ430", said)
