"""The published schema: every example is valid by it, a wrong key or word is not; it is a schema itself."""

import json
import re
from pathlib import Path

import pytest
import yaml

from authorizer.cli import main
from authorizer.pdp.schema import schema
from authorizer.pdp.sources import compile_documents
from authorizer.policy import pbac

ROOT = Path(__file__).parents[2]
SCHEMA = schema()
SHARED = ROOT.parent / "shared" / "design" / "examples"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
BLOCKS = [
    text
    for page in PAGES
    for text in re.findall(r"^```yaml\n# (?:run|file): \S+\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
]
FILES = [*(ROOT / "authorizer" / "demo" / "policies").glob("*.yaml"), *(ROOT / "tests").rglob("shared.yaml")]
TEXTS = BLOCKS + [file.read_text() for file in FILES]


def valid(value: object, by: dict, root: dict = SCHEMA) -> bool:
    """Judge by the part of JSON Schema that the schema uses; any other word is an error of this test."""
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "boolean": bool, "null": type(None)}

    def holds(word: str, rule: object) -> bool:
        match word:
            case "type":
                names = rule if isinstance(rule, list) else [rule]
                return any(isinstance(value, kinds[name]) for name in names)
            case "enum":
                return value in rule
            case "const":
                return value == rule
            case "anyOf":
                return any(valid(value, one) for one in rule)
            case "allOf":
                return all(valid(value, one) for one in rule)
            case "if":
                return not valid(value, rule) or valid(value, by["then"])
            case "$ref":
                return valid(value, root["$defs"][rule.removeprefix("#/$defs/")])
            case "required":
                return not isinstance(value, dict) or all(key in value for key in rule)
            case "properties":
                return not isinstance(value, dict) or all(
                    valid(value[key], one) for key, one in rule.items() if key in value
                )
            case "patternProperties":
                return not isinstance(value, dict) or all(
                    valid(item, one)
                    for one_key, one in rule.items()
                    for key, item in value.items()
                    if re.search(one_key, key)
                )
            case "additionalProperties":
                if not isinstance(value, dict):
                    return True
                others = [
                    key
                    for key in value
                    if key not in by.get("properties", {})
                    and not any(re.search(p, key) for p in by.get("patternProperties", {}))
                ]
                return not others if rule is False else all(valid(value[key], rule) for key in others)
            case "items":
                return not isinstance(value, list) or all(valid(item, rule) for item in value)
            case "minProperties":
                return not isinstance(value, dict) or len(value) >= rule
            case "maxProperties":
                return not isinstance(value, dict) or len(value) <= rule
        assert word in {"then", "$schema", "$defs", "title"}, word
        return True

    return all(holds(word, rule) for word, rule in by.items())


class Editor(yaml.SafeLoader):
    """Booleans as in YAML 1.2, which editors speak: ``on`` is a word."""


Editor.yaml_implicit_resolvers = {
    first: [one for one in found if one[0] != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Editor.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), ["t", "f"])


def as_an_editor_reads(text: str) -> list[object]:
    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {str(key): plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)

    return [plain(document) for document in yaml.load_all(text, Loader=Editor)]


@pytest.mark.parametrize("text", TEXTS)
def test_every_example_is_valid(text):
    assert [valid(document, SCHEMA) for document in as_an_editor_reads(text)] == [True] * text.count("kind: ")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared examples are not here")
def test_the_shared_examples_are_valid():
    assert all(
        valid(document, SCHEMA) for file in SHARED.glob("*.yaml") for document in as_an_editor_reads(file.read_text())
    )


@pytest.mark.parametrize(
    "text",
    [
        "{id: a}",
        "{kind: Polices, policies: []}",
        "{kind: Policies, policy: []}",
        "{kind: Policies, policies: [{id: p, right: a/r, too: {group: g}}]}",
        "{kind: Policies, policies: [{id: p, right: a/r, to: {team: g}}]}",
        "{kind: Policies, policies: [{id: p, right: a/r, to: {group: g, person: p}}]}",
        "{kind: Policies, policies: [{id: p, right: a/r, to: {group: g}, where: {resource.x: {equals: 1}}}]}",
        "{kind: Policies, policies: [{id: p, right: a/r, to: {group: g}, where: {not: {resorce.x: {eq: 1}}}}]}",
        "{kind: Policies, policies: [{id: p, effect: permit, right: a/r}]}",
        "{kind: Application, id: a, model: pbcc}",
        "{kind: Application, id: a, http: {hosts: [h], routes: {GET /: {scope: [a]}}}}",
        "{kind: Application, id: a, http: {hosts: [h], routes: {GET /: {any: [{scope: [a]}]}}}}",
        "{kind: Application, id: a, http: {hosts: [h], routes: {GET /: everybody}}}",
        "{kind: Application, id: a, http: {hosts: [h], routes: {GET /: {right: r, on_miss: wait}}}}",
        "{kind: Application, id: a, http: {hosts: [h], unmapped: permit}}",
        "{kind: Catalog, fields: {x: {type: text}}}",
        "{kind: Issuers, issuers: {a: {issuer: x, audiences: [a], algorithms: [HS256]}}}",
        "{kind: Facts, members: {}}",
        "{kind: Tests, suite: s, cases: [{name: a, http: GET h/, expect: {}}]}",
        "{kind: Tests, suite: s, cases: [{name: a, http: GET h/, expect: {decision: maybe}}]}",
    ],
)
def test_what_is_wrong_is_invalid_and_an_error(text):
    (document,) = as_an_editor_reads(text)
    assert not valid(document, SCHEMA)
    problems = compile_documents({"f.yaml": text.encode()}).problems
    assert any(problem.severity == "error" for problem in problems)


def test_it_knows_every_kind():
    assert set(SCHEMA["properties"]["kind"]["enum"]) == {*pbac.KINDS, *pbac.OTHER_KINDS}


def test_it_can_be_printed(capsys):
    assert main(["policy", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
