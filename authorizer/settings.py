"""Every knob of ``authorizer serve``: strict, with its default and its meaning.

Sources, the later wins: the defaults here, the YAML file of ``--config``, environment variables (``AUTHORIZER``
and the path, in capitals, joined by two underscores: ``AUTHORIZER__EXT_AUTHZ__LISTEN``), flags
(``--set ext_authz.listen=...``).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from authorizer.errors import Place, Problem, SettingsError
from authorizer.model import FRAMING
from authorizer.policy import documents

ENVIRONMENT_PREFIX = "AUTHORIZER__"
"""Two underscores: Kubernetes sets ``AUTHORIZER_PORT`` and the like for a Service of that name."""

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
FilePath = Annotated[str, Meta(extra={"path": True})]
"""In the configuration file a relative one is meant from the directory of that file."""

STDOUT = "stdout"
Bytes = Annotated[int, Meta(ge=1024, le=1 << 30)]
IdentitySource = Literal["subject", "client", "issuer", "scopes", "application", "decision_id"]
IDENTITY_HEADERS: Mapping[str, IdentitySource] = {
    "x-auth-subject": "subject",
    "x-auth-client": "client",
    "x-auth-decision": "decision_id",
}


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who we are to gateways, and who they have to be. The files are read again when they change."""

    certificate: Annotated[FilePath, Meta(description="PEM file of our certificate chain; empty for no TLS")] = ""
    key: Annotated[FilePath, Meta(description="PEM file of its private key")] = ""
    client_ca: Annotated[
        FilePath, Meta(description="PEM file of the authority of gateways; empty lets any connect")
    ] = ""
    client_names: Annotated[
        tuple[str, ...],
        Meta(
            description="subject alternative names (spiffe://... and other URIs, DNS names) of gateways; empty for any"
        ),
    ] = ()


class ExtAuthz(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Envoy ext_authz v3 door (gRPC)."""

    listen: Annotated[str, Meta(description="HOST:PORT, unix:/PATH, or empty for no door")] = "127.0.0.1:9191"
    engine: Annotated[
        Literal["native", "grpcio"], Meta(description="the gRPC server underneath: our own, or the gRPC library's")
    ] = "native"
    max_message_bytes: Annotated[
        Bytes, Meta(description="largest check; at least the gateway's max_request_bytes and 256 KiB")
    ] = 4 << 20
    max_connection_age_seconds: Annotated[
        Seconds,
        Meta(description="a connection this old, give or take a tenth, is asked to come anew; 0: never (native only)"),
    ] = 600
    tls: Tls = Tls()


class ForwardAuth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP forward-auth door."""

    listen: Annotated[str, Meta(description="HOST:PORT, unix:/PATH, or empty for no door")] = "127.0.0.1:9192"
    trusted_peers: Annotated[
        tuple[str, ...], Meta(description="addresses or networks of gateways; empty trusts nobody")
    ] = ("127.0.0.0/8", "::1/128")
    shared_secret_file: Annotated[
        FilePath,
        Meta(description="file with a secret; who sends it in x-authorizer-secret is trusted from any address"),
    ] = ""
    hops: Annotated[
        int,
        Meta(
            ge=1,
            le=16,
            description="trusted proxies that add to X-Forwarded-For; the client is that many from the right",
        ),
    ] = 1


class Admin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probes and metrics."""

    listen: Annotated[str, Meta(description="HOST:PORT, or empty for none")] = "127.0.0.1:9193"


class BundleKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public key that may sign bundles."""

    file: Annotated[FilePath, Meta(description="PEM file of the public key")]
    algorithm: Annotated[str, Meta(description="signature algorithm, bound to the key")] = "ES256"


class ControlPlane(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where signed bundles come from and reports go."""

    url: Annotated[str, Meta(description="address of the control plane; empty for none")] = ""
    token_file: Annotated[FilePath, Meta(description="file with the bearer credential, read at each call")] = ""
    ca_file: Annotated[FilePath, Meta(description="PEM file of the certificate authority; empty for the system's")] = ""
    keys: Annotated[dict[str, BundleKey], Meta(description="key id -> key that may sign bundles")] = {}
    poll_seconds: Annotated[Seconds, Meta(description="mean delay between polls where long polling is not offered")] = (
        60
    )
    long_poll_seconds: Annotated[Seconds, Meta(description="how long a poll may wait for news")] = 30
    max_age_seconds: Annotated[
        Seconds,
        Meta(description="deny all when the control plane has not confirmed the bundles for this long; 0: no limit"),
    ] = 604_800
    status_seconds: Annotated[Seconds, Meta(description="delay between status reports")] = 10


class Discovery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the APIs behind the gateway are read from."""

    envoy_admin: Annotated[str, Meta(description="URL of Envoy's admin port, or unix:/PATH; empty for none")] = ""
    interval_seconds: Annotated[Seconds, Meta(description="delay between readings")] = 10


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written where."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="operational log on stderr")] = (
        "info"
    )
    format: Annotated[Literal["json", "text"], Meta(description="one JSON object a line, or text")] = "json"
    decisions: Annotated[FilePath, Meta(description="decision log: stdout, a file path, or empty for none")] = STDOUT


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration of one process."""

    id: Annotated[str, Meta(description="name of this instance in reports; empty takes the host's name")] = ""
    policies: Annotated[FilePath, Meta(description="directory of policy documents, instead of a control plane")] = ""
    state: Annotated[FilePath, Meta(description="directory where the last good bundles are kept")] = ""
    realm: Annotated[str, Meta(description="realm named in challenges")] = "api"
    workers: Annotated[
        int,
        Meta(
            ge=1, le=256, description="processes that answer; more than one run under a supervisor, see docs/workers.md"
        ),
    ] = 1
    drain_seconds: Annotated[Seconds, Meta(description="keeps answering for this long after SIGTERM")] = 5
    identity_headers: Annotated[
        dict[str, IdentitySource],
        Meta(description="header sent upstream -> what it says; a client's own copy never passes"),
    ] = msgspec.field(default_factory=lambda: dict(IDENTITY_HEADERS))
    ext_authz: ExtAuthz = ExtAuthz()
    forward_auth: ForwardAuth = ForwardAuth()
    admin: Admin = Admin()
    control_plane: ControlPlane = ControlPlane()
    discovery: Discovery = Discovery()
    log: Log = Log()


def load(
    text: str = "", file: str = "", *, environment: Mapping[str, str] | None = None, flags: Iterable[str] = ()
) -> Settings:
    """Read settings from a YAML text, the environment and ``path=value`` flags.

    A relative path in the text is meant from the directory of ``file``, elsewhere from the current directory. Raises
    SettingsError with all problems.
    """
    problems: list[Problem] = []
    nodes = documents.load(text, file) if text.strip() else []
    if len(nodes) > 1 or (nodes and not isinstance(nodes[0], documents.MapNode)):
        raise SettingsError([Problem("AZ101", "the configuration is one mapping of sections", Place(file, 1, 1))])
    root = nodes[0] if nodes else None
    tree: dict[str, Any] = _from(Path(file).parent, Settings, documents.plain(root)) if root is not None else {}
    origins: dict[tuple[str, ...], Place] = {}
    for name, value in sorted((environment or {}).items()):
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
        problems += _contradictions(settings, place)
    if problems or settings is None:
        raise SettingsError(documents.excerpted(problems, {file: text}))
    return settings


def reference() -> str:
    """Return the table of all settings in Markdown, made from the definitions above."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {'`' + default + '`' if default else 'none'} | {meaning} |"
        for name, default, meaning in _rows(Settings, "")
    ]
    return "\n".join(rows) + "\n"


