"""What is wrong with documents, as codes and places; the documents that tests of it share."""

from pathlib import Path

from authorizer.policy import pbac
from authorizer.policy.documents import load

DOCUMENTS = Path(__file__).parent / "documents"
SHARED = (DOCUMENTS / "shared.yaml").read_text()


def problems(*texts: str) -> list[str]:
    """Return ``CODE line:column`` for each problem of the texts after the shared ones."""
    nodes = load(SHARED, "shared.yaml")
    for text in texts:
        nodes += load(text, "f.yaml")
    found = pbac.check_and_compile(nodes)
    assert (found.data is None) == any(p.severity == "error" for p in found.problems)
    return [f"{p.code} {p.place.line}:{p.place.column}" for p in found.problems]


def application(model: str, rest: str) -> str:
    return f"{{kind: Application, id: app, model: {model},\n{rest}}}"


APP = """\
kind: Application
id: app
model: pbac+fields
fields:
  line: {type: enum, values: [motor, life]}
  size: {type: enum, values: [s, m, l], ordered: true}
  value: {type: decimal}
  limit: {type: decimal, scope: assignee}
  lines: {type: enum, values: [motor, life], scope: assignee, many: true}
  opened: {type: timeofday}
  address: {type: ip}
  home: {type: cidr, scope: assignee}
  note: {type: string}
rights: {r: {fields: [country, line, size, value, opened, address, note]}, s: {fields: [country], feature: orders}}
roles: {R: [r, s]}
conditions: {office: {env.time: {between: [09:00, 17:00]}}, twice: {use: office}, odd: {use: odd}}
"""
