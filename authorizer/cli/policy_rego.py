"""The verbs of ``authorizer policy`` for Rego: paths that hold ``.rego`` files and no documents are meant for it."""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from authorizer import directory
from authorizer.bundle import Signer, archive, signatures
from authorizer.cli.policy_documents import BUNDLE, FAILED, print_json, print_problems, read_files
from authorizer.errors import DocumentError, Place, Problem
from authorizer.pdp import rego_manifest
from authorizer.pdp.rego_sources import read_beside
from authorizer.pdp.rehearsal import Told
from authorizer.policy import testing as testing_of_cases
from authorizer.policy.authoring.junit import junit
from authorizer.policy.plan import BudgetError, Context, EvaluationError, compile_plan, read
from authorizer.policy.plan.values import UNDEFINED, json_text
from authorizer.policy.rego import RegoError, compile_modules, explain, parse, testing
from authorizer.policy.rego.compile import check_modules
from authorizer.policy.rego.syntax import Module

SUFFIX = ".rego"
_MAX_BYTES = 16 << 20


def concerns(args: argparse.Namespace) -> bool:
    """Tell whether the paths hold Rego and nothing else that a policy is made of.

    Raises DocumentError for another version of the language beside documents: there a manifest says it.
    """
    found = [Path(path) for path in args.paths]
    alone = any(map(_files, found)) and all(
        path.suffix == SUFFIX or (path.is_dir() and _only_rego(path)) for path in found
    )
    if not alone and args.rego_version != 1:
        hint = 'say it in the file .manifest beside them: {"rego_version": 0}'
        raise DocumentError([Problem("AZ200", "this version is for Rego alone", Place(args.paths[0]), hint)])
    return alone


def _only_rego(folder: Path) -> bool:
    return all(name.endswith(SUFFIX) or name == rego_manifest.NAME for name in directory.read(folder).files)


def add_options(parser: argparse.ArgumentParser, *, data: bool = False) -> None:
    """Add what Rego needs to be told."""
    parser.add_argument(
        "--rego-version",
        type=int,
        choices=(0, 1),
        default=1,
        help="Rego: version of files of which no .manifest tells; default: 1",
    )
    if data:
        parser.add_argument("--data", metavar="FILE", help="Rego: JSON object that is `data` beside the rules")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.rglob(f"*{SUFFIX}") if one.is_file())
    return [path] if path.suffix == SUFFIX and path.is_file() else []


def _texts(paths: Sequence[str], *, inside: bool = False) -> dict[str, str]:
    """Return the sources by the names that problems show; ``inside`` names those of a directory from there on."""
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for path in map(Path, paths):
        for file in _files(path):
            shown = file.relative_to(path).as_posix() if inside and path.is_dir() else file.as_posix()
            if inside and not path.is_dir():
                shown = file.name
            try:
                if file.stat().st_size > _MAX_BYTES:
                    problems.append(Problem("G103", f"larger than {_MAX_BYTES} bytes", Place(shown), "split the file"))
                    continue
                text = file.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                problems.append(Problem("G101", "not UTF-8", Place(shown), "save the file as plain UTF-8"))
                continue
            if shown in texts:
                problems.append(Problem("AZ200", "given twice", Place(shown)))
            texts[shown] = text
    if problems:
        raise DocumentError(problems)
    return texts


def _versions(args: argparse.Namespace, texts: Mapping[str, str], *, inside: bool = False) -> dict[str, int]:
    """Return the version of each of ``texts``, as the manifests of the directories tell, else the arguments."""
    files = dict.fromkeys(texts, b"")
    for folder in map(Path, args.paths):
        if (told := folder / rego_manifest.NAME).is_file():
            files[rego_manifest.NAME if inside else told.as_posix()] = told.read_bytes()
    versions, problems = rego_manifest.rego_versions(files, args.rego_version)
    if problems:
        raise DocumentError(problems)
    return versions


def _modules(args: argparse.Namespace, *, inside: bool = False) -> list[Module]:
    modules: list[Module] = []
    problems: list[Problem] = []
    texts = _texts(args.paths, inside=inside)
    versions = _versions(args, texts, inside=inside)
    for name, text in texts.items():
        try:
            modules.append(parse(text, name, versions[name]))
        except RegoError as error:
            problems.extend(error.problems)
    if problems:
        raise RegoError(problems)
    return modules


