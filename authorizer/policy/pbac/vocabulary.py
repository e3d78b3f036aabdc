"""Reads what applications share: Catalog, Plans and AssignmentPoints documents; several of a kind are one."""

from collections import deque
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from authorizer.errors import Place
from authorizer.policy.documents import ListNode, MapNode, Node, Scalar
from authorizer.policy.pbac.declared import Catalog, EnvField, Field
from authorizer.policy.pbac.subjects import IS
from authorizer.policy.pbac.types import BASES, FieldType
from authorizer.policy.pbac.values import read_value
from authorizer.policy.reading import Findings

SCOPES = ("resource", "assignee")
REQUEST_ENV = frozenset({"acr", "amr", "auth_age", "now", "source_ip", "time"})
"""Attributes of the moment that only the request or the verified login can say; no fact or other claim sets them."""

BUILT_IN = ("id", "point", IS)
"""Names of fields that every application has: a resource's id and point, and all that the assignee is."""

MAX_PLANS = 1000
"""Each may include all others, so that what they have together grows with the square."""

CATALOG_KEYS = ("acr", "env", "fields", "conditions", "collections")
FIELD_KEYS = ("type", "scope", "values", "ordered", "many")
DECLARED_ENV_KEYS = ("type", "values", "ordered", "many", "default")


def builtin_env(acr: tuple[str, ...]) -> dict[str, EnvField]:
    """Return the attributes of the moment that every request may have."""
    types = {
        "now": FieldType("timestamp"),
        "time": FieldType("timeofday"),
        "source_ip": FieldType("ip"),
        "acr": FieldType("enum", values=acr, ordered=True) if acr else FieldType("string"),
        "auth_age": FieldType("duration"),
        "amr": FieldType("string", many=True),
        "mfa": FieldType("bool"),
        "risk": FieldType("decimal"),
    }
    return {name: EnvField(name, kind) for name, kind in types.items()}


def read_catalog(
    catalogs: Sequence[MapNode], plans: Sequence[MapNode], points: Sequence[MapNode], findings: Findings
) -> Catalog:
    """Read the shared documents; what is wrong goes to ``findings``."""
    fields: dict[str, Field] = {}
    acr: tuple[str, ...] = ()
    settings: dict[str, tuple[Scalar, Node]] = {}
    for document in catalogs:
        findings.fields(document, "the catalog", ("kind", *CATALOG_KEYS))
        ranks = document.get("acr")
        if ranks is not None:
            if acr:
                findings.error("A007", ranks.place, "the acr order is declared twice", "keep one")
            acr = findings.texts(ranks, "acr")
        for name, key, node in findings.named(document.get("env"), "env"):
            if name in settings:
                findings.error("A007", key.place, f"env.{name} is declared twice", "keep one")
            settings[name] = (key, node)
        for field in read_fields(document.get("fields"), findings):
            if field.name in fields:
                findings.error("A007", field.place, f"field {field.name!r} is declared twice", "keep one")
            fields[field.name] = field
    env = builtin_env(acr)
    zone: str | None = None
    for name, (key, node) in settings.items():
        zone = _read_env(name, key, node, env, findings) or zone
    tree: dict[str, str] = {}
    levels: list[str] = []
    for document in points:
        _read_points(document, levels, tree, findings)
    trees = _read_trees(points, findings)
    return Catalog(fields, env, acr, zone, tuple(levels), tree, _read_plans(plans, findings), trees)


def read_fields(node: Node | None, findings: Findings) -> Iterable[Field]:
    """Yield the fields of a ``fields:`` mapping."""
    for name, key, value in findings.named(node, "fields"):
        declared = findings.fields(value, f"field {name!r}", FIELD_KEYS)
        if not findings.name(key, field=True) or declared is None:
            continue
        if name in BUILT_IN:
            findings.error("A007", key.place, f"field {name!r} is built in", "choose another name")
        kind = _read_type(declared, f"field {name!r}", findings)
        scope = declared.get("scope")
        words = (scope.text,) if isinstance(scope, Scalar) else findings.texts(scope, "scope")
        for word in words:
            if word not in SCOPES:
                place = scope.place if scope is not None else key.place
                findings.unknown("A008", place, "scope", word, SCOPES, f" of field {name!r}")
        if kind is not None:
            yield Field(name, kind, frozenset(words or ("resource",)), key.place)


def _read_type(node: MapNode, what: str, findings: Findings) -> FieldType | None:
    written = findings.required(node, "type", what)
    base = findings.choice(written, "type", BASES, "A006") if written else ""
    if not base:
        return None
    values = findings.texts(node.get("values"), "values")
    ordered = findings.flag(node.get("ordered"), "ordered")
    if (base == "enum") != bool(values):
        message = "an enum needs values" if base == "enum" else f"the type {base} has no values"
        findings.error("A006", node.place, f"{what}: {message}")
        return None
    if ordered and base != "enum":
        findings.error("A006", node.place, f"{what}: only an enum can be ordered")
        return None
    return FieldType(base, findings.flag(node.get("many"), "many"), values, ordered)


