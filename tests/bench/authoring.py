"""How long authors wait: ``authorizer policy check`` on many policies in a hundred files."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tests.bench.report import Row, lower_is_better

FILES = 100
MOST_SECONDS = {10_000: 5, 100_000: 60}
"""The most allowed by the number of policies; the larger one has no promise but an end."""

_RIGHTS = 100
_APPLICATION = """\
kind: Catalog
fields: {country: {type: enum, values: [PL, NO, DE, FR]}, agency: {type: string, scope: [resource, assignee]}, value: {type: decimal}}
---
kind: Application
id: app
model: pbac+fields
rights:
RIGHTS
http:
  hosts: [api.example]
  routes:
ROUTES
"""


def run() -> dict[str, Row]:
    """Measure each size."""
    return {f"authoring.check.{count}": _measure(count) for count in MOST_SECONDS}


def _measure(count: int) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        _write(Path(directory), count)
        started, before = perf_counter(), _processor()
        subprocess.run([sys.executable, "-m", "authorizer", "policy", "check", directory], check=True)
        seconds, busy = perf_counter() - started, _processor() - before
    most = MOST_SECONDS[count]
    return Row(
        value=round(seconds, 2),
        unit="s",
        baseline=f"the most allowed: {most} s",
        ratio=lower_is_better(seconds, most),
        note=f"{FILES} files; {busy:.1f} s of a processor",
    )


def _processor() -> float:
    """Return the seconds of processors that ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write(directory: Path, count: int) -> None:
    sources = "id: path.id, country: lookup.country, agency: lookup.agency, value: lookup.value"
    rights = "\n".join(f"  r{n}: {{fields: [country, agency, value]}}" for n in range(_RIGHTS))
    routes = "\n".join(f"    GET /r{n}/{{id}}: {{right: r{n}, resource: {{{sources}}}}}" for n in range(_RIGHTS))
    (directory / "app.yaml").write_text(_APPLICATION.replace("RIGHTS", rights).replace("ROUTES", routes))
    for number in range(FILES):
        rows = [
            f"  - {{id: p{number}-{n}, right: app/r{n % _RIGHTS}, to: {{group: g{number}-{n % 50}}}, where: {{resource.country:"
            f" {{in: [PL, NO]}}, resource.agency: {{eq: a-{n}}}, resource.value: {{lte: {n}}}}}}}\n"
            for n in range(count // FILES)
        ]
        (directory / f"p{number}.yaml").write_text("kind: Policies\npolicies:\n" + "".join(rows))
