"""Settings that are good each by itself and not together."""

import re
from typing import Any

from authorizer.errors import Problem
from authorizer.grammar import METHOD
from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import FRAMING
from authorizer.settings.knobs import ClientCertificate, Drop, Settings

_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%/-]*)?", re.ASCII
)
_POINTER = re.compile(r"/(?:input|result)(?:/(?:[^~/]|~[01])*)+|/requested_by")
_CLIENT_FILES = {
    "client_secret_basic": ("secret_file",),
    "client_secret_post": ("secret_file",),
    "private_key_jwt": ("key_file",),
    "tls_client_auth": ("certificate_file", "key_file"),
}

MAX_DESCRIBED = 200

_STORE = re.compile(r"rediss?://[A-Za-z0-9.:\[\]_-]+(?:/\d{1,3})?|unix:///[^?#@\s]+")


def contradictions(settings: Settings, place: Any) -> list[Problem]:
    """Return what cannot stand together; ``place`` finds where a path of keys was said."""
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
    problems += _credentials(settings, place)
    problems += _telemetry(settings, place)
    problems += _discovery(settings, place)
    if not settings.ext_authz.listen and not settings.forward_auth.listen:
        problems.append(Problem("AZ106", "no door is open", place(()), "set ext_authz.listen or forward_auth.listen"))
    problems += [
        Problem("AZ105", f"identity_headers: {name!r} is not a lower-case header name of letters, digits and '-'",
                place(("identity_headers", name), key=True))
        for name in settings.identity_headers
        if not name.replace("-", "a").isalnum() or not name.isascii() or name != name.lower()
    ]  # fmt: skip
    shown = {"authorization", "dpop", settings.credentials.api_key_header.lower()}
    problems += [
        Problem("AZ105", f"identity_headers: {name!r} is not ours to set", place(("identity_headers", name), key=True))
        for name, source in settings.identity_headers.items()
        if name in FRAMING | {"cookie"} or (name in shown) is not (source == "credential")
    ]
    return problems


def _discovery(settings: Settings, place: Any) -> list[Problem]:
    problems = []
    found = settings.discovery
    if len(found.described) > MAX_DESCRIBED:
        problems.append(
            Problem("AZ105", f"discovery.described has more than {MAX_DESCRIBED} members",
                    place(("discovery", "described")), "annotate Services instead")
        )  # fmt: skip
    for name, said in found.described.items():
        if sum(map(bool, (said.file, said.url, said.grpc))) != 1:
            problems.append(
                Problem("AZ106", f"discovery.described.{name} is not in one place",
                        place(("discovery", "described", name)), "set one of file, url and grpc")
            )  # fmt: skip
        elif not said.api and not said.file:
            # A document that an API serves speaks for that API only, whatever hosts it names.
            problems.append(
                Problem("AZ106", f"discovery.described.{name} does not say which API it speaks of",
                        place(("discovery", "described", name)), "set api")
            )  # fmt: skip
    if found.annotated and not found.kubernetes:
        problems.append(
            Problem("AZ106", "there are no annotations to read", place(("discovery", "annotated")),
                    "set discovery.kubernetes")
        )  # fmt: skip
    return problems


def _telemetry(settings: Settings, place: Any) -> list[Problem]:
    problems = [
        Problem("AZ105", f"{'.'.join(path)}: {url!r} is not the address of an HTTP server", place(path),
                "https://HOST[:PORT][/PATH]")
        for path, url in (
            (("log", "upload", "url"), settings.log.upload.url), (("traces", "url"), settings.traces.url)
        )
        if url and not _ADDRESS.fullmatch(url)
    ]  # fmt: skip
    if settings.log.upload.buffer and not settings.log.upload.url:
        problems.append(
            Problem("AZ106", "events wait for nobody", place(("log", "upload", "buffer")), "set log.upload.url")
        )
    problems += [
        Problem("AZ105", f"{pointer!r} does not point into what may be masked", place(("log", knob)),
                "/input/..., /result/... or /requested_by (RFC 6901)")
        for knob in ("erase", "replace")
        for pointer in getattr(settings.log, knob)
        if not _POINTER.fullmatch(pointer)
    ]  # fmt: skip
    problems += [
        Problem("AZ105", "a rule without a condition would drop every decision", place(("log", "drop", number)))
        for number, rule in enumerate(settings.log.drop)
        if rule == Drop()
    ]
    return problems


def _credentials(settings: Settings, place: Any) -> list[Problem]:
    problems = []
    for door in ("ext_authz", "forward_auth"):
        told: ClientCertificate = getattr(settings, door).client_certificate
        if told.form == "pem" and not told.header:
            problems.append(
                Problem("AZ106", "which header carries the certificate?", place((door, "client_certificate")),
                        f"set {door}.client_certificate.header")
            )  # fmt: skip
        if told.header and not METHOD.fullmatch(told.header):
            problems.append(
                Problem("AZ105", f"{told.header!r} is no header", place((door, "client_certificate", "header")))
            )
        if told.form == "source" and door == "forward_auth":
            problems.append(
                Problem(
                    "AZ106",
                    "HTTP has no source of certificates but a header",
                    place((door, "client_certificate")),
                    "set forward_auth.client_certificate.form to xfcc, client-cert or pem",
                )
            )
    asserted = [name for name, source in settings.identity_headers.items() if source == "assertion"]
    if asserted and not (settings.assertion.issuer and settings.assertion.key_files):
        problems.append(
            Problem("AZ106", "an assertion needs an issuer and a key", place(("identity_headers", asserted[0])),
                    "set assertion.issuer and assertion.key_files")
        )  # fmt: skip
    if settings.assertion.algorithm not in ALGORITHMS:
        problems.append(
            Problem("AZ105", f"assertion.algorithm: {settings.assertion.algorithm!r} is not a signature algorithm",
                    place(("assertion", "algorithm")), ", ".join(ALGORITHMS))
        )  # fmt: skip
    asked = settings.credentials
    problems += [
        Problem("AZ105", f"credentials.dpop.algorithms: {name!r} is not a signature algorithm",
                place(("credentials", "dpop", "algorithms")), ", ".join(ALGORITHMS))
        for name in asked.dpop.algorithms
        if name not in ALGORITHMS
    ]  # fmt: skip
    if asked.dpop.store and not _STORE.fullmatch(asked.dpop.store):
        problems.append(
            Problem("AZ105", "credentials.dpop.store is not the address of a Redis",
                    place(("credentials", "dpop", "store")), "redis://127.0.0.1:6379/0; its password has a file")
        )  # fmt: skip
    for name, client in settings.identity_providers.clients.items():
        lacking = [file for file in _CLIENT_FILES[client.method] if not getattr(client, file)]
        if lacking:
            problems.append(
                Problem("AZ106", f"{client.method} needs {' and '.join(lacking)}",
                        place(("identity_providers", "clients", name)))
            )  # fmt: skip
    if asked.api_key_header and not METHOD.fullmatch(asked.api_key_header):
        problems.append(
            Problem("AZ105", f"{asked.api_key_header!r} is no header", place(("credentials", "api_key_header")))
        )
    if asked.api_key_header.lower() in {"authorization", "dpop", "cookie"}:
        problems.append(
            Problem("AZ105", f"{asked.api_key_header!r} is not for API keys", place(("credentials", "api_key_header")))
        )
    return problems
