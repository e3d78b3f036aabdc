"""Large data, read in pieces, are what reading them whole gives, and what is refused whole is refused in pieces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.policy.plan import loading
from authorizer.strict_json import Refused, reader

whole = reader(depth=loading.MAX_DEPTH, digits=loading.MAX_DIGITS, real=float)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=4), inner, max_size=6)),
    max_leaves=40,
)


def outcome(read, data):
    try:
        return read(data)
    except Refused:
        return Refused


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(loading, "PIECE", 12)


@settings(max_examples=150)
@given(JSON, st.sampled_from([None, 1]))
def test_pieces_make_the_whole(value, indent):
    data = json.dumps(value, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "PIECE", 12)
        assert outcome(loading.read_data, data) == outcome(whole, data)


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(['{"a":', '"b":', "[", "]", "}", ",", '"a"', "1", " ", '"x\\"y"', "\\", '"', "null"]),
        max_size=25,
    )
)
def test_what_is_refused_whole_is_refused_in_pieces(tokens):
    data = ("".join(tokens) + " " * 30).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "PIECE", 4)
        assert outcome(loading.read_data, data) == outcome(whole, data)


@pytest.mark.parametrize("text", ['{"a": [1, 2, 3, 4, 5, 6, 7], "a": 1}', '{"a": 1, "b": 2, "c": 3, "b": 4}', "[" * 201 + "1" + "]" * 201,
                                  "[1, 2, 3, 4, 5, 6, 7, 8] [1]", "[1, 2, 3, 4, 5, 6, 7,]", "[[1, 2, 3, 4, 5, 6, 7] 8]"])  # fmt: skip
@pytest.mark.usefixtures("small_pieces")
def test_refused(text):
    assert outcome(loading.read_data, text.encode()) is Refused


def test_a_large_text():
    value = {
        "users": {f"user-{n}": {"roles": [n, "x"] * 3} for n in range(5_000)},
        "list": list(range(40_000)),
        "one": 1,
    }
    data = json.dumps(value).encode()
    assert len(data) > 5 * loading.PIECE
    assert loading.read_data(data) == value
