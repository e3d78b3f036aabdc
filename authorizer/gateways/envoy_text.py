"""The configuration of ``envoy`` as a person reads it."""

from collections.abc import Mapping
from typing import Literal

from authorizer.gateways import yaml_text
from authorizer.gateways.envoy import Backend, Check, bootstrap
from authorizer.gateways.site import Site, doors, is_local


def files(site: Site) -> Mapping[str, str]:
    """Return the whole configuration, of the HTTP mode where there is no gRPC door. Raises GatewayError."""
    protocol: Literal["grpc", "http"] = "grpc" if site.grpc or not site.http else "http"
    first, *others = doors(site, protocol, "Envoy", abstract=True)
    secured = site.tls and protocol == "grpc"
    check = Check(
        address=first, protocol=protocol, timeout=site.timeout, body_bytes=site.body_bytes, workers=tuple(others),
        tls=secured, client_certificate=secured and site.client_certificate,
    )  # fmt: skip
    config = bootstrap(check, [Backend("api", "/", site.api)], listen=site.listen, admin="127.0.0.1:9901")
    notes = [*_HEAD]
    if protocol == "http" and site.secret:
        notes.append(
            "TO DO BY HAND: the door wants a shared secret; see http_service.authorization_request in the docs."
        )
    if not secured and not all(map(is_local, (first, *others))):
        notes.append("The authorizer is on another machine and speaks plain text: see ext_authz.tls.")
    return {"envoy.yaml": yaml_text.render(config, _COMMENTS, notes)}


_HEAD = (
    "Envoy asks the authorizer about each request and sends what may pass to one API.",
    "Made by `authorizer gateway envoy`. To adapt: where clients come (listeners), the API (clusters).",
)

_COMMENTS: Mapping[str, str] = {
    "admin": "No login: never open it to others.",
    "use_remote_address": "From here on: Envoy, the authorizer and the API must read one request in one way.",
    "forward_client_cert_details": "A client's own x-forwarded-client-cert never passes.",
    "headers_with_underscores_action": "x_auth_subject is not x-auth-subject.",
    "per_connection_buffer_limit_bytes": "No larger body can be held back until the check is answered.",
    "failure_mode_allow": "No answer means no ...",
    "status_on_error": "... and says that the fault is on this side.",
    "validate_mutations": "A faulty answer is an error, not a header that splits a request in two.",
    "with_request_body": "For policies that read bodies; what is longer is cut there, marked, and denied by them.",
    "encode_raw_headers": "Headers as sent: repeats kept apart, no byte replaced.",
    "include_peer_certificate": "Whose certificate it is, for tokens and policies that are bound to one.",
    "path_prefix": "The original path follows it.",
    "allowed_headers": "Without it policies would find no header but Authorization.",
    "allowed_upstream_headers": "Who the caller is, as the authorizer found out.",
    "retry_policy": "What reached no worker is asked of another: a check changes nothing.",
    "context_extensions": "Vouches that bodies are held back for the check: never without with_request_body.",
    "health_checks": "Each worker has an address of its own; one that drains or hangs is left out.",
    "common_lb_config": "Act at once on what health checks find.",
    "circuit_breakers": "3 by default: too few when a worker goes.",
    "connection_keepalive": "Finds connections that were dropped on the way.",
    "match_typed_subject_alt_names": "The authorizer, not just anybody with a certificate of that authority.",
}
