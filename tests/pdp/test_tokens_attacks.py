"""Every class of forged token is refused with its own reason; honest tokens pass."""

import pytest

from authorizer.model import Identity, Reason, Request
from authorizer.pdp import canonical, credentials, facts, issuers, tokens, trust
from authorizer.pdp.credentials import Credential
from authorizer.pdp.memo import Memo
from authorizer.policy import documents
from tests import forge

NOW = 1_790_000_000.0
MADE = forge.material()
ATTACKS = list(forge.attacks(MADE, forge.claims(NOW)))


@pytest.fixture(scope="module")
def trusted() -> trust.Trust:
    compiled, problems = issuers.compile_issuers(documents.load(forge.issuers(MADE), "issuers.yaml"), lambda _: b"")
    assert not [problem for problem in problems if problem.severity == "error"]
    return trust.load(compiled)


def ask(token: str, trusted: trust.Trust, memo: Memo | None = None) -> Identity | Reason:
    return tokens.verify(token, trusted, facts.NOTHING, memo or Memo(), NOW)


@pytest.mark.parametrize(
    "attack", ATTACKS, ids=[f"{a.group}: {a.name}".encode("ascii", "replace").decode() for a in ATTACKS]
)
def test_refused(attack: forge.Attack, trusted: trust.Trust) -> None:
    answer = ask(attack.token, trusted)
    assert isinstance(answer, Reason)
    assert (answer.code, answer.status) == (attack.reason, 401)


@pytest.mark.parametrize(("name", "token"), list(forge.honest(MADE, forge.claims(NOW))))
def test_accepted(name: str, token: str, trusted: trust.Trust) -> None:
    assert isinstance(ask(token, trusted), Identity), name


def test_the_list_is_long_and_covers_every_class() -> None:
    assert {attack.group for attack in ATTACKS} == {
        "alg-none",
        "alg-missing",
        "alg-key-mismatch",
        "rs-hs-confusion",
        "key-injection",
        "kid-injection",
        "signature",
        "psychic",
        "encoding",
        "json",
        "claims",
        "crit",
        "weak-key",
    }
    assert len(ATTACKS) > 400
    assert len({attack.token for attack in ATTACKS}) == len(ATTACKS)


def test_a_header_carries_each_of_them_to_a_refusal() -> None:
    """What the credential reader does not refuse reaches the verifier as it was sent; all that it refuses is a 401."""
    for attack in ATTACKS:
        if attack.sendable:
            request = Request(
                method="GET", target="/", host="a", headers={"authorization": (f"Bearer {attack.token}",)}
            )
            read = canonical.check_headers(request, frozenset()) or credentials.read(request)
            assert read == Credential("bearer", attack.token) or (isinstance(read, Reason) and read.status == 401), (
                attack.name
            )
