"""Every knob of ``authorizer serve``, with its default and its meaning."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from authorizer.model import DEFAULT_REGO_BUDGET

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
FilePath = Annotated[str, Meta(extra={"path": "read"})]
"""In the configuration file a relative one is meant from the directory of that file."""

LogPath = Annotated[str, Meta(extra={"path": "append"})]
Folder = Annotated[str, Meta(extra={"path": "keep"})]
"""A directory of our own, made where there is none."""

STDOUT = "stdout"
Bytes = Annotated[int, Meta(ge=1024, le=1 << 30)]
IdentitySource = Literal[
    "subject", "client", "issuer", "scopes", "application", "decision_id", "assertion", "exchanged_token",
    "original_token", "credential",
]  # fmt: skip
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


class ClientCertificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a gateway tells which certificate the client showed."""

    form: Annotated[
        Literal["none", "source", "xfcc", "client-cert", "pem"],
        Meta(
            description="`source`: the check itself (gRPC only); `xfcc`: x-forwarded-client-cert;"
            " `client-cert`: RFC 9440; `pem`: percent-encoded PEM"
        ),
    ] = "none"
    header: Annotated[
        str, Meta(description="header that carries it, which the gateway takes off what clients send; empty: by form")
    ] = ""
    hops: Annotated[int, Meta(ge=1, le=16, description="trusted proxies that add to `xfcc`")] = 1


CERTIFICATE_HEADERS = {"xfcc": "x-forwarded-client-cert", "client-cert": "client-cert"}


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
    client_certificate: ClientCertificate = ClientCertificate(form="source")


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
    client_certificate: ClientCertificate = ClientCertificate()


class Dpop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of DPoP proofs (RFC 9449)."""

    algorithms: Annotated[tuple[str, ...], Meta(description="signature algorithms of proofs")] = (
        "ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256",
    )  # fmt: skip
    scheme: Annotated[
        Literal["https", "http"], Meta(description="scheme of the APIs' public addresses, which proofs are for")
    ] = "https"
    lifetime_seconds: Annotated[float, Meta(ge=1, le=3600, description="how old a proof may be")] = 60
    leeway_seconds: Annotated[float, Meta(ge=0, le=300, description="how far ahead a sender's clock may be")] = 5
    nonce_key_file: Annotated[
        FilePath, Meta(description="file with a secret shared by all authorizers; proofs then need nonces made with it")
    ] = ""
    entries: Annotated[
        int, Meta(ge=64, le=1 << 28, description="proofs remembered within their lifetime, 32 bytes each")
    ] = 524_288
    store: Annotated[
        str,
        Meta(
            description="redis://HOST:PORT/DB, rediss:// or unix:// of a Redis or Valkey that remembers proofs for"
            " several machines; empty: a file in `state`"
        ),
    ] = ""
    store_password_file: Annotated[FilePath, Meta(description="file with its password")] = ""
    store_seconds: Annotated[float, Meta(ge=0.01, le=5, description="longest time of its answer")] = 0.1


class Credentials(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What callers prove themselves with, apart from bearer tokens."""

    api_key_header: Annotated[str, Meta(description="header with an API key; empty for none")] = "x-api-key"
    api_key_parameter: Annotated[str, Meta(description="query parameter with an API key; empty for none")] = ""
    pepper_file: Annotated[FilePath, Meta(description="file with the secret that API keys are hashed with")] = ""
    dpop: Dpop = Dpop()


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signed word on the caller that identity headers of the source `assertion` carry."""

    issuer: Annotated[str, Meta(description="`iss` of assertions: who APIs know us as")] = ""
    key_files: Annotated[
        tuple[FilePath, ...],
        Meta(description="PEM files of private keys; the first one signs, all are published at /jwks.json of `admin`"),
    ] = ()
    algorithm: Annotated[str, Meta(description="signature algorithm")] = "ES256"
    seconds: Annotated[float, Meta(ge=10, le=3600, description="how long an assertion is good for")] = 60
    audiences: Annotated[dict[str, str], Meta(description="application -> `aud`; its id where absent")] = {}


class ProviderClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As whom an identity provider is asked about tokens."""

    id: Annotated[str, Meta(description="our client id")]
    method: Annotated[
        Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"],
        Meta(description="how we prove it (RFC 7591's names)"),
    ] = "client_secret_basic"
    secret_file: Annotated[FilePath, Meta(description="file with the secret")] = ""
    key_file: Annotated[FilePath, Meta(description="PEM file of the private key, for assertions or for TLS")] = ""
    key_id: Annotated[str, Meta(description="`kid` of assertions")] = ""
    audience: Annotated[str, Meta(description="`aud` of assertions; the address that is asked where empty")] = ""
    algorithm: Annotated[str, Meta(description="signature algorithm of assertions")] = "ES256"
    certificate_file: Annotated[FilePath, Meta(description="PEM file of the certificate chain, for TLS")] = ""


