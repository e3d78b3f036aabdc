"""Lists of texts are looked at together: what each by itself is refused for refuses the list."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authorizer.pdp.claims import MAX_TEXT, ClaimFault, text, texts

ITEM = st.one_of(
    st.sampled_from(["", "a", "\x00", "\x7f", "é", "\u202e", "a" * MAX_TEXT, None, 1, True, ["a"]]), st.text()
)


def one_by_one(value: list[object]) -> list[str] | None:
    try:
        return [text(item, "it") for item in value]
    except ClaimFault:
        return None


@given(st.lists(ITEM, max_size=6))
@example(["a" * MAX_TEXT, "b"])
@example(["a" * (MAX_TEXT + 1)])
@example(["a", ""])
@example([])
def test_a_list_is_read_as_each_of_its_items(value: list[object]) -> None:
    expected = one_by_one(value)
    if expected is None:
        with pytest.raises(ClaimFault):
            texts(value, "it")
    else:
        assert texts(value, "it") == expected
