"""The long form compiles to what the short one does, and what is written is read back as it was."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.errors import DocumentError, Place
from authorizer.policy import pbac
from authorizer.policy.authoring.expansion import expanded
from authorizer.policy.authoring.writing import write
from authorizer.policy.documents import Entry, ListNode, MapNode, Node, Scalar, load, plain

PAGES = sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))
EXAMPLES = [
    text
    for page in PAGES
    for text in re.findall(r"^```yaml\n# (?:run|file): \S+\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
]
SHORT = """
kind: Application
id: shop
http:
  hosts: [api.example]
  routes:
    GET /health: public
    GET /a/{id}: {any: [{scopes: [a, "b"]}, {roles: [x, 'y z'], groups: [g]}], where: {env.risk: {lt: 5}}, resource: {id: path.id}}
    '* /b/{rest=**}': {persons: [kim], require: {max_age: 5m}}
---
kind: Policies
policies:
  - {for each: {t: [p, q]}, id: each-<t>, right: shop/GET /health, to: {group: <t>}}
"""


def without_places(value: object) -> object:
    if isinstance(value, dict):
        hidden = {"place", "files", "row_file", "row_line", "row_column"}
        return {key: without_places(one) for key, one in value.items() if key not in hidden}
    return [without_places(one) for one in value] if isinstance(value, list) else value


def compiled(documents: list[Node]) -> object:
    found = pbac.check_and_compile(documents)
    assert found.data is not None, "\n".join(map(str, found.problems))
    return without_places(found.data)


@pytest.mark.parametrize("text", [SHORT, *EXAMPLES])
def test_the_long_form_compiles_to_the_same(text):
    documents = load(text, "short.yaml")
    long = write(expanded(documents))
    assert "for each" not in long
    again = load(long, "long.yaml")
    assert expanded(again) == again
    assert compiled(again) == compiled(documents)


def test_the_long_form_is_what_one_would_write():
    (_, policies) = load(write(expanded(load(SHORT, "short.yaml")[:1])), "long.yaml")
    assert [policy["id"] for policy in plain(policies)["policies"]] == [
        "shop.any.b._rest_", "shop.GET.a._id_.a", "shop.GET.a._id_.g", "shop.GET.health",
    ]  # fmt: skip


def test_what_is_wrong_is_told():
    with pytest.raises(DocumentError, match="A018"):
        expanded(load("{kind: Application, id: a, http: {hosts: [h], routes: {GET /: {scopes: []}}}}", "f.yaml"))


HERE = Place("f", 1, 1)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"),
    max_size=9,
)
WORDS = st.builds(lambda text: Scalar(text, HERE, quoted=True), TEXT) | st.sampled_from(["a", "$a.b", "GET /{x}"]).map(
    lambda t: Scalar(t, HERE)
)


def mapping(members: dict[str, Node]) -> MapNode:
    return MapNode({key: Entry(Scalar(key, HERE, quoted=True), value) for key, value in members.items()}, HERE)


TREES = st.recursive(
    WORDS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: ListNode(tuple(items), HERE))
        | st.dictionaries(TEXT, inner, max_size=3).map(mapping)
    ),
    max_leaves=12,
)


def shape(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text, node.quoted
    if isinstance(node, ListNode):
        return [shape(item) for item in node.items]
    return {key: shape(entry.value) for key, entry in node.entries.items()}


@given(tree=st.dictionaries(TEXT, TREES, min_size=1, max_size=3).map(mapping))
def test_what_is_written_is_read_back(tree):
    (again,) = load(write([tree]), "f")
    assert shape(again) == shape(tree)
