"""How soon a worker comes back."""

from hypothesis import given
from hypothesis import strategies as st

from authorizer.app import restarts


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_nothing_and_never_long(failed, chance):
    assert restarts.FIRST_SECONDS / 2 < restarts.delay(failed, chance) <= restarts.LONGEST_SECONDS


@given(st.integers(1, 7), st.floats(0, 1, exclude_max=True))
def test_each_failure_in_a_row_doubles_it(failed, chance):
    assert restarts.delay(failed + 1, chance) == 2 * restarts.delay(failed, chance)


def test_a_worker_that_lived_is_well_again():
    assert restarts.failures(7, restarts.SETTLED_SECONDS) == 1
    assert restarts.failures(7, restarts.SETTLED_SECONDS - 0.1) == 8
