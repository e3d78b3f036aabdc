"""The examples of the language's pages compile and decide as they say; the pages name every word of the language."""

import json
import re
from pathlib import Path

import pytest

from authorizer.cli import main
from authorizer.jose.sign import generate, public_jwk, sign
from authorizer.model import Decision, Request
from authorizer.pdp import facts, rehearsal
from authorizer.pdp.attributes import KINDS as SOURCES
from authorizer.pdp.snapshot import Options, Snapshot, build
from authorizer.pdp.sources import Sources, compile_documents
from authorizer.policy import testing
from authorizer.policy.pbac import KINDS, OTHER_KINDS, declared, eligibility, grants, types, vocabulary
from authorizer.reasons import ACCEPTABLE
from authorizer.service import Authorizer

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "policies.md", *sorted((DOCS / "language").glob("*.md"))]
PAGE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
EXAMPLE = dict(re.findall(r"^```yaml\n# file: (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
RUN = dict(re.findall(r"^```yaml\n# run: (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
KEY = generate("ES256")
NOW = 1_795_168_800  # 2026-11-20T10:00:00Z


def sources() -> Sources:
    keys = json.dumps({"keys": [public_jwk(KEY, "ES256", "main-1")]})
    return compile_documents({"keys.json": keys.encode()} | {name: text.encode() for name, text in EXAMPLE.items()})


def snapshot() -> Snapshot:
    documents = sources().documents()
    return build(documents, dict.fromkeys(documents, "example"), Options())


def ask(target: str, **claims: object) -> Decision:
    """Ask with a token of the example's issuer."""
    times = {"iat": NOW, "auth_time": NOW, "exp": NOW + 600}
    said = {"iss": "https://login.example", "aud": "invoices", "sub": "eve", **times, **claims}
    bearer = sign(said, KEY, "ES256", "main-1", token_type="at+jwt")
    headers = {"authorization": (f"Bearer {bearer}",)}
    request = Request(method="GET", target=target, host="api.example", headers=headers)
    return Authorizer(snapshot(), clock=lambda: NOW).check(request)


def test_every_block_is_part_of_the_example():
    assert len(EXAMPLE) == 2
    assert PAGE.count("```yaml") == len(EXAMPLE) + len(RUN)


@pytest.mark.parametrize("name", RUN)
def test_small_examples_have_no_problem_and_decide_as_they_say(name):
    found = compile_documents({name: RUN[name].encode()})
    assert [str(problem) for problem in found.problems] == []
    now = build(found.documents(), {}, Options())
    report = testing.run(found.tests, lambda case: rehearsal.ask(now, case))
    assert [(r.case.name, r.failures, r.decision.detail) for r in report.failed] == []
    assert report.results


def test_the_first_example_of_the_readme_is_small_and_guards_its_routes():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n# file: \S+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(example.partition("---")[0].splitlines()) <= 10
    keys = json.dumps({"keys": [public_jwk(KEY, "ES256", "main-1")]})
    found = compile_documents({"keys.json": keys.encode(), "shop.yaml": example.encode()})
    assert [str(problem) for problem in found.problems] == []
    documents = found.documents()
    now = build(documents, dict.fromkeys(documents, "example"), Options())

    def passes(method: str, target: str, **claims: object) -> bool:
        times = {"iat": NOW, "exp": NOW + 600}
        said = {"iss": "https://login.example", "aud": "shop", "sub": "ann", **times, **claims}
        bearer = sign(said, KEY, "ES256", "main-1", token_type="at+jwt")
        headers = {"authorization": (f"Bearer {bearer}",)} if claims else {}
        request = Request(method=method, target=target, host="api.example", headers=headers)
        return Authorizer(now, clock=lambda: NOW).check(request).allowed

    (provider,) = re.findall(r"^```yaml\n(kind: Issuers\n.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found = compile_documents({"shop.yaml": f"{example.partition('---')[0]}---\n{provider}".encode()})
    assert [str(problem) for problem in found.problems] == []
    assert passes("GET", "/health")
    assert passes("GET", "/orders/7", scope="openid orders.read")
    assert not passes("GET", "/orders/7")
    assert not passes("GET", "/orders/7", scope="orders.write")
    assert passes("DELETE", "/orders/7", scope="orders.write", roles=["support"])
    assert not passes("DELETE", "/orders/7", scope="orders.write", roles=["clerk"])
    assert not passes("DELETE", "/orders/7", scope="orders.read", roles=["support"])


def test_the_example_has_no_problem():
    assert [str(problem) for problem in sources().problems] == []


def test_the_example_decides_as_it_says():
    now = snapshot()
    report = testing.run(sources().tests, lambda case: rehearsal.ask(now, case))
    assert [(r.case.name, r.failures, r.decision.detail) for r in report.failed] == []
    assert len(report.results) == 10


def test_no_small_fault_in_the_example_goes_unnoticed(tmp_path, capsys):
    for name, text in EXAMPLE.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk(KEY, "ES256", "main-1")]}))
    assert main(["policy", "mutate", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(" 0 survived\n")


@pytest.mark.parametrize(
    ("target", "claims", "reason"),
    [
        ("/invoices/7", {"groups": ["clerks"], "tenant": "acme"}, "allowed"),
        ("/invoices/7", {"groups": ["clerks"], "tenant": "globex"}, "wrong_tenant"),
        ("/invoices/7", {"groups": ["guests"], "tenant": "acme"}, "no_matching_policy"),
        ("/invoices", {"groups": ["clerks"], "tenant": "acme"}, "not_in_plan"),
        ("/invoices", {"groups": ["clerks"], "tenant": "globex"}, "allowed"),
    ],
)
def test_the_example_decides_by_token_and_facts(target, claims, reason):
    assert ask(target, **claims).reason.code == reason


WORDS = {
    "kinds": (*KINDS, *OTHER_KINDS),
    "types": types.BASES,
    "operators": types.ALL_OPERATORS,
    "models": declared.MODELS,
    "assignees": grants.ASSIGNEES,
    "env": vocabulary.builtin_env(()),
    "accept": ACCEPTABLE,
    "eligibility": eligibility.TYPES,
    "facts": set(facts.Facts.__struct_fields__) - {"format"},
}


@pytest.mark.parametrize("group", WORDS)
def test_the_page_names_every_word(group):
    words = set(re.findall(r"[\w+]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert set(WORDS[group]) - words == set()


def test_the_page_names_every_source():
    assert {kind for kind in SOURCES if f"`{kind}." not in PAGE} == set()