def _read_env(name: str, key: Scalar, node: Node, env: dict[str, EnvField], findings: Findings) -> str | None:
    what = f"env.{name}"
    if name in env:
        known = ("default", "zone") if name == "time" else () if name == "now" else ("default",)
        declared = findings.fields(node, what, known)
        kind: FieldType | None = env[name].type
    else:
        declared = findings.fields(node, what, DECLARED_ENV_KEYS)
        kind = _read_type(declared, what, findings) if declared and findings.name(key, field=True) else None
    if declared is None or kind is None:
        return None
    default: str | None = None
    written = declared.get("default")
    if written is not None:
        if kind.many:
            findings.error("A016", written.place, f"{what} is a set and has no default")
        elif read_value(written, f"the default of {what}", kind, "A016", findings) is not None:
            default = findings.text(written, "default")
    env[name] = EnvField(name, kind, default)
    return _read_zone(declared.get("zone"), findings) if name == "time" else None


def _read_zone(node: Node | None, findings: Findings) -> str | None:
    name = findings.text(node, "zone")
    if node is None or not name:
        return None
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        findings.error("A016", node.place, f"unknown time zone {name!r}", "write an IANA name, as in Europe/Oslo")
        return None
    return name


def _read_plans(documents: Sequence[MapNode], findings: Findings) -> dict[str, frozenset[str]]:
    own: dict[str, tuple[str, ...]] = {}
    includes: dict[str, dict[str, Place]] = {}
    for document in documents:
        findings.fields(document, "the plans document", ("kind", "plans"))
        for name, key, node in findings.named(findings.required(document, "plans", "the plans document"), "plans"):
            plan = findings.fields(node, f"plan {name!r}", ("includes", "features"))
            if name in own:
                findings.error("A007", key.place, f"plan {name!r} is declared twice", "keep one")
            if not findings.name(key) or plan is None:
                continue
            own[name] = findings.texts(plan.get("features"), "features")
            includes[name] = {word.text: word.place for word in findings.words(plan.get("includes"), "includes")}
    if len(own) > MAX_PLANS:
        findings.error("P005", documents[0].place, f"more than {MAX_PLANS} plans")
        return {}
    for name, included in includes.items():
        for other, place in included.items():
            if other not in own:
                findings.unknown("P001", place, "plan", other, own, f" in plan {name!r}")
    return {name: _features(name, own, includes, findings) for name in own}


def _features(
    name: str, own: dict[str, tuple[str, ...]], includes: dict[str, dict[str, Place]], findings: Findings
) -> frozenset[str]:
    features: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        plan = waiting.pop()
        if plan in seen or plan not in own:
            continue
        seen.add(plan)
        features.update(own[plan])
        if name in includes[plan]:
            findings.error("P002", includes[plan][name], f"plan {name!r} includes itself by way of {plan!r}")
        waiting += includes[plan]
    return frozenset(features)


def _read_trees(documents: Sequence[MapNode], findings: Findings) -> dict[str, tuple[str, ...]]:
    """Return each tree's types of points. Documents of one ``id`` make one tree, those without one the tree ""."""
    trees: dict[str, tuple[str, ...]] = {}
    for document in documents:
        written = document.get("id")
        name = ""
        if written is not None:
            if not isinstance(written, Scalar) or not findings.name(written, field=True):
                continue
            name = written.text
        types = document.get("types")
        items = types.items if isinstance(types, ListNode) else ()
        trees[name] = (*trees.get(name, ()), *(item.text for item in items if isinstance(item, Scalar)))
    return trees


def _read_points(document: MapNode, levels: list[str], tree: dict[str, str], findings: Findings) -> None:
    what = "the assignment points document"
    findings.fields(document, what, ("kind", "id", "types", "tree"))
    own = findings.texts(findings.required(document, "types", what), "types")
    for level in own:
        if level in levels:
            findings.error("A007", document.place, f"assignment point type {level!r} is declared twice", "keep one")
    levels += own
    waiting: deque[tuple[str, Node | None]] = deque([("", findings.required(document, "tree", what))])
    while waiting:
        parent, node = waiting.popleft()
        if isinstance(node, Scalar) and not node.text:
            continue
        for name, key, below in findings.named(node, "tree"):
            kind, colon, rest = name.partition(":")
            if not colon or not rest or "\n" in rest:
                findings.error("S001", key.place, f"{name!r} is not an assignment point", "write it as type:name")
            elif kind not in own:
                findings.unknown("S002", key.place, "assignment point type", kind, own)
            elif name in tree:
                findings.error("S003", key.place, f"assignment point {name!r} stands in the tree twice", "keep one")
            elif parent and own.index(kind) <= own.index(parent.partition(":")[0]):
                above = parent.partition(":")[0]
                findings.error(
                    "S006", key.place, f"a {kind} cannot stand below a {above}", "types go from top to bottom"
                )
            else:
                tree[name] = parent
                waiting.append((name, below))
