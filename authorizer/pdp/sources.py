"""A set of files becomes the three documents of a snapshot, the test cases, and all problems. No I/O: bytes in."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from authorizer.errors import DocumentError, Place, Problem, ordered
from authorizer.pdp.agreement import compare
from authorizer.pdp.api_keys import compile_keys
from authorizer.pdp.certificate_rules import compile_rules
from authorizer.pdp.derived import derive
from authorizer.pdp.facts import compile_facts
from authorizer.pdp.issuers import compile_issuers
from authorizer.pdp.rego_sources import OTHER_SUFFIXES, compile_rego
from authorizer.policy import documents, pbac
from authorizer.policy.documents import MapNode, Node, Scalar
from authorizer.policy.pbac.declared import Estate
from authorizer.policy.testing import Case, read_suites

TEXT_SUFFIXES = (".yaml", ".yml")
"""Files that hold documents; others are only read when a document names them (``jwks_file``)."""


_KIND = re.compile(rb"""^[\s{]*["']?kind["']?\s*:""", re.MULTILINE)


class Sources(Struct, frozen=True, kw_only=True):
    """What was compiled: a document for each of ``model.KINDS``, or none when one of ``problems`` is an error.

    ``tests`` are the cases of the suites, none when one of these has an error; ``problems`` are in the order of their
    places; ``estate`` is what the policy documents declare, None with an error in one of them.
    """

    compiled: Mapping[str, dict[str, Any]]
    tests: tuple[Case, ...]
    problems: tuple[Problem, ...]
    estate: Estate | None = None

    def documents(self) -> Mapping[str, dict[str, Any]]:
        """Return the documents by kind. Raises DocumentError with all problems when there is an error."""
        if not self.compiled:
            raise DocumentError(self.problems)
        return self.compiled


def compile_documents(files: Mapping[str, bytes]) -> Sources:
    """Compile all documents of ``files`` (path -> content) together.

    INVARIANT: one error anywhere leaves no document at all. Half of an estate could lack its denies.
    """
    problems: list[Problem] = []
    found: list[Node] = []
    texts: dict[str, str] = {}
    for name, content in sorted(files.items()):
        if name.endswith(OTHER_SUFFIXES):
            continue
        if not name.endswith(TEXT_SUFFIXES):
            problems += _not_read(name, content)
            continue
        texts[name] = content.decode("utf-8", "replace")
        try:
            found += documents.load_bytes(content, name)
        except DocumentError as error:
            problems += error.problems
    kinds: dict[str, list[Node]] = {"Issuers": [], "ApiKeys": [], "Certificates": [], "Facts": [], "Tests": []}
    for document in found:
        kind = document.get("kind") if isinstance(document, MapNode) else None
        if isinstance(kind, Scalar) and kind.text in kinds:
            kinds[kind.text].append(document)
    compiled = pbac.check_and_compile(found)
    plans, rego_problems = compile_rego(files, compiled.estate)
    trust, trust_problems = compile_issuers(kinds["Issuers"], files.__getitem__)
    trust["api_keys"], key_problems = compile_keys(kinds["ApiKeys"])
    trust["certificates"], rule_problems = compile_rules(kinds["Certificates"])
    facts, facts_problems = compile_facts(kinds["Facts"])
    problems += [*compiled.problems, *rego_problems, *trust_problems, *key_problems, *rule_problems, *facts_problems]
    if compiled.estate is not None and not facts_problems:
        facts, derived_problems = derive(compiled.estate, facts)
        problems += derived_problems
    if compiled.vocabulary is not None:
        problems += compare(
            compiled.vocabulary,
            kinds["Issuers"],
            [*kinds["ApiKeys"], *kinds["Certificates"]],
            kinds["Facts"],
            trust,
            facts["memberships"],
        )
    tests: tuple[Case, ...] = ()
    try:
        tests = read_suites(kinds["Tests"])
    except DocumentError as error:
        problems += error.problems
    made: dict[str, dict[str, Any]] = {}
    if compiled.data is not None and not any(problem.severity == "error" for problem in problems):
        made = {"policy": compiled.data | ({"rego": plans} if plans else {}), "facts": facts, "trust": trust}
    return Sources(
        compiled=made,
        tests=tests,
        problems=ordered(documents.excerpted(problems, texts)),
        estate=compiled.estate,
    )


def _not_read(name: str, content: bytes) -> list[Problem]:
    """Return the problem of a file that is passed over and seems to hold documents: they may be the denies."""
    hint = "write it in YAML, and name it so that it ends with .yaml"
    if not name.endswith(".json"):
        return [Problem("AZ211", "a file whose name does not tell that it holds documents", Place(name), hint)]
    try:
        found = msgspec.json.decode(content)
        document = isinstance(found, dict) and "kind" in found
    except (msgspec.DecodeError, RecursionError):
        document = _KIND.search(content) is not None
    if document:
        return [Problem("AZ211", "a file in JSON is a key set, not a document", Place(name), hint)]
    return []
