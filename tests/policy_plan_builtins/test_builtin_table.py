"""Every function that OPA 1.22 has is answered or refused, and its type is told as OPA tells it."""

import inspect

import pytest

from authorizer.policy.plan.builtins import BUILTINS, REFUSED
from authorizer.policy.plan.builtins.signatures import SIGNATURES

STRING, NUMBER, ANY = {"type": "string"}, {"type": "number"}, {"type": "any"}


def test_every_function_is_answered_or_refused_with_a_reason():
    assert len(SIGNATURES) == 206
    assert set(BUILTINS) | set(REFUSED) == set(SIGNATURES)
    assert not set(BUILTINS) & set(REFUSED)
    assert all(REFUSED.values())


def test_what_would_reach_out_is_refused():
    assert {"http.send", "net.lookup_ip_addr", "opa.runtime"} <= set(REFUSED)


@pytest.mark.parametrize("name", [name for name in BUILTINS if SIGNATURES[name].variadic is None])
def test_a_function_takes_as_many_operands_as_it_is_declared_with(name):
    builtin = BUILTINS[name]
    operands = [None] * (len(SIGNATURES[name].arguments) + builtin.context)
    inspect.signature(builtin.function).bind(*operands)


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        (
            "count",
            {
                "args": [
                    {
                        "type": "any",
                        "of": [
                            STRING,
                            {"type": "array", "dynamic": ANY},
                            {"type": "object", "dynamic": {"key": ANY, "value": ANY}},
                            {"type": "set", "of": ANY},
                        ],
                    }
                ],
                "result": NUMBER,
            },
        ),
        (
            "time.clock",
            {
                "args": [{"type": "any", "of": [NUMBER, {"type": "array", "static": [NUMBER, STRING]}]}],
                "result": {"type": "array", "static": [NUMBER] * 3},
            },
        ),
        ("opa.runtime", {"result": {"type": "object", "dynamic": {"key": STRING, "value": ANY}}}),
        ("internal.print", {"args": [{"type": "array", "dynamic": {"type": "set", "of": ANY}}]}),
        ("print", {"variadic": ANY}),
        (
            "json.patch",
            {
                "args": [
                    ANY,
                    {
                        "type": "array",
                        "dynamic": {
                            "type": "object",
                            "static": [{"key": "op", "value": STRING}, {"key": "path", "value": ANY}],
                            "dynamic": {"key": ANY, "value": ANY},
                        },
                    },
                ],
                "result": ANY,
            },
        ),
    ],
)
def test_declarations_are_those_of_plans(name, declared):
    assert SIGNATURES[name].declaration() == {"name": name, "decl": {"type": "function", **declared}}


def test_marks():
    assert [SIGNATURES[name].infix for name in ("plus", "eq", "internal.member_2", "count")] == ["+", "=", "in", ""]
    assert [name for name, each in SIGNATURES.items() if each.relation] == ["walk"]
    assert SIGNATURES["rand.intn"].nondeterministic
    assert SIGNATURES["re_match"].deprecated
