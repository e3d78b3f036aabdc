import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.control_plane.server.preferences import MAX_WAIT, tags_of, wait_of


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], 0),
        (["modes=snapshot,delta"], 0),
        (["modes=snapshot,delta;wait=30"], 30),
        (["wait=30"], 30),
        (["respond-async, wait=10"], 10),
        (["respond-async", "Wait = 10"], 10),
        (['wait="5"'], 5),
        (["wait=0.5"], 0.5),
        (["wait=99999"], MAX_WAIT),
        (["wait=-1"], 0),
        (["wait=x"], 0),
        (["await=30"], 0),
        (["wait=30x"], 0),
        (["wait=" + "9" * 1000], 0),
    ],
)
def test_wait(prefer: list[str], seconds: float) -> None:
    assert wait_of(prefer) == seconds


@pytest.mark.parametrize(
    ("lines", "tags"),
    [
        ([], set()),
        ([""], set()),
        (["*"], {"*"}),
        (['"a"'], {'"a"'}),
        (['W/"a", "b"', '"c"'], {'"a"', '"b"', '"c"'}),
        (["a"], set()),
        (['"a'], set()),
        (['"a" "b"'], set()),
    ],
)
def test_tags(lines: list[str], tags: set[str]) -> None:
    assert tags_of(lines) == tags


@given(st.lists(st.text(), max_size=4))
def test_nothing_raises(lines: list[str]) -> None:
    assert 0 <= wait_of(lines) <= MAX_WAIT
    assert len(tags_of(lines)) <= 20
