"""Time and chance come from the context, and stay the same throughout a query."""

import pytest

from authorizer.policy.plan.builtins import BUILTINS
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError


def counter():
    """Return a source of bytes that never gives the same twice."""
    state = [0]

    def give(size):
        state[0] += 1
        return (state[0] * 2_654_435_761 % 2**32).to_bytes(4) * (size // 4 + 1)

    return lambda size: give(size)[:size]


def call(context, name, *operands):
    return BUILTINS[name].function(context, *operands)


def test_now_is_the_time_of_the_query():
    assert call(Context(1_700_000_000_123_456_789, bytes), "time.now_ns") == 1_700_000_000_123_456_789


def test_a_random_number_is_one_by_its_name_within_a_query():
    context = Context(0, counter())
    found = [call(context, "rand.intn", "dice", 1000) for _ in range(5)]
    assert len(set(found)) == 1
    assert 0 <= found[0] < 1000
    others = {call(context, "rand.intn", str(number), 10**9) for number in range(50)}
    assert len(others) > 45
    assert call(context, "rand.intn", "dice", -1000) == found[0]
    assert call(context, "rand.intn", "dice", 0) == 0


def test_a_uuid_is_one_by_its_name_within_a_query():
    context = Context(0, counter())
    first = call(context, "uuid.rfc4122", "a")
    assert first == call(context, "uuid.rfc4122", "a") != call(context, "uuid.rfc4122", "b")
    assert call(context, "uuid.parse", first) == {"version": 4, "variant": "RFC4122"}


@pytest.mark.parametrize(
    ("name", "operands", "code"),
    [
        ("count", (5,), "eval_type_error"),
        ("plus", ("a", 1), "eval_type_error"),
        ("plus", (True, 1), "eval_type_error"),
        ("concat", (",", [1]), "eval_type_error"),
        ("div", (1, 0), "eval_builtin_error"),
        ("to_number", ("nan",), "eval_type_error"),
        ("to_number", ("x",), "eval_builtin_error"),
        ("json.unmarshal", ("{",), "eval_builtin_error"),
        ("regex.match", ("(", "a"), "eval_builtin_error"),
        ("numbers.range_step", (1, 2, 0), "eval_builtin_error"),
        ("io.jwt.decode", ("a.b",), "eval_builtin_error"),
    ],
)
def test_errors_have_the_codes_that_opa_gives_them(name, operands, code):
    builtin = BUILTINS[name]
    with pytest.raises(BuiltinError) as caught:
        builtin.function(*([Context(0, bytes)] if builtin.context else []), *operands)
    assert caught.value.code == code
