"""A test report as JUnit's XML, which every build server reads."""

from collections import defaultdict
from html import escape

from authorizer.grammar import UNSAFE_TEXT
from authorizer.policy.testing import Report, Result


def junit(report: Report) -> str:
    """Return the report as one XML document: a test suite for each suite, in the order of the cases."""
    suites: dict[str, list[Result]] = defaultdict(list)
    for result in report.results:
        suites[result.case.suite].append(result)
    total = f'tests="{len(report.results)}" failures="{len(report.failed)}"'
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
            message = "; ".join((*result.failures, result.decision.detail))
            lines += [opened + ">", f"      <failure message={_text(message)}/>", "    </testcase>"]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _text(text: str) -> str:
    return '"' + escape(UNSAFE_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)) + '"'
