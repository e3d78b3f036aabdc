"""The one layout: it changes nothing that is said, keeps every comment, and laid out again it is the same."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authorizer.errors import DocumentError
from authorizer.policy.authoring.layout import WIDTH, laid_out
from authorizer.policy.documents import load, plain
from tests.policy_authoring.estates import EXAMPLES, needs_examples, sources
from tests.policy_oracle.estates import estates, written

LONG = "x" * 70


@pytest.mark.parametrize(
    ("text", "laid"),
    [
        ("", ""),
        ("# only this\n", "# only this\n"),
        ("id:   a\nkind: Catalog # here\n", "kind: Catalog  # here\nid: a\n"),
        ("kind: Policies\npolicies:\n- {to: {group: g}, id: p,\n   right: a/b}   # why\n", "kind: Policies\npolicies:\n  - id: p\n    right: a/b  # why\n    to: {group: g}\n"),
        ("kind: Policies\npolicies:\n  - id: p\n    right: a/b # this\n", "kind: Policies\npolicies:\n  - id: p\n    right: a/b  # this\n"),
        ("# first\n\n# second\na: 1\n\n\nb: 2\n", "# first\n\n# second\na: 1\n\nb: 2\n"),
        ("a: {b: 1, # one\n  c: 2}\n", "a: {b: 1, c: 2}  # one\n"),
        (f"a: [{LONG}, {LONG}]\n", f"a:\n  - {LONG}\n  - {LONG}\n"),
        (f"a: {{b: {LONG}, c: {LONG}}}\n", f"a:\n  b: {LONG}\n  c: {LONG}\n"),
        ("a: 'it''s # no comment'\nb: x#y\n", 'a: "it\'s # no comment"\nb: x#y\n'),
        ("GET /a/{b}: {right: r}\n", "GET /a/{b}: {right: r}\n"),
        ("a: {b: c}\n# end\n---\n# next\nd: e\n", "a: {b: c}\n# end\n---\n# next\nd: e\n"),
        ("a:\n- - 1\n  - 2\n", "a: [[1, 2]]\n"),
        ("a: ''\nb:\nc: {}\nd: []\n", 'a: ""\nb:\nc: {}\nd: []\n'),
        ("kind: Tests\ncases:\n- {as: sen, name: senior, otp, expect: {decision: deny}}\n", "kind: Tests\ncases:\n  - {name: senior, otp, as: sen, expect: {decision: deny}}\n"),
        ("a: |\n  two # no comment\n  lines\n", 'a: "two # no comment\\nlines\\n"\n'),
        ("a: [1,\n  # inside\n  2]\n", "a:\n  - 1\n  # inside\n  - 2\n"),
    ],
)  # fmt: skip
def test_layout(text, laid):
    assert laid_out(text, "a.yaml") == laid
    assert laid_out(laid, "a.yaml") == laid


@pytest.mark.parametrize("text", ["a: &b c\n", "a: {b\n", "a: 1\na: 2\n"])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(DocumentError):
        laid_out(text, "a.yaml")


COMMENTS = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["# one", "", "# two: {x}", "   # three"])), max_size=12
)


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(estates(), COMMENTS, st.booleans())
def test_laid_out_means_the_same(documents, comments, block):
    text = written(documents)
    lines = (laid_out(text, "a.yaml") if block else text).split("\n")
    for at, comment in sorted(comments, reverse=True):
        lines.insert(at % (len(lines) + 1), comment)
    text = "\n".join(lines)
    laid = laid_out(text, "a.yaml")
    assert laid_out(laid, "a.yaml") == laid
    assert list(map(plain, load(laid, "a.yaml"))) == list(map(plain, load(text, "a.yaml")))
    assert sorted(line.strip() for line in laid.split("\n") if line.strip().startswith("#")) == sorted(
        comment.strip() for _, comment in comments if comment
    )
    assert sources(laid).documents()["policy"]["templates"] == sources(text).documents()["policy"]["templates"]


@needs_examples
def test_the_examples_compile_to_the_same_but_for_places():
    files = {path.stem: path.read_text() for path in EXAMPLES.glob("*.yaml")}
    laid = {name: laid_out(text, name) for name, text in files.items()}
    before, after = sources(**files).documents()["policy"], sources(**laid).documents()["policy"]
    places = {"row_line", "row_column", "files", "row_file"}
    for form in (before, after):
        form["policies"] = {key: column for key, column in form["policies"].items() if key not in places}
        form["routes"] = [{**route, "place": ""} for route in form["routes"]]
        form["applications"] = {name: {**one, "place": ""} for name, one in form["applications"].items()}
    assert before == after
    assert all(len(line) <= WIDTH for text in laid.values() for line in text.split("\n") if "name:" not in line)