def _json_object(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        value = orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        raise DocumentError([Problem("AZ209", f"not JSON: {error}", Place(path))]) from None
    if not isinstance(value, dict):
        raise DocumentError([Problem("AZ209", "not a JSON object", Place(path))])
    return value


def _context() -> Context:
    return Context(time.time_ns(), os.urandom)


# -- verbs -------------------------------------------------------------------------------------------------------------


def check(args: argparse.Namespace) -> int:
    """Show all problems."""
    problems: Sequence[Problem] = ()
    try:
        check_modules(_modules(args))
    except RegoError as error:
        problems = error.problems
    return print_problems(problems, args.output)


def test(args: argparse.Namespace) -> int:
    """Run the rules called ``test_...``."""
    report = testing.run(_modules(args), _context, data=_json_object(args.data), coverage=args.coverage)
    if not report.outcomes:
        hint = "name a rule test_something"
        raise DocumentError([Problem("T304", "no test rules", Place(args.paths[0]), hint)])
    if args.junit:
        Path(args.junit).write_text(junit(testing_of_cases.Report(()), report.outcomes), encoding="utf-8")
    if args.output == "json":
        rules = shown_rules(report)
        print_json({"passed": len(rules) - len(report.failed), "failed": len(report.failed), "cases": rules})
    else:
        print_failures(report)
        print(report.summary)
        print_coverage(report)
    return FAILED if report.failed else 0


def beside(files: Mapping[str, bytes], data: str | None, *, coverage: bool) -> testing.Report:
    """Run the rules called ``test_...`` of ``.rego`` files that stand beside documents without an error.

    ``data`` is a file that adds to what ``data.json`` files hold.
    """
    modules, known, _ = read_beside(files)
    if not modules:
        return testing.Report(())
    return testing.run(modules, _context, data={**known, **_json_object(data)}, coverage=coverage)


class Ruling(Struct, frozen=True):
    """What a rule said in a case, or why it could not be told, and where its bodies stopped."""

    rule: str
    value: str
    stops: tuple[explain.Stop, ...] = ()

    def members(self) -> Mapping[str, object]:
        """Return it as it is printed in JSON."""
        return {"rule": self.rule, "value": self.value, "stops": list(map(_stop, self.stops))}

    def lines(self) -> Iterator[str]:
        """Yield it as it is printed."""
        yield f"rule {self.rule} is {self.value}"
        yield from (f"    {line}" for one in self.stops for line in one.render().splitlines())


def rulings(paths: Sequence[str], told: Told | None, now: float) -> list[Ruling]:
    """Return what the rules say that a case asked; ``now`` is in POSIX seconds.

    Nothing for rules whose sources are not at hand, as in bundles.
    """
    if told is None or told.plan or any(path.endswith(BUNDLE) for path in paths):
        return []
    modules, data, _ = read_beside(read_files(paths))
    found = []
    for path in told.rules:
        name = f"data.{path.replace('/', '.')}"
        try:
            one = explain.explain(modules, path, Context(int(now * 1e9), os.urandom), dict(told.input), data=data)
        except (EvaluationError, BudgetError) as error:
            found.append(Ruling(name, f"not to be told: {error}"))
            continue
        value = "undefined" if one.value is UNDEFINED else json_text(one.value)
        found.append(Ruling(name, value, () if one.value is True else one.stops))
    return found


def _stop(one: explain.Stop) -> Mapping[str, object]:
    return {"rule": one.rule, "place": str(one.place), "times": one.times, "known": json_text(dict(one.known))}


def shown_rules(report: testing.Report) -> list[Mapping[str, object]]:
    """Return the outcomes as they are printed in JSON."""
    return [
        {"name": one.name, "place": str(one.place), "passed": not one.failure, "failure": one.failure}
        for one in report.outcomes
        if not one.skipped
    ]


def print_failures(report: testing.Report) -> None:
    """Print the test rules that failed."""
    for one in report.failed:
        print(f"FAILED {one.name} ({one.place})\n    {one.failure}")


def print_coverage(report: testing.Report) -> None:
    """Print which expressions never held."""
    for covered in report.coverage:
        print(f"{covered.file}: {covered.total - len(covered.missing)} of {covered.total} expressions held")
        for line, column in covered.missing:
            print(f"    {covered.file}:{line}:{column} never held")


def build(args: argparse.Namespace, signer: Signer, serial: int) -> int:
    """Write one bundle in OPA's form: plan, data and sources, signed."""
    modules = _modules(args, inside=True)
    data = _json_object(args.data)
    if not args.entrypoint:
        hint = "name what is asked, such as --entrypoint acme/allow"
        raise DocumentError([Problem("AZ200", "Rego is built for entrypoints", Place(args.paths[0]), hint)])
    plan = compile_modules(modules, entrypoints=args.entrypoint, data=data)
    compile_plan(read(plan))  # what cannot be loaded is not built
    texts = _texts(args.paths, inside=True)
    files = {"plan.json": orjson.dumps(plan), "data.json": orjson.dumps(data)}
    files |= {name: text.encode() for name, text in texts.items()}
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()
    manifest = {"revision": digest, "roots": [""], "rego_version": args.rego_version, "metadata": {"serial": serial}}
    versions = _versions(args, texts, inside=True)
    if others := {f"/{name}": version for name, version in versions.items() if version != args.rego_version}:
        manifest["file_rego_versions"] = others
    files[".manifest"] = orjson.dumps(manifest)
    files[signatures.NAME] = signatures.attach(files, signer, issued_at=serial // 1000)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bundle.tar.gz"
    path.write_bytes(archive.pack(files))
    print(f"{path}  serial {serial}  revision {digest[:16]}  key {signer.key_id}")
    return 0


def tell(args: argparse.Namespace) -> int:
    """Show the value of a document, and where the rules that were asked for it stopped."""
    modules = _modules(args)
    given = _json_object(args.input) if args.input else UNDEFINED
    path = args.query.removeprefix("data.").replace(".", "/")
    try:
        told = explain.explain(modules, path, _context(), given, data=_json_object(args.data))
    except EvaluationError as error:
        print(f"error {error.code}: {error}", file=sys.stderr)
        return RegoError.exit_status
    except BudgetError:
        print("error: it costs more than an evaluation may", file=sys.stderr)
        return RegoError.exit_status
    value = "undefined" if told.value is UNDEFINED else json_text(told.value)
    if args.output == "json":
        print_json({"value": value, "stops": list(map(_stop, told.stops))})
        return 0
    print(f"{args.query}: {value}")
    for one in told.stops:
        print(one.render())
    return 0