def _from(directory: Path, kind: Any, item: Any) -> Any:
    """Return what the file says with its paths taken from the directory that the file is in."""
    if isinstance(item, dict):
        types = _field_types(kind)
        value_type = None if _is_struct(kind) else _value_type(kind)
        return {key: _from(directory, types.get(key, value_type), each) for key, each in item.items()}
    is_path = any(isinstance(meta, Meta) and meta.extra for meta in getattr(kind, "__metadata__", ()))
    return str(directory / item) if is_path and isinstance(item, str) and item not in ("", STDOUT) else item


def _rows(kind: type[Struct], prefix: str) -> Iterable[tuple[str, str, str]]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        default = (
            field.default_factory()
            if field.default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT
            else field.default
        )
        if isinstance(default, Struct):
            yield from _rows(type(default), f"{prefix}{field.name}.")
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
    if get_origin(_bare(kind)) is dict and _is_struct(_value_type(kind)) and isinstance(item, dict):
        return {key: _struct(_value_type(kind), value, (*path, key), place, problems) for key, value in item.items()}
    try:
        return msgspec.convert(item, kind, strict=False)
    except msgspec.ValidationError as error:
        message = str(error).split(" - at ")[0]
        problems.append(Problem("AZ105", f"{'.'.join(map(str, path))}: {message}", place(path)))
        return None


def _contradictions(settings: Settings, place: Any) -> list[Problem]:
    problems = []
    plane = settings.control_plane
    if settings.policies and plane.url:
        problems.append(
            Problem("AZ106", "policies and control_plane.url exclude each other", place(("policies",)), "keep one")
        )
    if not settings.policies and not plane.url:
        problems.append(
            Problem("AZ106", "no source of policies", place(()), "set policies (a directory) or control_plane.url")
        )
    if plane.url and not plane.keys:
        problems.append(
            Problem("AZ106", "control_plane.keys is empty: no bundle could be trusted", place(("control_plane",)),
                    "name the control plane's public key")
        )  # fmt: skip
    if plane.url and not settings.state:
        problems.append(
            Problem("AZ106", "state is empty: the last good bundles could not be kept", place(("control_plane",)),
                    "name a directory")
        )  # fmt: skip
    tls = settings.ext_authz.tls
    if bool(tls.certificate) != bool(tls.key):
        problems.append(
            Problem("AZ106", "a certificate and its key go together", place(("ext_authz", "tls")), "name both files")
        )
    if (tls.client_ca and not tls.certificate) or (tls.client_names and not tls.client_ca):
        problems.append(
            Problem("AZ106", "gateways cannot be told apart", place(("ext_authz", "tls")),
                    "client_names need client_ca, and that needs a certificate of ours")
        )  # fmt: skip
    if tls.certificate and settings.ext_authz.engine == "grpcio":
        problems.append(
            Problem("AZ106", "the engine grpcio speaks no TLS", place(("ext_authz", "engine")), "use native")
        )
    if not settings.ext_authz.listen and not settings.forward_auth.listen:
        problems.append(Problem("AZ106", "no door is open", place(()), "set ext_authz.listen or forward_auth.listen"))
    problems += [
        Problem("AZ105", f"identity_headers: {name!r} is not a lower-case header name of letters, digits and '-'",
                place(("identity_headers", name), key=True))
        for name in settings.identity_headers
        if not name.replace("-", "a").isalnum() or not name.isascii() or name != name.lower()
    ]  # fmt: skip
    problems += [
        Problem("AZ105", f"identity_headers: {name!r} is not ours to set", place(("identity_headers", name), key=True))
        for name in settings.identity_headers
        if name in FRAMING | {"authorization", "cookie"}
    ]
    return problems


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _field_types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True) if _is_struct(kind) else {}


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _value_type(kind: Any) -> Any:
    bare = _bare(kind)
    return get_args(bare)[1] if get_origin(bare) is dict else str