class IdentityProviders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls to identity providers, for issuers with `jwks_uri`, `discovery`, `introspection` or `exchange`."""

    ca_file: Annotated[FilePath, Meta(description="PEM file of their authority; empty for the system's")] = ""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60, description="longest time of a call for keys")] = 5
    refresh_seconds: Annotated[float, Meta(ge=5, le=86_400, description="delay between fetches of keys")] = 600
    max_age_seconds: Annotated[
        Seconds, Meta(description="keys that could not be fetched again for this long are trusted no more")
    ] = 86_400
    cooldown_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="shortest delay between fetches because of unknown keys")
    ] = 30
    introspection_seconds: Annotated[
        float, Meta(ge=0.05, le=10, description="longest time of an introspection, or of a token exchange")
    ] = 1
    clients: Annotated[dict[str, ProviderClient], Meta(description="name -> as whom an issuer is asked")] = {}


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


class DescribedApi(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an API describes its operations: one of `file`, `url` and `grpc`."""

    api: Annotated[
        str, Meta(description="its name, id, host or service as discovery shows it; empty: by its hosts")
    ] = ""
    file: Annotated[FilePath, Meta(description="an OpenAPI 3 or Swagger 2 document")] = ""
    url: Annotated[str, Meta(description="where the API answers with one")] = ""
    grpc: Annotated[str, Meta(description="HOST:PORT of a gRPC server with reflection")] = ""
    ca_file: Annotated[FilePath, Meta(description="PEM file of its authority; gRPC without one is in the clear")] = ""


class Discovery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the APIs behind the gateway are read from."""

    envoy_admin: Annotated[str, Meta(description="URL of Envoy's admin port, or unix:/PATH; empty for none")] = ""
    kong: Annotated[str, Meta(description="URL of Kong's Admin API; empty for none")] = ""
    traefik: Annotated[str, Meta(description="URL of Traefik's API; empty for none")] = ""
    ca_file: Annotated[
        FilePath, Meta(description="PEM file of Kong's and Traefik's authority; empty: the system's")
    ] = ""
    interval_seconds: Annotated[Seconds, Meta(description="delay between readings of a gateway")] = 10
    kubernetes: Annotated[str, Meta(description="in-cluster, or the path of a kubeconfig; empty for none")] = ""
    namespaces: Annotated[tuple[str, ...], Meta(description="namespaces that are watched; empty for all")] = ()
    asked_as: Annotated[
        tuple[str, ...],
        Meta(description="what gateways call the authorizer: a provider, service or host"),
    ] = ("authorizer",)
    described: Annotated[
        dict[str, DescribedApi],
        Meta(description="name -> where an API describes its operations, with `file`, `url` or `grpc`"),
    ] = {}
    annotated: Annotated[bool, Meta(description="read what the annotations of Services say about that")] = False
    describe_seconds: Annotated[Seconds, Meta(description="delay between readings of a description")] = 60


class Drop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decisions that are not logged: those that all the given fields are true of."""

    decision: Literal["", "allow", "deny"] = ""
    application: str = ""
    operation: str = ""
    reason: str = ""
    transport: Literal["", "grpc", "http"] = ""


