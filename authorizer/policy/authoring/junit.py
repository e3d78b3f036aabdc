"""A test report as JUnit's XML, which every build server reads."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape

from authorizer.grammar import UNSAFE_TEXT
from authorizer.policy.rego.testing import Outcome
from authorizer.policy.testing import Report, Result


def junit(report: Report, rules: Sequence[Outcome] = ()) -> str:
    """Return the report as one XML document: a test suite for each suite, in the order of the cases.

    ``rules`` are the outcomes of Rego's test rules, which make one suite for each package.
    """
    suites: dict[str, list[Result]] = defaultdict(list)
    for result in report.results:
        suites[result.case.suite].append(result)
    failures = len(report.failed) + sum(bool(one.failure) for one in rules)
    total = f'tests="{len(report.results) + len(rules)}" failures="{failures}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<testsuites name="authorizer" {total}>']
    for name, results in suites.items():
        failed = sum(bool(result.failures) for result in results)
        lines.append(f'  <testsuite name={_text(name)} tests="{len(results)}" failures="{failed}">')
        for result in results:
            place = result.case.place
            case = f"name={_text(result.case.name)} classname={_text(name)} file={_text(place.file)}"
            opened = f'    <testcase {case} line="{place.line}"'
            if not result.failures:
                lines.append(opened + "/>")
                continue
            message = "; ".join(filter(None, (*result.failures, result.decision.detail)))
            lines += [opened + ">", f"      <failure message={_text(message)}/>", "    </testcase>"]
        lines.append("  </testsuite>")
    packages: dict[str, list[Outcome]] = defaultdict(list)
    for one in rules:
        packages[one.name.rpartition(".")[0]].append(one)
    for name, outcomes in packages.items():
        lines += _package(name, outcomes)
    return "\n".join([*lines, "</testsuites>", ""])


def _package(name: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    failed, skipped = sum(bool(one.failure) for one in outcomes), sum(one.skipped for one in outcomes)
    yield f'  <testsuite name={_text(name)} tests="{len(outcomes)}" failures="{failed}" skipped="{skipped}">'
    for one in outcomes:
        rule = one.name.rpartition(".")[2]
        case = f"name={_text(rule)} classname={_text(name)} file={_text(one.place.file)}"
        opened = f'    <testcase {case} line="{one.place.line}"'
        if one.failure or one.skipped:
            what = f"<failure message={_text(one.failure)}/>" if one.failure else "<skipped/>"
            yield f"{opened}>\n      {what}\n    </testcase>"
        else:
            yield opened + "/>"
    yield "  </testsuite>"


def _text(text: str) -> str:
    return '"' + escape(UNSAFE_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)) + '"'
