"""The ``.manifest`` of a directory: which version of Rego its ``.rego`` files are in, told as in OPA's bundles."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from authorizer.bundle.manifest import NAME
from authorizer.errors import Place, Problem
from authorizer.policy.plan import Budget, BudgetError, Context
from authorizer.policy.plan.builtins.globs import Glob
from authorizer.policy.plan.loading import read_data
from authorizer.policy.plan.values import BuiltinError
from authorizer.strict_json import Refused

_MAX_PATTERNS: Final = 100
_SPECIAL: Final = frozenset("*?[]{}\\")
_HINT: Final = '{"rego_version": 0, "file_rego_versions": {"/new/*.rego": 1}}'

__all__ = ["NAME", "rego_versions"]

Version = Literal[0, 1]


class _Form(Struct, frozen=True, forbid_unknown_fields=True):
    """The members that OPA knows; what says nothing of versions is not used."""

    rego_version: Version | None = None
    file_rego_versions: dict[str, Version] = {}
    revision: str = ""
    roots: list[str] = []
    metadata: dict[str, Any] = {}


class _Manifest(Struct, frozen=True):
    default: int
    exact: dict[str, int]
    patterns: tuple[tuple[Glob, int], ...]


def rego_versions(files: Mapping[str, bytes], default: int = 1) -> tuple[dict[str, int], list[Problem]]:
    """Return the version of each ``.rego`` file by its name, and what is wrong with manifests.

    A manifest is about the files of its folder and those below; files without one are of version ``default``. A pattern
    is matched against the path from the folder on, with a slash before it, and its ``*`` stands for slashes too.
    """
    problems: list[Problem] = []
    manifests: dict[str, _Manifest] = {}
    for name, content in files.items():
        folder, _, file = f"/{name}".rpartition("/")
        if file == NAME:
            try:
                manifests[folder] = _read(content, default)
            except (Refused, msgspec.ValidationError, BuiltinError) as error:
                problems.append(Problem("AZ215", f"not the manifest of a bundle: {error}", Place(name), _HINT))
            except BudgetError:
                problems.append(Problem("AZ215", "a pattern of the manifest is too large", Place(name), _HINT))
    found: dict[str, int] = {}
    for name in files:
        if not name.endswith(".rego"):
            continue
        found[name] = default
        near = [folder for folder in manifests if f"/{name}".startswith(f"{folder}/")]
        if near:
            folder = max(near, key=len)
            told = _told(manifests[folder], f"/{name}".removeprefix(folder))
            if len(told) > 1:
                problems.append(Problem("AZ215", f"{NAME} gives it several versions of Rego", Place(name), _HINT))
            found[name] = min(told)
    return found, problems


def _read(content: bytes, default: int) -> _Manifest:
    form = msgspec.convert(read_data(content), _Form)
    exact: dict[str, int] = {}
    patterns: list[tuple[Glob, int]] = []
    for path, version in form.file_rego_versions.items():
        if _SPECIAL.isdisjoint(path):
            exact[path] = version
        elif len(patterns) == _MAX_PATTERNS:
            raise msgspec.ValidationError(f"more than {_MAX_PATTERNS} patterns")
        else:
            patterns.append((Glob(path, ""), version))
    return _Manifest(default if form.rego_version is None else form.rego_version, exact, tuple(patterns))


def _told(manifest: _Manifest, path: str) -> set[int]:
    """Return the versions that a manifest gives a file, at least one."""
    context = Context(0, bytes, Budget(10_000_000))
    try:
        found = {version for pattern, version in manifest.patterns if pattern.matches(context, path)}
    except BudgetError:
        return {0, 1}
    if path in manifest.exact:
        found.add(manifest.exact[path])
    return found or {manifest.default}