class Upload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision log by HTTP."""

    url: Annotated[
        str, Meta(description="where the decision log goes too: `/logs` or `/v1/logs` is added; empty for nowhere")
    ] = ""
    protocol: Annotated[
        Literal["opa", "otlp"], Meta(description="OPA's API for decision logs, or OpenTelemetry's for logs, in JSON")
    ] = "opa"
    token_file: Annotated[FilePath, Meta(description="file with the bearer credential, read at each call")] = ""
    ca_file: Annotated[FilePath, Meta(description="PEM file of its authority; empty for the system's")] = ""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60, description="longest wait for a part of an answer")] = 10
    buffer: Annotated[Folder, Meta(description="directory where events wait for it; empty: in memory alone")] = ""
    buffer_bytes: Annotated[Bytes, Meta(description="most bytes that wait there, over all workers")] = 256 << 20


class Traces(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spans of decisions, for requests whose `traceparent` says that they are recorded."""

    url: Annotated[
        str, Meta(description="OpenTelemetry collector (OTLP/HTTP, JSON): `/v1/traces` is added; empty for none")
    ] = ""
    token_file: Annotated[FilePath, Meta(description="file with the bearer credential, read at each call")] = ""
    ca_file: Annotated[FilePath, Meta(description="PEM file of its authority; empty for the system's")] = ""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60, description="longest wait for a part of an answer")] = 10


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written where."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="operational log on stderr")] = (
        "info"
    )
    format: Annotated[Literal["json", "text"], Meta(description="one JSON object a line, or text")] = "json"
    decisions: Annotated[LogPath, Meta(description="decision log: stdout, a file path, or empty for none")] = STDOUT
    upload: Upload = Upload()
    erase: Annotated[
        tuple[str, ...], Meta(description="JSON pointers below `/input`, `/result` or `/requested_by`: not logged")
    ] = ()
    replace: Annotated[dict[str, str], Meta(description="JSON pointer like those -> text that is logged instead")] = {}
    drop: Annotated[
        tuple[Drop, ...],
        Meta(
            description="decisions not to log: lists of `decision`, `application`, `operation`, `reason`, `transport`;"
            " those with obligations are logged all the same"
        ),
    ] = ()


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration of one process."""

    id: Annotated[str, Meta(description="name of this instance in reports; empty takes the host's name")] = ""
    policies: Annotated[FilePath, Meta(description="directory of policy documents, instead of a control plane")] = ""
    state: Annotated[
        Folder, Meta(description="directory where the last good bundles, and which DPoP proofs were shown, are kept")
    ] = ""
    realm: Annotated[str, Meta(description="realm named in challenges")] = "api"
    rego_budget: Annotated[
        int,
        Meta(
            ge=1_000,
            le=5_000_000,
            description="steps that the Rego of one decision may take, 10,000 of which are some 1 ms; beyond them it is"
            " denied, `rego_budget`; other decisions wait for so long",
        ),
    ] = DEFAULT_REGO_BUDGET
    workers: Annotated[
        int,
        Meta(
            ge=1, le=256, description="processes that answer; more than one run under a supervisor, see docs/workers.md"
        ),
    ] = 1
    busy_poll_microseconds: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="stays awake for the next check where checks come this quickly one after another; up to a core"
            " for less latency, see docs/sizing.md; 0: sleeps",
        ),
    ] = 0
    drain_seconds: Annotated[Seconds, Meta(description="keeps answering for this long after SIGTERM")] = 5
    identity_headers: Annotated[
        dict[str, IdentitySource],
        Meta(description="header sent upstream -> what it says; a client's own copy never passes"),
    ] = msgspec.field(default_factory=lambda: dict(IDENTITY_HEADERS))
    ext_authz: ExtAuthz = ExtAuthz()
    forward_auth: ForwardAuth = ForwardAuth()
    credentials: Credentials = Credentials()
    assertion: Assertion = Assertion()
    identity_providers: IdentityProviders = IdentityProviders()
    admin: Admin = Admin()
    control_plane: ControlPlane = ControlPlane()
    discovery: Discovery = Discovery()
    log: Log = Log()
    traces: Traces = Traces()
