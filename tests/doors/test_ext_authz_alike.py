"""An allow that is put together from pieces says what protobuf's own encoder would have it say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.doors.ext_authz_response import _allowed, _describe, encode
from authorizer.doors.headers import UnsendableError, sendable
from authorizer.doors.wire.ext_authz_pb2 import CheckResponse
from authorizer.model import Decision
from authorizer.reasons import ALLOWED

IDS = ["0f1e2d3c4b5a-1", "0f1e2d3c4b5a-2", "0f1e2d3c4b5a-10", "17", "d-\u00e9", "", "\0" * 14, "-" * 64, "a" * 65]
GAP = "\0" * 14
TEXTS = st.text(max_size=5) | st.sampled_from([GAP, GAP + GAP, "\0" * 13, "\0" * 15, "0f1e2d3c4b5a-1"])
NAMES = st.sampled_from(["x-auth-subject", "X-Auth-Decision", "x-auth-client", "host", "x a"])
DECISIONS = st.builds(
    Decision,
    reason=st.just(ALLOWED),
    allowed=st.just(True),
    id=st.sampled_from(IDS),
    application=TEXTS,
    operation=TEXTS,
    policies=st.lists(TEXTS, max_size=2).map(tuple),
    upstream=st.lists(st.tuples(NAMES, TEXTS | st.sampled_from(IDS)), max_size=3).map(tuple),
    response=st.lists(st.tuples(NAMES, TEXTS | st.sampled_from(IDS)), max_size=2).map(tuple),
    remove=st.lists(NAMES, max_size=2).map(tuple),
    revision=TEXTS,
)


def plainly(decision: Decision) -> CheckResponse:
    response = _allowed(sendable(decision.upstream), sendable(decision.response), decision.remove)
    _describe(response.dynamic_metadata, decision)
    return response


@given(DECISIONS)
def test_pieces_say_what_the_encoder_says(decision):
    try:
        expected = plainly(decision)
    except UnsendableError:
        with pytest.raises(UnsendableError):
            encode(decision)
        return
    for _ in range(2):
        assert CheckResponse.FromString(encode(decision)) == expected


def test_an_id_goes_nowhere_else():
    for subject in ("alice", IDS[1], ""):
        for number in IDS[:3]:
            decision = Decision(
                reason=ALLOWED,
                allowed=True,
                id=number,
                upstream=(("x-auth-subject", subject), ("x-auth-decision", number)),
                policies=(GAP,),
            )
            assert CheckResponse.FromString(encode(decision)) == plainly(decision)
