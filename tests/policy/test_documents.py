"""The loader: text in, trees with places out, everything doubtful refused with a code."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authorizer.errors import DocumentError, Place
from authorizer.policy.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    MapNode,
    Scalar,
    load,
    load_bytes,
    locate,
    plain,
    suggestion,
    unknown_keys,
)


def refused(text: str) -> list[tuple[str, int, int]]:
    with pytest.raises(DocumentError) as caught:
        load(text, "f.yaml")
    return [(p.code, p.place.line, p.place.column) for p in caught.value.problems]


def test_scalars_stay_text():
    (node,) = load("{a: NO, b: 21:00, c: 0755, d: 1e3, e: 2026-01-01, f: null, g: ~, h: yes, i: .inf}", "f.yaml")
    written = ["NO", "21:00", "0755", "1e3", "2026-01-01", "null", "~", "yes", ".inf"]
    assert list(plain(node).values()) == written


def test_nothing_written_differs_from_empty_text():
    (node,) = load("a:\nb: ''\n", "f.yaml")
    assert isinstance(node, MapNode)
    a, b = node.get("a"), node.get("b")
    assert isinstance(a, Scalar)
    assert isinstance(b, Scalar)
    assert (a.absent, b.absent) == (True, False)


def test_empty_documents_are_left_out():
    assert [plain(n) for n in load("---\n---\na: 1\n---\n# only a comment\n", "f.yaml")] == [{"a": "1"}]
    assert load("", "f.yaml") == []


def test_places():
    (node,) = load("a:\n  - b: c\n  - [d, e]\nå: ß\n", "f.yaml")
    assert locate(node, ["a", 0, "b"]) == Place("f.yaml", 2, 8)
    assert locate(node, ["a", 0, "b"], key=True) == Place("f.yaml", 2, 5)
    assert locate(node, ["a", 1, 1]) == Place("f.yaml", 3, 9)
    assert locate(node, ["å"]) == Place("f.yaml", 4, 4)
    assert locate(node, ["a", 9, "x"]) == locate(node, ["a"])
    assert locate(node, ["nowhere"]) == node.place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", [("AZ202", 3, 1)]),
        ('1: a\n"1": b\n', [("AZ202", 2, 1)]),
        ("a: &x 1\nb: *x\n", [("AZ203", 1, 4), ("AZ203", 2, 4)]),
        ("a: !!int 1", [("AZ203", 1, 4)]),
        ("a: !thing {b: 1}", [("AZ203", 1, 4)]),
        ("a: ! b", [("AZ203", 1, 4)]),
        ("<<: {a: 1}", [("AZ203", 1, 1)]),
        ("%YAML 1.1\n---\na: 1", [("AZ203", 1, 1)]),
        ("a:\tb\nc: d\n\te: f", [("AZ206", 1, 3), ("AZ206", 3, 1)]),
        ("a: [1, 2", [("AZ201", 1, 9)]),
        ("a: b: c", [("AZ201", 1, 5)]),
        ("a: 1\na: 2\nb: {", [("AZ201", 3, 5), ("AZ202", 2, 1)]),
        ("? [a]\n: b\n", [("AZ208", 1, 3)]),
        ("a: \x01b", [("AZ207", 1, 4)]),
        ('a: "x\\x1fy"', [("AZ207", 1, 4)]),
        ("\ufeffa: 1", [("AZ207", 1, 1)]),
        ("a: \ud800", [("AZ207", 1, 4)]),
        ("[" * (MAX_DEPTH + 1), [("AZ205", 1, MAX_DEPTH + 1)]),
        ("x: " + "a" * MAX_BYTES, [("AZ205", 0, 0)]),
    ],
)
def test_refused(text, expected):
    found = refused(text)
    assert sorted(code for code, _, _ in found) == sorted(code for code, _, _ in expected)
    places = {(code, line, column) for code, line, column in expected if code != "AZ201"}
    assert places <= set(found)  # where a syntax error stands differs a little between the two YAML parsers


def test_alias_bomb_is_refused_at_once():
    rows = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert {code for code, _, _ in refused("\n".join(rows))} == {"AZ203"}


def test_problems_are_bounded_and_show_the_line():
    with pytest.raises(DocumentError) as caught:
        load("".join("a: 1\n" for _ in range(1000)), "f.yaml")
    assert len(caught.value.problems) == 100
    assert caught.value.problems[0].render() == (
        "f.yaml:2:1: error AZ202: key 'a' is already at line 1 (keep one)\n    a: 1\n    ^"
    )


def test_bytes():
    assert plain(load_bytes("a: å".encode(), "f.yaml")[0]) == {"a": "å"}
    for data, place in ((b"a: 1\nb: \xff", Place("f.yaml", 2, 4)), ("\ufeffa: 1".encode(), Place("f.yaml", 1, 1))):
        with pytest.raises(DocumentError) as caught:
            load_bytes(data, "f.yaml")
        assert [(p.code, p.place) for p in caught.value.problems] == [("AZ207", place)]
    with pytest.raises(DocumentError, match="AZ205"):
        load_bytes(b"#" * (MAX_BYTES + 1), "f.yaml")


def test_unknown_keys_suggest():
    (node,) = load("scops: 1\nzzzzz: 2\n", "f.yaml")
    assert isinstance(node, MapNode)
    assert [str(p) for p in unknown_keys(node, ["scopes", "name"], "the issuer")] == [
        "f.yaml:1:1: error AZ204: unknown field 'scops' in the issuer (did you mean 'scopes'?)",
        "f.yaml:2:1: error AZ204: unknown field 'zzzzz' in the issuer (known: scopes, name)",
    ]
    assert suggestion("x" * 100_000, ["y"]) == ""


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        found = [node.place for node in load(text, "f.yaml")]
    except DocumentError as error:
        found = [problem.place for problem in error.problems]
    assert all(place.file == "f.yaml" for place in found)


_WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn", "Zl", "Zp")), max_size=8)
_TREE = st.recursive(
    _WORD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORD, inner, max_size=4), max_leaves=12
)


@given(_TREE)
def test_round_trip(tree):
    text = yaml.safe_dump(tree, default_style='"', allow_unicode=True)
    if "\ufeff" not in text:
        text = text.replace("!!str ", "")
        assert [plain(n) for n in load(text, "f.yaml")] == [tree]
