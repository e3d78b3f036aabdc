"""Reads settings from where they are said, all problems at once.

Sources, the later wins: the defaults of the knobs, the YAML file of ``--config``, environment variables (``AUTHORIZER``
and the path, in capitals, joined by two underscores: ``AUTHORIZER__EXT_AUTHZ__LISTEN``), flags
(``--set ext_authz.listen=...``).
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from authorizer.errors import Place, Problem, SettingsError, ordered
from authorizer.policy import documents
from authorizer.settings.contradictions import contradictions
from authorizer.settings.knobs import STDOUT, Settings
from authorizer.settings.named_files import unusable

ENVIRONMENT_PREFIX = "AUTHORIZER__"
"""Two underscores: Kubernetes sets ``AUTHORIZER_PORT`` and the like for a Service of that name."""


def load(
    text: str = "", file: str = "", *, environment: Mapping[str, str] | None = None, flags: Iterable[str] = ()
) -> Settings:
    """Read settings from a YAML text, the environment and ``path=value`` flags.

    A relative path in the text is meant from the directory of ``file``, elsewhere from the current directory. Raises
    SettingsError with all problems.
    """
    return _read(text, file, environment or {}, flags)[0]


def look(
    text: str = "", file: str = "", *, environment: Mapping[str, str] | None = None, flags: Iterable[str] = ()
) -> tuple[Settings, list[Problem]]:
    """Return settings as ``load`` does, and a warning for each file that they name and that cannot be used now."""
    settings, place = _read(text, file, environment or {}, flags)
    return settings, documents.excerpted(ordered(unusable(settings, place)), {file: text})


def _read(
    text: str, file: str, environment: Mapping[str, str], flags: Iterable[str]
) -> tuple[Settings, Callable[..., Place]]:
    problems: list[Problem] = []
    nodes = documents.load(text, file) if text.strip() else []
    if len(nodes) > 1 or (nodes and not isinstance(nodes[0], documents.MapNode)):
        raise SettingsError([Problem("AZ101", "the configuration is one mapping of sections", Place(file, 1, 1))])
    root = nodes[0] if nodes else None
    tree: dict[str, Any] = _from(Path(file).parent, Settings, documents.plain(root)) if root is not None else {}
    origins: dict[tuple[str, ...], Place] = {}
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            _overlay(tree, origins, path, value, Place(f"environment {name}"), problems)
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals:
            problems.append(Problem("AZ102", f"--set {flag!r} is not PATH=VALUE", Place("--set")))
            continue
        _overlay(tree, origins, tuple(name.split(".")), value, Place(f"--set {name}"), problems)

    def place(path: tuple[str | int, ...], *, key: bool = False) -> Place:
        for length in range(len(path), 0, -1):
            origin = origins.get(tuple(str(step) for step in path[:length]))
            if origin is not None:
                return origin
        return documents.locate(root, path, key=key) if root is not None else Place(file or "settings")

    settings: Settings | None = _struct(Settings, tree, (), place, problems)
    if settings is not None:
        problems += contradictions(settings, place)
    if problems or settings is None:
        raise SettingsError(documents.excerpted(problems, {file: text}))
    return settings, place


def reference() -> str:
    """Return the table of all settings in Markdown, made from the definitions above."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {'`' + default + '`' if default else 'none'} | {meaning} |"
        for name, default, meaning in _rows(Settings(), "")
    ]
    return "\n".join(rows) + "\n"


def _from(directory: Path, kind: Any, item: Any) -> Any:
    """Return what the file says with its paths taken from the directory that the file is in."""
    if isinstance(item, dict):
        types = _field_types(kind)
        value_type = None if _is_struct(kind) else _value_type(kind)
        return {key: _from(directory, types.get(key, value_type), each) for key, each in item.items()}
    if isinstance(item, list):
        return [_from(directory, _value_type(kind), each) for each in item]
    is_path = any(isinstance(meta, Meta) and meta.extra for meta in getattr(kind, "__metadata__", ()))
    return str(directory / item) if is_path and isinstance(item, str) and item not in ("", STDOUT) else item


