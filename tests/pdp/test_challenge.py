"""WWW-Authenticate as RFC 6750 and RFC 9470 have it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Reason, StepUp
from authorizer.pdp.challenge import challenge, scope_challenge
from authorizer.reasons import REASONS, reason

QUOTED = r'"[\x20\x21\x23-\x5b\x5d-\x7e]*"'
SHAPE = re.compile(rf"Bearer(?: [a-z_]+={QUOTED}(?:, [a-z_]+={QUOTED})*)?")


@pytest.mark.parametrize(
    ("code", "step_up", "value"),
    [
        ("no_credential", None, 'Bearer realm="api"'),
        ("credential_scheme", None, 'Bearer realm="api"'),
        ("token_expired", None, 'Bearer realm="api", error="invalid_token", error_description="the token has expired"'),
        (
            "credential_repeated",
            None,
            'Bearer realm="api", error="invalid_token", error_description="more than one credential was sent"',
        ),
        (
            "step_up",
            StepUp("phr", 300),
            (
                'Bearer realm="api", error="insufficient_user_authentication", '
                'error_description="a stronger or fresher login is required", acr_values="phr", max_age="300"'
            ),
        ),
        (
            "step_up",
            StepUp(max_age=0),
            (
                'Bearer realm="api", error="insufficient_user_authentication", '
                'error_description="a stronger or fresher login is required", max_age="0"'
            ),
        ),
    ],
)
def test_values(code: str, step_up: StepUp | None, value: str) -> None:
    assert challenge(reason(code), realm="api", step_up=step_up) == value


def test_without_realm() -> None:
    assert challenge(reason("no_credential")) == "Bearer"


@given(st.text(), st.text(), st.text() | st.none())
def test_no_text_breaks_out_of_its_quotes(realm: str, text: str, acr: str | None) -> None:
    for step_up in (None, StepUp(acr, 1)):
        assert SHAPE.fullmatch(challenge(Reason("x", "y", 401, text), realm=realm, step_up=step_up))


def test_every_built_in_reason_fits() -> None:
    for each in REASONS.values():
        assert each.code in {"no_credential", "credential_scheme"} or f'"{each.text}"' in challenge(each)


@pytest.mark.parametrize(
    ("by_proof", "realm", "value"),
    [
        (False, "", 'Bearer error="insufficient_scope", scope="read write"'),
        (True, "api", 'DPoP realm="api", error="insufficient_scope", scope="read write"'),
    ],
)
def test_scopes_that_are_lacking(by_proof: bool, realm: str, value: str) -> None:
    assert scope_challenge(["read", "write"], by_proof=by_proof, realm=realm) == value
