"""The Rego beside the documents: ``.rego`` files and ``data.json`` make one plan; archives of OPA's are taken as built.

An archive is trusted like the documents beside it; whoever publishes them signs what was read of both.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from authorizer.bundle import archive
from authorizer.errors import BundleError, Place, Problem
from authorizer.pdp import rego_manifest
from authorizer.policy.pbac.declared import Decider, Estate
from authorizer.policy.pbac.form import RULE
from authorizer.policy.pbac.trees import leaves
from authorizer.policy.plan import compile_plan, read
from authorizer.policy.plan.loading import read_data
from authorizer.policy.rego import RegoError, compile_modules, parse
from authorizer.policy.rego.compile import check_modules
from authorizer.policy.rego.syntax import Module, Rule, Scalar, Var
from authorizer.strict_json import Refused

OTHER_SUFFIXES = (".rego", ".tar.gz", rego_manifest.NAME)
DATA = "data.json"
_BUILD = "opa build -t plan -e PATH"

Plans = dict[str, dict[str, Any]]


def compile_rego(files: Mapping[str, bytes], estate: Estate | None) -> tuple[Plans, list[Problem]]:
    """Return the plans that an estate asks, by name ("" is that of the ``.rego`` files), and all problems.

    Files that nothing asks are checked all the same.
    """
    plans: Plans = {}
    modules, data, problems = read_beside(files)
    deciders = [one.decider for one in estate.applications.values() if one.decider] if estate else []
    asked = {one.entrypoint: one.place for one in deciders if not one.bundle}
    for policy in estate.policies if estate else ():
        for leaf in leaves(policy.condition):
            if leaf.field.startswith(RULE):
                asked.setdefault(leaf.field.removeprefix(RULE), leaf.place)
    if not problems:
        known = {"/".join((*module.package, *_name(rule))) for module in modules for rule in module.rules}
        problems += [
            Problem("AZ213", f"no .rego file has the rule data.{path.replace('/', '.')}", place)
            for path, place in sorted(asked.items())
            if not any(f"{path}/".startswith(f"{name}/") or name.startswith(f"{path}/") for name in known)
        ]
    if modules and not problems:
        try:
            if asked:
                plan = compile_modules(modules, entrypoints=sorted(asked), data=data)
                compile_plan(read(plan))
                plans[""] = {"plan": plan} | ({"data": data} if data else {})
            else:
                check_modules(modules, data=data)
        except RegoError as error:
            problems += error.problems
        except BundleError as error:
            problems.append(Problem("AZ214", error.message, Place(modules[0].file), error.hint))
    used = {one.bundle for one in deciders}
    problems += [
        Problem("AZ211", "an archive that no application names", Place(name), "name it as its 'rego.bundle'")
        for name in files
        if name.endswith(".tar.gz") and name not in used and estate is not None
    ]
    for one in deciders:
        if one.bundle and one.bundle not in plans:
            _archived(one, deciders, files, plans, problems)
    return plans, problems


def read_beside(files: Mapping[str, bytes]) -> tuple[list[Module], dict[str, Any], list[Problem]]:
    """Return the modules of all ``.rego`` files, what the ``data.json`` files hold, and what is wrong with either."""
    problems: list[Problem] = []
    modules = _modules(files, problems)
    root = len(_root(files))
    data = _data({name[root:]: (name, content) for name, content in files.items()}, problems)
    return modules, data, problems


def _archived(
    asked: Decider, deciders: Iterable[Decider], files: Mapping[str, bytes], plans: Plans, problems: list[Problem]
) -> None:
    """Take the plan of an archive as ``opa build -t plan`` writes it: all names begin with a slash."""
    name = asked.bundle
    if name not in files:
        problems.append(
            Problem("AZ215", f"there is no archive {name!r}", asked.place, "name it as it lies from the document")
        )
        return
    try:
        inside = archive.unpack(files[name], rooted=True)
    except BundleError as error:
        problems.append(Problem(error.code, error.message, Place(name), f"build it again: {_BUILD}"))
        return
    if unusable := _unusable(inside):
        problems.append(Problem("AZ215", unusable[0], Place(name), unusable[1]))
        return
    before = len(problems)
    data = _data({each: (f"{name}/{each}", content) for each, content in inside.items()}, problems)
    plan = _object(inside["plan.json"], f"{name}/plan.json", problems)
    if len(problems) > before:
        return
    try:
        entrypoints = compile_plan(read(plan)).entrypoints
    except BundleError as error:
        problems.append(Problem("AZ214", error.message, Place(name), error.hint))
        return
    for one in deciders:
        if one.bundle == name and one.entrypoint not in entrypoints:
            known = "it has " + (", ".join(entrypoints) or "none: opa build -t plan -e PATH")
            problems.append(Problem("AZ213", f"{name} has no entry point {one.entrypoint!r}", one.place, known))
    plans[name] = {"plan": plan} | ({"data": data} if data else {})


def _unusable(inside: Mapping[str, bytes]) -> tuple[str, str] | None:
    """Return why an archive cannot be taken as it is, and what would help; None if it has nothing but what is read."""
    if ".signatures.json" in inside:
        hint = "build it without a signature: the control plane signs what it publishes"
        return "the archive is signed, and no key is known to verify it by", hint
    if "patch.json" in inside:
        return "the archive holds changes to another one (a delta bundle)", f"build the whole: {_BUILD}"
    if "plan.json" not in inside:
        also = ", and WebAssembly is not run" if "policy.wasm" in inside else ""
        return f"the archive has no /plan.json{also}", _BUILD
    if any(name.rpartition("/")[2] in {"data.yaml", "data.yml"} for name in inside):
        return "data in YAML within an archive are not read", f"{_BUILD} makes one data.json of all data"
    return None


def _modules(files: Mapping[str, bytes], problems: list[Problem]) -> list[Module]:
    modules = []
    versions, found = rego_manifest.rego_versions(files)
    problems += found
    for name, version in sorted(versions.items()):
        try:
            modules.append(parse(files[name].decode(), name, version))
        except UnicodeDecodeError:
            problems.append(Problem("G101", "not UTF-8", Place(name), "save the file as plain UTF-8"))
        except RegoError as error:
            problems += error.problems
    return modules


def _name(rule: Rule) -> Iterable[str]:
    for step in rule.path:
        if isinstance(step, Var):
            yield step.name
        elif isinstance(step, Scalar) and isinstance(step.value, str):
            yield step.value
        else:
            return


def _root(files: Iterable[str]) -> str:
    """Return the folder that holds all files, with its slash: names tell of other folders above it, or of none."""
    folders = [name.split("/")[:-1] for name in files]
    shared = itertools.takewhile(lambda steps: len(set(steps)) == 1, zip(*folders, strict=False))
    return "".join(f"{steps[0]}/" for steps in shared)


def _data(files: Mapping[str, tuple[str, bytes]], problems: list[Problem]) -> dict[str, Any]:
    """Return what ``data.json`` files hold, each at the path of its folder, as OPA reads a bundle.

    ``files`` leads from the path that counts to the name that problems show, and the content.
    """
    found: dict[str, Any] = {}
    for path, (name, content) in sorted(files.items()):
        folder, _, file = path.rpartition("/")
        if file != DATA:
            continue
        value = _object(content, name, problems)
        for step in reversed(folder.split("/") if folder else []):
            value = {step: value}
        if not _merge(found, value):
            problems.append(Problem("AZ215", "another data.json has the same path", Place(name), "keep one"))
    return found


def _merge(into: dict[str, Any], value: Mapping[str, Any]) -> bool:
    for name, each in value.items():
        known = into.get(name)
        if name not in into:
            into[name] = each
        elif not isinstance(known, dict) or not isinstance(each, dict) or not _merge(known, each):
            return False
    return True


def _object(content: bytes, name: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        value = read_data(content)
    except Refused as refused:
        problems.append(Problem("AZ215", f"not JSON with one meaning: {refused}", Place(name)))
        return {}
    if not isinstance(value, dict):
        problems.append(Problem("AZ215", "not a JSON object", Place(name)))
        return {}
    return value