def _rows(section: Struct, prefix: str) -> Iterable[tuple[str, str, str]]:
    hints = get_type_hints(type(section), include_extras=True)
    for field in msgspec.structs.fields(section):
        default = getattr(section, field.name)  # of this section: the two doors' certificates have different ones
        if isinstance(default, Struct):
            yield from _rows(default, f"{prefix}{field.name}.")
            continue
        meaning = next((m.description for m in hints[field.name].__metadata__ if m.description), "")
        yield f"{prefix}{field.name}", msgspec.json.encode(default).decode() if default not in ("", {}) else "", meaning


def _overlay(
    tree: dict[str, Any],
    origins: dict[tuple[str, ...], Place],
    path: tuple[str, ...],
    value: str,
    origin: Place,
    problems: list[Problem],
) -> None:
    """Set one value in the tree; lists are given with commas."""
    kind: Any = Settings
    here = tree
    for step in path[:-1]:
        nested = here.setdefault(step, {})
        if not isinstance(nested, dict):
            problems.append(Problem("AZ102", f"{'.'.join(path)} does not name a setting", origin))
            return
        here = nested
        kind = _field_types(kind).get(step, str) if _is_struct(kind) else _value_type(kind)
    leaf = _field_types(kind).get(path[-1], str) if _is_struct(kind) else _value_type(kind)
    is_list = get_origin(_bare(leaf)) is tuple
    here[path[-1]] = [item.strip() for item in value.split(",") if item.strip()] if is_list else value
    origins[path] = origin


def _struct(kind: Any, tree: Any, path: tuple[str | int, ...], place: Any, problems: list[Problem]) -> Any:
    """Convert a tree to a Struct, collecting every problem; None when there was one."""
    if not isinstance(tree, dict):
        what = ".".join(map(str, path))
        problems.append(Problem("AZ103", f"{what} is a section with keys of its own", place(path)))
        return None
    types = _field_types(kind)
    before = len(problems)
    values: dict[str, Any] = {}
    for key, item in tree.items():
        here = (*path, key)
        if key not in types:
            hint = documents.suggestion(key, types) or "known: " + ", ".join(types)
            problems.append(
                Problem("AZ104", f"unknown setting {'.'.join(map(str, here))!r}", place(here, key=True), hint)
            )
            continue
        values[key] = _value(types[key], item, here, place, problems)
    if len(problems) > before:
        return None
    try:
        return kind(**values)
    except TypeError as error:
        problems.append(Problem("AZ105", f"{'.'.join(map(str, path))}: {error}", place(path)))
        return None


def _value(kind: Any, item: Any, path: tuple[str | int, ...], place: Any, problems: list[Problem]) -> Any:
    if _is_struct(kind):
        return _struct(kind, item, path, place, problems)
    bare, member = _bare(kind), _value_type(kind)
    if get_origin(bare) is tuple and isinstance(item, list):
        return tuple(_value(member, each, (*path, number), place, problems) for number, each in enumerate(item))
    if get_origin(bare) is dict and isinstance(item, dict):
        return {key: _value(member, each, (*path, key), place, problems) for key, each in item.items()}
    try:
        return msgspec.convert(item, kind, strict=False)
    except msgspec.ValidationError:
        near = documents.suggestion(item, get_args(bare)) if get_origin(bare) is Literal and _is_text(item) else ""
        message = f"{'.'.join(map(str, path))} must be {_expected(kind, item)}"
        problems.append(Problem("AZ105", message, place(path), near))
        return None


def _expected(kind: Any, item: Any) -> str:
    """Say what a setting takes, for who wrote ``item``."""
    bare = _bare(kind)
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(word or '""' for word in get_args(bare))
    if get_origin(bare) is tuple:
        return "a list" + (f": [{item}]" if _is_text(item) and item.isprintable() else "")
    if get_origin(bare) is dict:
        return "a mapping"
    limits = [meta for meta in getattr(kind, "__metadata__", ()) if meta.ge is not None]
    bounds = "".join(f" from {meta.ge:,} to {meta.le:,}" for meta in limits)
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(bare, "text") + bounds


def _is_text(item: Any) -> TypeGuard[str]:
    return isinstance(item, str)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _field_types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True) if _is_struct(kind) else {}


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _value_type(kind: Any) -> Any:
    bare = _bare(kind)
    if get_origin(bare) is dict:
        return get_args(bare)[1]
    return get_args(bare)[0] if get_origin(bare) is tuple else str
