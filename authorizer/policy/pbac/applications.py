"""Reads Application documents: model, fields, resource types, rights, roles and the routes that lead to them."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from authorizer.errors import Place
from authorizer.policy.documents import MapNode, Node, Scalar
from authorizer.policy.pbac.belonging import find_field, lacks
from authorizer.policy.pbac.claims import read_claims
from authorizer.policy.pbac.declared import MODELS, Application, Catalog, Field, Right, Role
from authorizer.policy.pbac.emit import read_emit
from authorizer.policy.pbac.rego import everything, read_decider
from authorizer.policy.pbac.resources import read_resources
from authorizer.policy.pbac.routes import read_http
from authorizer.policy.pbac.scopes import read_scopes
from authorizer.policy.pbac.vocabulary import read_fields
from authorizer.policy.reading import Findings

_SECTIONS = {
    "fields": "fields",
    "resourceTypes": "resources",
    "appResources": "resources",
    "rights": "rights",
    "roles": "rights",
    "scopes": "rights",
    "http": "rights",
    "claims": "rights",
    "emit": "rights",
}
RIGHT_KEYS = ("on", "fields", "feature", "global", "must_constrain", "emit")
KEYS = ("kind", "id", "model", "system", *_SECTIONS, "conditions", "rego")


def read_applications(documents: Sequence[MapNode], catalog: Catalog, findings: Findings) -> dict[str, Application]:
    """Read all applications; the first pass learns whose fields are whose, the second the rest."""
    shells: dict[str, tuple[MapNode, Application]] = {}
    for document in documents:
        shell = _read_shell(document, catalog, findings)
        if shell is None:
            continue
        if shell.id in shells:
            findings.error("A004", shell.place, f"application {shell.id!r} is declared twice", "give it another id")
            continue
        shells[shell.id] = (document, shell)
    known = {name: shell for name, (_, shell) in shells.items()}
    return {name: _complete(document, shell, catalog, known, findings) for name, (document, shell) in shells.items()}


def _read_shell(document: MapNode, catalog: Catalog, findings: Findings) -> Application | None:
    findings.fields(document, "the application", KEYS)
    node = findings.required(document, "id", "the application")
    model = findings.choice(document.get("model"), "model", MODELS, "A003") if "model" in document.entries else "pbac"
    if not isinstance(node, Scalar) or not findings.name(node):
        return None
    own = {}
    for field in read_fields(document.get("fields"), findings):
        if field.name in catalog.fields:
            message = f"field {field.name!r} is universal already"
            findings.error("A007", field.place, message, "use the universal one, or choose another name")
        own[field.name] = field
    named = findings.fields(document.get("system"), "system", ("type", "module"))
    system = () if named is None else (findings.text(named.get(key), f"system.{key}") for key in ("type", "module"))
    shell = Application(node.text, model, own, {}, {}, (), (), (), node.place, system=tuple(filter(None, system)))
    if model:
        for key, section in _SECTIONS.items():
            if key in document.entries:
                lacks(shell, section, document.entries[key].key.place, findings)
    return shell


def _complete(
    document: MapNode, shell: Application, catalog: Catalog, known: Mapping[str, Application], findings: Findings
) -> Application:
    def find(name: str, place: Place) -> Field | None:
        return find_field(name, place, shell, catalog, known, findings)

    types: dict[str, frozenset[str]] = {}
    for name, key, node in findings.named(document.get("resourceTypes"), "resourceTypes"):
        declared = findings.fields(node, f"resource type {name!r}", ("fields",))
        if findings.name(key):
            types[name] = _usable(declared.get("fields") if declared else None, find, findings)
    rights: dict[str, Right] = {}
    for name, key, node in findings.named(document.get("rights"), "rights"):
        if findings.name(key):
            rights[name] = _read_right(name, key.place, node, shell, types, find, catalog, findings)
    http = read_http(
        document.get("http"), shell.id, rights, find, findings, trees=catalog.trees if shell.has("points") else None
    )
    decider = read_decider(document.get("rego"), findings)
    if decider is not None and not http.routes:
        http = replace(http, routes=(everything(decider.place),))
    for route in http.routes:
        rights.setdefault(route.right, Right(route.right, "", frozenset(), "", (), route.place))
    roles: dict[str, Role] = {}
    for name, key, node in findings.named(document.get("roles"), "roles"):
        held = findings.words(node, f"role {name!r}")
        for word in held:
            if word.text not in rights:
                findings.unknown("R004", word.place, "right", word.text, rights, f" in {shell.id!r}")
        if findings.name(key):
            roles[name] = Role(name, tuple(word.text for word in held), key.place)
    scopes = read_scopes(document.get("scopes"), find, findings)
    everywhere = [right.fields for right in rights.values()]
    common = frozenset.intersection(*everywhere) if everywhere else frozenset[str]()
    return Application(
        shell.id,
        shell.model,
        shell.fields,
        rights,
        roles,
        http.hosts,
        http.routes,
        http.accepts,
        shell.place,
        scopes=scopes,
        claims=read_claims(document.get("claims"), find, findings),
        emit=read_emit(document.get("emit"), common, find, catalog, findings),
        unmapped=http.unmapped,
        issuers=http.issuers,
        credentials=http.credentials,
        client_by=http.client_by,
        resources=read_resources(document.get("appResources"), types, find, findings),
        system=shell.system,
        decider=decider,
    )


def _usable(node: Node | None, find: Callable[[str, Place], Field | None], findings: Findings) -> frozenset[str]:
    """Return the names of a list of resource fields."""
    names = set()
    for word in findings.words(node, "fields"):
        field = find(word.text, word.place)
        if field is not None and "resource" not in field.scopes:
            findings.error("C005", word.place, f"field {word.text!r} has scope assignee, not resource")
        elif field is not None:
            names.add(word.text)
    return frozenset(names)


def _read_right(
    name: str,
    place: Place,
    node: Node,
    shell: Application,
    types: Mapping[str, frozenset[str]],
    find: Callable[[str, Place], Field | None],
    catalog: Catalog,
    findings: Findings,
) -> Right:
    what = f"right {name!r}"
    declared = findings.fields(node, what, RIGHT_KEYS)
    if declared is None:
        return Right(name, "", frozenset(), "", (), place)
    on, listed = declared.get("on"), declared.get("fields")
    kind = findings.text(on, "on")
    if on is not None and not lacks(shell, "resources", on.place, findings) and kind and kind not in types:
        findings.unknown("A009", on.place, "resource type", kind, types, f" in {shell.id!r}")
    if on is not None and listed is not None:
        findings.error("A009", listed.place, f"{what} has the fields of its resource type {kind!r}", "keep one")
    linked = types.get(kind, frozenset()) if on is not None else _usable(listed, find, findings)
    stands_for = findings.text(declared.get("global"), "global")
    constrained = findings.words(declared.get("must_constrain"), "must_constrain")
    for word in constrained:
        if word.text not in linked:
            findings.error("C004", word.place, f"field {word.text!r} is not linked to {what}")
    feature = findings.text(declared.get("feature"), "feature")
    emit = read_emit(declared.get("emit"), linked, find, catalog, findings)
    return Right(name, kind, linked, feature, tuple(word.text for word in constrained), place, emit, stands_for)
